package rehearsal

import (
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

// howFar describes how much of a window's conditions is reached.
func (s *shower) howFar(n alerting.Counted) string {
	w := &n.Window
	all := reached(w, &w.Condition, n.Reached, n.Row)
	if w.Or.Length > 0 {
		or := reached(w, &w.Or, n.Or, n.Row)
		all = []string{strings.Join(all, ", ") + " within " + duration(w.Length) + " or " + strings.Join(or, ", ") + " within " + duration(w.Or.Length)}
	}
	if n.Raised {
		all = append(all, "its alert is raised")
	}
	if n.Raised && w.Healthy > 0 {
		all = append(all, health(n.Health, w.Healthy))
	}
	if !n.EndHeldUntil.IsZero() {
		all = append(all, "the end of the alert is held until "+s.moment(n.EndHeldUntil))
	}
	return strings.Join(all, ", ")
}

// reached describes how much of a condition is reached.
func reached(w *decision.Window, c *decision.Condition, n alerting.Reached, row int) (all []string) {
	if c.AtLeast > 0 {
		all = append(all, fmt.Sprintf("%d of %d", n.Hits, c.AtLeast))
	}
	if c.InARow > 0 {
		all = append(all, fmt.Sprintf("%d of %d in a row", row, c.InARow))
	}
	if c.Distinct > 0 || w.Held {
		all = append(all, fmt.Sprintf("%d of %d members", n.Members, max(c.Distinct, 1)))
	}
	if c.Ratio > 0 {
		part, of := n.Hits, "%d"
		if w.Fleet {
			part, of = n.Members, "%d devices"
		}
		all = append(all, fmt.Sprintf("%s of "+of+" where %s is asked for", percent(float64(part)/float64(max(n.Of, 1))), n.Of, percent(c.Ratio)))
	}
	return all
}

// health describes how far an open alert is from its end by health.
func health(h alerting.Health, share float64) string {
	if !h.Enough {
		return fmt.Sprintf("too few messages to end it by health: %d", h.Of)
	}
	return fmt.Sprintf("%s of the newest %d where less than %s ends it", percent(float64(h.Hits)/float64(max(h.Of, 1))), h.Of, percent(share))
}

// duration returns a duration as files of rules have it, such as 10m.
func duration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, is := strings.CutSuffix(text, zero); is && !strings.ContainsAny(rest[len(rest)-1:], "0123456789") {
			text = rest
		}
	}
	return text
}
