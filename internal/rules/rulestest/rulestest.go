// Package rulestest has helpers for the tests of rules and of their files: it reads rules, makes
// messages, and describes each effect of a decision in a line.
package rulestest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// Load reads one file of rules without mistakes.
func Load(t testing.TB, text string) rulefile.Loaded {
	t.Helper()
	loaded, err := rulefile.Load{Sources: []rulefile.Source{{Name: "rules.yaml", Text: []byte(text)}}}.Do()
	require.NoError(t, err)
	return loaded
}

// Preset reads built-in rules.
func Preset(t testing.TB, names ...string) rulefile.Loaded {
	t.Helper()
	var sources []rulefile.Source
	for _, name := range names {
		source, err := rulefile.Preset(name)
		require.NoError(t, err)
		sources = append(sources, source)
	}
	loaded, err := rulefile.Load{Sources: sources}.Do()
	require.NoError(t, err)
	return loaded
}

// Mistakes reads one file with mistakes and returns their texts.
func Mistakes(t testing.TB, text string) string {
	t.Helper()
	_, err := rulefile.Load{Sources: []rulefile.Source{{Name: "f", Text: []byte(text)}}}.Do()
	var all rulefile.MistakesError
	require.ErrorAs(t, err, &all)
	return all.Error()
}

// Say returns the message of an event.
func Say(topic, kind, method, guid, message string) decision.Message {
	return decision.Message{Topic: topic, Payload: fmt.Appendf(nil,
		`{"type":%q,"message":%q,"methods":[%q],"guid":%q,"timestamp":1795322346039}`, kind, message, method, guid)}
}

// Failed returns the message of a call that failed.
func Failed(topic, message string) decision.Message { return Say(topic, "fail", "A", "G1", message) }

// Effects returns a line for each effect of a decision.
func Effects(d decision.Decision) (all []string) {
	if d.Dead != "" {
		return []string{"Dead " + d.Dead}
	}
	for _, effect := range d.Effects {
		switch e := effect.(type) {
		case decision.Raise:
			all = append(all, "Raise "+e.Key.Alert)
		case decision.Accept:
			all = append(all, "Accept "+e.Key.Alert)
		case decision.End:
			all = append(all, "End "+e.Key.Alert)
		case decision.EndPrefix:
			all = append(all, "EndPrefix "+e.Key.Alert)
		case decision.EndAll:
			all = append(all, "EndAll "+e.Rule)
		case decision.Break:
			all = append(all, "Break "+e.Rule+" of "+e.Group)
		case decision.Reset:
			all = append(all, "Reset "+e.Rule+" of "+e.Group)
		case decision.Leave:
			all = append(all, "Leave "+e.Rule+" of "+e.Group+": "+e.Member)
		case decision.Forget:
			all = append(all, "Forget "+e.Window.Rule+" of "+e.Group+": "+e.Member)
		case decision.Heard:
			all = append(all, "Heard "+e.Absence.Rule+" of "+e.Group+": "+e.Raise.Key.Alert)
		case decision.Dismiss:
			all = append(all, "Dismiss "+e.Rule+" of "+e.Group)
		case decision.Whole:
			text := "Count " + e.Window.Rule
			if e.Group != "" {
				text += " of " + e.Group
			}
			all = append(all, text)
		case decision.Hit:
			text := "Hit " + e.Window.Rule
			if e.Group != "" {
				text += " of " + e.Group
			}
			if e.Member != "" {
				text += ": " + e.Member
			}
			all = append(all, text)
		}
	}
	return all
}
