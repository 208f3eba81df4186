package rehearsal

import (
	"fmt"
	"io"

	"github.com/mps-events/mps-events/internal/decision"
)

// warnings collects what an author of rules should know about decisions, once for each pair of
// rules.
type warnings struct {
	pairs    []pair // in the order of their first messages
	messages map[pair]int
	first    map[pair]string // the alert of the first message
}

// pair is a rule without effect, and the rule above it that is the reason.
type pair struct{ rule, by string }

// note collects the warnings about a decision.
func (w *warnings) note(d decision.Decision) {
	var noted pair
	for _, o := range d.Overruled {
		p := pair{o.Rule, o.By}
		if w.messages[p] == 0 {
			if w.messages == nil {
				w.messages, w.first = map[pair]int{}, map[pair]string{}
			}
			w.pairs = append(w.pairs, p)
			w.first[p] = o.Key.Alert
		}
		if p != noted {
			w.messages[p]++
		}
		noted = p
	}
}

// print writes the warnings, one a line.
func (w *warnings) print(out io.Writer) {
	for _, p := range w.pairs {
		_, _ = fmt.Fprintf(out, "warning: rule %s has no effect on the alert %s, because rule %s above it decides about the same alert (%s)\n",
			p.rule, w.first[p], p.by, inMessages(w.messages[p]))
	}
}

// inMessages returns "in 1 message", "in 2 messages" and so on.
func inMessages(n int) string {
	if n == 1 {
		return "in 1 message"
	}
	return fmt.Sprintf("in %d messages", n)
}
