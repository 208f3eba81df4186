// Package rulefile makes rules of text: it reads YAML files and the built-in ones, names
// every mistake with its line and its mend, and reads the tests and the settings that a file
// holds. What it returns is complete or an error that lists all mistakes; no bytes make it
// panic, and none take it long. It opens no file: the caller brings the texts.
package rulefile

import (
	"maps"
	"slices"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
)

// Load says what files of rules are read with.
type Load struct {
	Sources []Source
	// Options are values for the options of the files, by name.
	Options map[string]string
	// Topics, if there are any, are the topic filters of rules that name none themselves,
	// instead of those of their file.
	Topics []string
	// Settings are the names that a file may set for the command that reads it.
	Settings []string
	// AnySetting says that who reads the settings has looked at their names.
	AnySetting bool
}

// Loaded is what files of rules say.
type Loaded struct {
	rules.Rules
	// Topics are the topic filters that the files and their rules name.
	Topics []string
	// Names are those of the rules, in their order.
	Names []string
	// KeyOf has the integration key of each rule, by its name.
	KeyOf map[string]ilert.IntegrationKey
	// Keys are the integration keys beside the configured one that alerts go out by.
	Keys []ilert.IntegrationKey
	// Settings are what the files set for the command, by name. The first file that sets one
	// counts, as of rules that raise the first that matches does.
	Settings map[string]Setting
	// Options are the names of the options that the files have, also if there are mistakes.
	Options []string
	// Tests are those of the sources, not of what they include.
	Tests []Test
}

// Setting is what a file sets for the command that reads it, and where the value stands.
type Setting struct {
	File         string
	Line, Column int
	Values       []string
}

// Do reads the files and what they include. The rules of a file come before those of the
// files that it includes, and its options go before theirs. The error is a MistakesError, all
// that there are.
func (l Load) Do() (Loaded, error) {
	f := &files{load: l, used: map[string]bool{}, options: map[string]any{}, loaded: Loaded{Settings: map[string]Setting{}}}
	for _, source := range l.Sources {
		f.read(source, nil)
	}
	f.loaded.Options = slices.Sorted(maps.Keys(f.options))
	f.check()
	if len(f.mistakes) > 0 {
		f.mistakes.sort(f.names)
		return f.loaded, f.mistakes
	}
	loaded := f.loaded
	loaded.KeyOf = map[string]ilert.IntegrationKey{}
	all := make([]*rules.Rule, len(f.rules))
	for i, r := range f.rules {
		all[i] = &r.Rule
		loaded.Names = append(loaded.Names, r.Name)
		loaded.KeyOf[r.Name] = r.IntegrationKey
		if r.IntegrationKey != (ilert.IntegrationKey{}) && !slices.Contains(loaded.Keys, r.IntegrationKey) {
			loaded.Keys = append(loaded.Keys, r.IntegrationKey)
		}
	}
	slices.Sort(loaded.Topics)
	loaded.Topics = mqtttopic.Uncovered(loaded.Topics)
	loaded.Rules = rules.New(all)
	return loaded, nil
}

// noRules is said of a file, or of all, by which no message would ever mean anything. A
// file may be there for its settings alone, and these may name presets.
const noRules = "there are no rules: want rules, or built-in ones, such as include: [mps, rps]"

// files are those that are read, and what has been found in them.
type files struct {
	load     Load
	names    []string
	rules    []*rule
	mistakes MistakesError
	options  map[string]any
	used     map[string]bool // options of the command line that a file has
	loaded   Loaded
}

// read reads a file, unless it has been read, and what it includes. by is the file that
// includes it, nil if none does.
func (f *files) read(source Source, by *contents) {
	if slices.Contains(f.names, source.Name) {
		return
	}
	f.names = append(f.names, source.Name)
	l := &loader{reader: &reader{file: source.Name}, overrides: f.load.Options, used: f.used, settings: f.load.Settings, anySetting: f.load.AnySetting}
	if by != nil {
		l.given = by.given
	}
	c := l.load(source.Text)
	f.rules = append(f.rules, c.rules...)
	maps.Copy(f.options, c.options)
	f.listen(c)
	for name, set := range c.settings {
		if _, earlier := f.loaded.Settings[name]; !earlier {
			f.loaded.Settings[name] = set
		}
	}
	if by == nil {
		f.loaded.Tests = append(f.loaded.Tests, c.tests...)
	}
	var included []Source
	for _, i := range c.includes {
		preset, err := Preset(i.name)
		if err != nil {
			l.fail(i.at, "include: %w", err)
			continue
		}
		included = append(included, preset)
	}
	if len(l.mistakes) == 0 && len(c.rules)+len(included) == 0 && !c.sets {
		l.fail(nil, "%s", noRules)
	}
	f.mistakes = append(f.mistakes, l.mistakes...)
	for _, s := range included {
		f.read(s, c)
	}
}

// listen settles which topics the rules of a file are for: their own, else those of the
// file.
func (f *files) listen(c *contents) {
	ofFile := &rules.Topics{Filters: c.topics}
	f.loaded.Topics = append(f.loaded.Topics, c.topics...)
	if len(f.load.Topics) > 0 {
		ofFile.Filters = f.load.Topics
	}
	for _, r := range c.rules {
		if r.Topics != nil {
			f.loaded.Topics = append(f.loaded.Topics, r.Topics.Filters...)
		} else {
			r.Topics = ofFile
		}
	}
}

// check finds what is wrong with the files as a whole.
func (f *files) check() {
	f.mistakes = append(f.mistakes, checkNames(f.rules)...)
	f.mistakes = append(f.mistakes, checkEnds(f.rules)...)
	if presets := f.loaded.Settings["preset"].Values; len(f.names) > 0 && len(f.rules)+len(presets)+len(f.mistakes) == 0 {
		f.mistakes = append(f.mistakes, Mistake{File: f.names[0], Line: 1, Column: 1, Text: noRules})
	}
	if len(f.mistakes) > 0 {
		return // an option may stand in what could not be read
	}
	for _, name := range slices.Sorted(maps.Keys(f.load.Options)) {
		if !f.used[name] {
			f.mistakes = append(f.mistakes, Mistake{File: "--option " + name, Text: "no file has such an option" + suggestionOr(name, slices.Sorted(maps.Keys(f.options)))})
		}
	}
}
