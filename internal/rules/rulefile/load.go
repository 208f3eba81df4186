// Package rulefile reads rules from text: YAML files and the built-in presets. It names every
// mistake with its line and its mend, and it reads the tests and settings of a file. It returns
// either complete rules or an error that lists all mistakes; no text makes it panic or takes it
// long. It opens no file: the caller reads the texts.
package rulefile

import (
	"maps"
	"slices"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
)

// Load is a request to read files of rules.
type Load struct {
	Sources []Source
	// Options are values for the options of the files, by name.
	Options map[string]string
	// Topics, if not empty, replace the topic filters of the files for rules that have none of
	// their own.
	Topics []string
	// Settings are the names of the flags that a file may set.
	Settings []string
	// AnySetting makes no name of a setting a mistake: the caller has read the settings before.
	AnySetting bool
}

// Loaded is the result of reading files of rules.
type Loaded struct {
	rules.Rules
	// Topics are the topic filters of the files and their rules.
	Topics []string
	// Names are the names of the rules, in order.
	Names []string
	// KeyOf maps the names of the rules to their integration keys.
	KeyOf map[string]ilert.IntegrationKey
	// Keys are the integration keys of the rules, without the configured one.
	Keys []ilert.IntegrationKey
	// Settings are the flags that the files set, by name. The first file that sets a flag wins.
	Settings map[string]Setting
	// Options are the names of the files' options. Do sets them also if there are mistakes.
	Options []string
	// Tests are the tests of the sources, without those of included files.
	Tests []Test
}

// Setting is a flag that a file sets, with the place of its value.
type Setting struct {
	File         string
	Line, Column int
	Values       []string
}

// Do reads the files and the files that they include. The rules of a file come before those of
// its included files, and its options override theirs. The error is a MistakesError with all
// mistakes.
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
	if f.checkExpected(loaded.Rules); len(f.mistakes) > 0 {
		return f.loaded, f.mistakes
	}
	return loaded, nil
}

// noRules is the mistake of a file without rules. A file may contain only settings, and these may
// name presets.
const noRules = "there are no rules: want rules, or built-in ones, such as include: [mps, rps]"

// files is the state of reading several files.
type files struct {
	load     Load
	names    []string
	rules    []*rule
	mistakes MistakesError
	options  map[string]any
	used     map[string]bool // the options of the command line that a file has
	loaded   Loaded
}

// read reads a file and the files that it includes, unless it has read them. by is the file that
// includes it, or nil.
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

// listen sets the topic filters of the rules that have none to those of the file.
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

// check finds the mistakes that concern several rules or files.
func (f *files) check() {
	f.mistakes = append(f.mistakes, checkNames(f.rules)...)
	f.mistakes = append(f.mistakes, checkEnds(f.rules)...)
	f.mistakes = append(f.mistakes, checkUnless(f.rules)...)
	if presets := f.loaded.Settings["preset"].Values; len(f.names) > 0 && len(f.rules)+len(presets)+len(f.mistakes) == 0 {
		f.mistakes = append(f.mistakes, Mistake{File: f.names[0], Line: 1, Column: 1, Text: noRules})
	}
	if len(f.mistakes) > 0 {
		return // an unread part may contain the options
	}
	for _, name := range slices.Sorted(maps.Keys(f.load.Options)) {
		if !f.used[name] {
			f.mistakes = append(f.mistakes, Mistake{File: "--option " + name, Text: "no file has such an option" + suggestionOr(name, slices.Sorted(maps.Keys(f.options)))})
		}
	}
}
