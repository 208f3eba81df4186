package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Load says what files of rules are read with.
type Load struct {
	Sources []Source
	// Options are values for the options of the files, by name.
	Options map[string]string
	// Settings are the names that a file may set for the command that reads it.
	Settings []string
	// AnySetting says that who reads the settings has looked at their names.
	AnySetting bool
}

// Loaded is what files of rules say.
type Loaded struct {
	Rules
	// Topics are the topic filters that the rules are for.
	Topics []string
	// Names are those of the rules, in their order.
	Names []string
	// Keys name the integration keys beside the configured one that alerts go out by:
	// env:NAME or file:PATH.
	Keys []string
	// Settings are what the files set for the command.
	Settings map[string][]string
	// Tests are those of the sources, not of what they include.
	Tests []Test
}

// Do reads the files and what they include. The rules of a file come before those of the
// files that it includes. The error is Mistakes, all that there are.
func (l Load) Do() (Loaded, error) {
	var loaded Loaded
	var mistakes Mistakes
	var all []*rule
	used, seen := map[string]bool{}, map[string]bool{}
	loaded.Settings = map[string][]string{}
	var read func(source Source, included bool)
	read = func(source Source, included bool) {
		if seen[source.Name] {
			return
		}
		seen[source.Name] = true
		reading := &loader{reader: &reader{file: source.Name}, overrides: l.Options, used: used, settings: l.Settings, anySetting: l.AnySetting}
		f := reading.load(source.Text)
		all = append(all, f.rules...)
		loaded.Topics = append(loaded.Topics, f.topics...)
		for name, values := range f.settings {
			loaded.Settings[name] = values
		}
		if !included {
			loaded.Tests = append(loaded.Tests, f.tests...)
		}
		var inner []Source
		for _, i := range f.includes {
			preset, err := Preset(i.name)
			if err != nil {
				reading.fail(i.at, "include: %w", err)
				continue
			}
			inner = append(inner, preset)
		}
		mistakes = append(mistakes, reading.mistakes...)
		for _, s := range inner {
			read(s, true)
		}
	}
	for _, s := range l.Sources {
		read(s, false)
	}
	whole := &loader{reader: &reader{}}
	whole.checkNames(all)
	whole.checkEnds(all)
	mistakes = append(mistakes, whole.mistakes...)
	for name := range l.Options {
		if !used[name] && len(mistakes) == 0 {
			mistakes = append(mistakes, Mistake{"--option", 1, 1, fmt.Sprintf("no file has an option %q%s", name, suggestion(name, optionsOf(all)))})
		}
	}
	if len(mistakes) > 0 {
		slices.SortStableFunc(mistakes, func(a, b Mistake) int {
			if a.File != b.File {
				return 0
			}
			return a.Line - b.Line
		})
		return loaded, mistakes
	}
	for _, r := range all {
		r.complete()
		loaded.Names = append(loaded.Names, r.name)
		if r.integrationKey != "" && !slices.Contains(loaded.Keys, r.integrationKey) {
			loaded.Keys = append(loaded.Keys, r.integrationKey)
		}
	}
	slices.Sort(loaded.Topics)
	loaded.Topics = slices.Compact(loaded.Topics)
	e := newEngine(all)
	loaded.Rules = Rules{decide: e.decide, engine: e}
	return loaded, nil
}

func optionsOf(all []*rule) (names []string) {
	for _, r := range all {
		names = append(names, keysOf(r.options)...)
	}
	return names
}

// checkNames finds rules of one name.
func (l *loader) checkNames(all []*rule) {
	first := map[string]*rule{}
	for _, r := range all {
		was := first[r.name]
		if was == nil || r.name == "" {
			first[r.name] = r
			continue
		}
		where := fmt.Sprintf("line %d", was.line)
		if was.file != r.file {
			where = fmt.Sprintf("%s:%d", was.file, was.line)
		}
		l.mistakes = append(l.mistakes, Mistake{r.file, r.line, 1, r.called() + ": " + where + " has one of that name"})
	}
}

// complete fills in what a rule leaves out.
func (r *rule) complete() {
	if r.window == nil {
		return
	}
	if r.key == nil {
		r.key, _ = parseTemplate("{rule}/{group}", false, nil)
		if r.group == nil {
			r.key, _ = parseTemplate("{rule}", false, nil)
		}
	}
	if r.member != nil && r.alert.details == nil && !r.alert.summary.mentions("members") {
		r.alert.details, _ = parseTemplate("{members}", true, nil)
	}
}

// mentions reports whether a number stands in the template.
func (t *template) mentions(number string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return strings.Contains(p.text, place(number)) })
}

// templateNeeds are what the templates of a rule ask for.
func (r *rule) templateNeeds() needs {
	n := r.alert.needs()
	for _, t := range []*template{r.key, r.group, r.member} {
		if t != nil {
			n = n.and(t.needs)
		}
	}
	return n
}

func (a *alertTexts) needs() (n needs) {
	for _, t := range []*template{a.summary, a.details, a.priority, a.severity, a.routingKey} {
		if t != nil {
			n = n.and(t.needs)
		}
	}
	for _, v := range []any{a.links, a.images, a.labels, a.customDetails} {
		n = n.and(needsOf(v))
	}
	return n
}

func needsOf(value any) (n needs) {
	switch v := value.(type) {
	case *template:
		return v.needs
	case []any:
		for _, inner := range v {
			n = n.and(needsOf(inner))
		}
	case map[string]any:
		for _, inner := range v {
			n = n.and(needsOf(inner))
		}
	}
	return n
}
