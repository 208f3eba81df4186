package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/days"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// page is an alert that ilert was sent while none with its key was open.
type page struct {
	key, priority string
	at, ended     time.Time // ended is zero while the page is open
	updates       int       // number of ALERTs for the same key while the page was open
}

// ledger is the audience that records pages.
type ledger struct {
	pages []*page
	open  map[string]*page // by key
	dead  string           // the reason why the first dead message is dead
}

func (l *ledger) begins(_ context.Context, _ *rehearsal, _ decision.Message, d decision.Decision) error {
	if l.dead == "" {
		l.dead = d.Dead
	}
	return nil
}

func (*ledger) ends(context.Context, *rehearsal, decision.Decision) error { return nil }

func (l *ledger) sends(at time.Time, n alerting.Notice) {
	p := l.open[n.Event.AlertKey]
	switch {
	case n.Event.EventType == ilert.Resolve:
		if p != nil {
			p.ended = at
			delete(l.open, p.key)
		}
	case n.Event.EventType != ilert.Alert:
	case p != nil:
		p.updates++
	default:
		p = &page{key: n.Event.AlertKey, priority: n.Event.Priority, at: at}
		l.pages, l.open[p.key] = append(l.pages, p), p
	}
}

// judge returns the faults of the pages of a day: those that are wanted and did not come or did not end in
// time, and those that came and are not wanted.
func judge(want []days.Page, came []*page) (faults []string) {
	rest := slices.Clone(came)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(p *page) bool { return isWanted(w, p) })
		if i < 0 {
			if !w.Optional {
				faults = append(faults, "no page "+wanted(w))
			}
			continue
		}
		switch p := rest[i]; {
		case !w.EndFrom.IsZero() && !p.ended.IsZero() && p.ended.Before(w.EndFrom):
			faults = append(faults, fmt.Sprintf("%s ends before %s", group(p.key), moment(w.EndFrom)))
		case !w.EndBy.IsZero() && (p.ended.IsZero() || p.ended.After(w.EndBy)):
			faults = append(faults, fmt.Sprintf("%s does not end by %s", group(p.key), moment(w.EndBy)))
		}
		rest = slices.Delete(rest, i, i+1)
	}
	switch len(rest) {
	case 0:
	case 1:
		faults = append(faults, "one page is not wanted")
	default:
		faults = append(faults, fmt.Sprintf("%d pages are not wanted", len(rest)))
	}
	return faults
}

// isWanted reports whether a page is the wanted one, apart from its end.
func isWanted(w days.Page, p *page) bool {
	return strings.Contains(p.key, w.Part) && (w.Priority == "" || w.Priority == p.priority) &&
		!p.at.Before(w.From) && !p.at.After(w.By)
}

// wanted describes a page that is wanted.
func wanted(w days.Page) string {
	var b strings.Builder
	if w.Priority != "" {
		b.WriteString(w.Priority + " ")
	}
	const maxPart = 16 // a guid says nothing to a reader
	if w.Part != "" && len(w.Part) < maxPart {
		b.WriteString("about " + w.Part + " ")
	}
	return b.String() + "from " + moment(w.From) + " to " + moment(w.By)
}

// moment returns a time on the local clocks of the sites.
func moment(t time.Time) string { return days.Local(t).Format("Mon 2 15:04") }

// group returns the part of a key that is the same for all alerts of a rule.
func group(key string) string {
	first, rest, found := strings.Cut(key, "/")
	if found && len(rest) < 16 {
		return key
	}
	return first
}

// described lists pages, those of one group and priority in one line of a table.
func described(came []*page) string {
	type kind struct{ group, priority string }
	var kinds []kind
	of := map[kind][]*page{}
	for _, p := range came {
		k := kind{group(p.key), p.priority}
		if of[k] == nil {
			kinds = append(kinds, k)
		}
		of[k] = append(of[k], p)
	}
	const maxKinds = 6
	var lines []string
	for i, k := range kinds {
		if i == maxKinds {
			lines = append(lines, fmt.Sprintf("and %d other kinds", len(kinds)-maxKinds))
			break
		}
		all := of[k]
		line := strings.TrimSpace(k.group + " " + k.priority)
		if len(all) > 1 {
			line += fmt.Sprintf(" ×%d, first", len(all))
		}
		line += " " + moment(all[0].at)
		if first := all[0]; first.ended.IsZero() {
			line += ", stays open"
		} else {
			line += ", open for " + strings.TrimSuffix(first.ended.Sub(first.at).Round(time.Minute).String(), "0s")
		}
		if all[0].updates > 0 { // of the first one
			line += fmt.Sprintf(", updates: %d", all[0].updates)
		}
		lines = append(lines, line)
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), "|", `\|`)
}

func TestJudge(t *testing.T) {
	noon := time.Date(2026, 3, 4, 11, 0, 0, 0, time.UTC)
	after := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	want := days.Page{Part: "server/", Priority: "HIGH", From: noon, By: after(5), EndFrom: after(60), EndBy: after(70)}
	optional := want
	optional.Optional = true
	good := page{key: "server/mps-1", priority: "HIGH", at: after(2), ended: after(61)}
	changed := func(change func(*page)) *page {
		p := good
		change(&p)
		return &p
	}
	const missing = "no page HIGH about server/ from Wed 4 12:00 to Wed 4 12:05"
	for name, try := range map[string]struct {
		want   []days.Page
		came   []*page
		faults []string
	}{
		"nothing":           {},
		"right":             {[]days.Page{want}, []*page{&good}, nil},
		"missing":           {[]days.Page{want}, nil, []string{missing}},
		"optional":          {[]days.Page{optional}, nil, nil},
		"optional and here": {[]days.Page{optional}, []*page{&good}, nil},
		"one for two":       {[]days.Page{want, want}, []*page{&good}, []string{missing}},
		"not wanted":        {nil, []*page{&good}, []string{"one page is not wanted"}},
		"twice":             {[]days.Page{want}, []*page{&good, &good, &good}, []string{"2 pages are not wanted"}},
		"another key":       {[]days.Page{want}, []*page{changed(func(p *page) { p.key = "disconnected" })}, []string{missing, "one page is not wanted"}},
		"another priority":  {[]days.Page{want}, []*page{changed(func(p *page) { p.priority = "LOW" })}, []string{missing, "one page is not wanted"}},
		"too early":         {[]days.Page{want}, []*page{changed(func(p *page) { p.at = after(-1) })}, []string{missing, "one page is not wanted"}},
		"too late":          {[]days.Page{want}, []*page{changed(func(p *page) { p.at = after(6) })}, []string{missing, "one page is not wanted"}},
		"ends too early":    {[]days.Page{want}, []*page{changed(func(p *page) { p.ended = after(59) })}, []string{"server/mps-1 ends before Wed 4 13:00"}},
		"ends too late":     {[]days.Page{want}, []*page{changed(func(p *page) { p.ended = after(71) })}, []string{"server/mps-1 does not end by Wed 4 13:10"}},
		"does not end":      {[]days.Page{want}, []*page{changed(func(p *page) { p.ended = time.Time{} })}, []string{"server/mps-1 does not end by Wed 4 13:10"}},
	} {
		assert.Equal(t, try.faults, judge(try.want, try.came), name)
	}
}
