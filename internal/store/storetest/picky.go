package storetest

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// picky is a model of ilert that calls some events invalid, and keeps a record of those that it has taken.
type picky struct {
	dislikes func(e ilert.Event) bool
	// breaks returns a result other than Taken for the request of a number that fails, and true for one during
	// which the process ends.
	breaks   func(request int) (result alerting.Result, restart bool)
	requests int
	singles  []string       // alerts that were sent alone
	listed   map[string]int // by alert: the notices of storms taken that report it
}

// names returns the alert keys that an event reports.
func names(e ilert.Event) []string {
	if !inStorm(e) {
		return []string{e.AlertKey}
	}
	all := strings.Split(e.Details, "\n")
	return slices.DeleteFunc(all, func(line string) bool { return strings.HasSuffix(line, " more") })
}

// naming returns a function that reports whether an event reports one of some alert keys.
func naming(alerts ...string) func(ilert.Event) bool {
	return func(e ilert.Event) bool {
		return slices.ContainsFunc(names(e), func(name string) bool { return slices.Contains(alerts, name) })
	}
}

func inStorm(e ilert.Event) bool { return strings.HasPrefix(e.AlertKey, "storm/") }

// answer settles a notice, and reports whether the process lives on.
func (p *picky) answer(b *book, n alerting.Notice) (same bool) {
	b.t.Helper()
	p.requests++
	if p.breaks != nil {
		result, restart := p.breaks(p.requests)
		if restart {
			b.restart()
			return false
		}
		if result != alerting.Taken {
			b.settle(n, result)
			return true
		}
	}
	named := names(n.Event)
	if n.Event.EventType == ilert.Alert {
		require.NotEmpty(b.t, strings.Join(named, ""), "a notice that reports no member")
	}
	if p.dislikes(n.Event) {
		b.settle(n, alerting.Refused)
		return true
	}
	if inStorm(n.Event) {
		for _, name := range named {
			p.listed[name]++
		}
	} else {
		p.singles = append(p.singles, n.Event.AlertKey)
	}
	b.settle(n, alerting.Taken)
	return true
}

// sends claims notices and lets a model of ilert answer them until nothing is due.
func (b *book) sends(p *picky) {
	b.t.Helper()
	if p.listed == nil {
		p.listed = map[string]int{}
	}
	for range 10_000 {
		due := b.narrowly()
		if len(due) == 0 {
			return
		}
		for _, n := range due {
			if !p.answer(b, n) {
				break
			}
		}
	}
	require.Fail(b.t, "it does not come to an end")
}
