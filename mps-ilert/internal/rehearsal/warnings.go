package rehearsal

import (
	"fmt"
	"io"

	"github.com/mps-events/mps-events/internal/decision"
)

// warnings collects what an author of rules should know about decisions, once for each rule that
// fails, and for each pair of rules of which one overrules the other.
type warnings struct {
	all      []*warning // in the order of their first messages
	known    map[warned]*warning
	messages int
}

// warned identifies a warning: a rule that fails, or one that is overruled by another.
type warned struct{ rule, by string }

// warning is a warning with the number of its messages.
type warning struct {
	text     string
	messages int
	last     int // the number of the last message, because a message is counted once
}

// note collects the warnings about the decision on the next message.
func (w *warnings) note(d decision.Decision) {
	w.messages++
	for _, o := range d.Overruled {
		w.add(warned{o.Rule, o.By}, fmt.Sprintf("rule %s has no effect on the alert %s, because rule %s above it decides about the same alert", o.Rule, o.Key.Alert, o.By))
	}
	for _, f := range d.Failed {
		w.add(warned{f.Rule, ""}, fmt.Sprintf("rule %s fails: %s", f.Rule, f.Reason))
	}
}

func (w *warnings) add(about warned, text string) {
	one := w.known[about]
	if one == nil {
		if w.known == nil {
			w.known = map[warned]*warning{}
		}
		one = &warning{text: text}
		w.known[about] = one
		w.all = append(w.all, one)
	}
	if one.last != w.messages {
		one.messages++
	}
	one.last = w.messages
}

// print writes the warnings, one a line.
func (w *warnings) print(out io.Writer) {
	for _, one := range w.all {
		messages := "messages"
		if one.messages == 1 {
			messages = "message"
		}
		_, _ = fmt.Fprintf(out, "warning: %s (in %d %s)\n", one.text, one.messages, messages)
	}
}
