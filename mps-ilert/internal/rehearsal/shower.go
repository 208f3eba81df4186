package rehearsal

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/store"
)

// shower says what happens in a rehearsal, for people.
type shower struct {
	out   io.Writer
	brief bool
	since time.Time // times are shown as since then, unless it is zero

	messages int
	dead     map[string]int // by reason
}

func (s *shower) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

func (s *shower) moment(at time.Time) string {
	if s.since.IsZero() {
		return at.UTC().Format("2006-01-02 15:04:05")
	}
	return at.Sub(s.since).String()
}

func (s *shower) comes(ctx context.Context, play *rehearsal, m decision.Message, d decision.Decision) error {
	s.messages++
	if d.Dead != "" {
		if s.dead == nil {
			s.dead = map[string]int{}
		}
		s.dead[d.Dead]++
	}
	if s.brief {
		return nil
	}
	s.say("\n%s  %s  %.200s\n", s.moment(play.now), m.Topic, bytes.ReplaceAll(m.Payload, []byte("\n"), nil))
	if d.Dead != "" {
		s.say("    dead, no rule has an effect: %s\n", d.Dead)
		return nil
	}
	verdicts, err := play.rules.Explain(m)
	if err != nil {
		s.say("    %v\n", err)
		return nil
	}
	for _, v := range verdicts {
		sign := " "
		if v.Matched {
			sign = "*"
		}
		s.say("  %s %s: %s\n", sign, v.Rule, shortened(strings.Join(v.Reasons, "; ")))
	}
	for _, effect := range d.Effects {
		if err := s.inVain(ctx, play.store, effect); err != nil {
			return err
		}
	}
	return nil
}

// inVain says of an effect that it changes nothing, if so.
func (s *shower) inVain(ctx context.Context, in *store.Store, effect decision.Effect) error {
	isRaised := func(k decision.Key, want bool, what string) error {
		raised, err := in.IsRaised(ctx, k)
		if err == nil && raised == want {
			s.say("    %s: %s\n", k.Alert, what)
		}
		return err
	}
	const notOpen = "nothing is open"
	switch e := effect.(type) {
	case decision.Raise:
		return isRaised(e.Key, true, "is raised already")
	case decision.Accept:
		return isRaised(e.Key, false, notOpen)
	case decision.End:
		return isRaised(e.Key, false, notOpen)
	case decision.EndAll:
		alerts, err := in.Alerts(ctx, time.Time{}, e.Rule, 1)
		if err == nil && len(alerts) == 0 {
			s.say("    %s: %s\n", e.Rule, notOpen)
		}
		return err
	case decision.Reset:
		n, _, err := in.Counted(ctx, e.Rule, e.Group)
		if err == nil && !n.Raised {
			s.say("    %s: %s\n", windowName(e.Rule, e.Group), notOpen)
		}
		return err
	}
	return nil
}

// done says how far the windows are that a message has counted in.
func (s *shower) done(ctx context.Context, play *rehearsal, d decision.Decision) error {
	if s.brief || d.Dead != "" {
		return nil
	}
	type window struct{ rule, group string }
	var shown []window
	for _, effect := range d.Effects {
		var w window
		switch e := effect.(type) {
		case decision.Hit:
			w = window{e.Window.Rule, e.Group}
		case decision.Leave:
			w = window{e.Rule, e.Group}
		default:
			continue
		}
		if slices.Contains(shown, w) {
			continue
		}
		shown = append(shown, w)
		n, exists, err := play.store.Counted(ctx, w.rule, w.group)
		if err != nil {
			return err
		}
		if exists {
			s.say("    %s: %s\n", windowName(w.rule, w.group), howFar(n))
		}
	}
	return nil
}

func windowName(rule, group string) string {
	if group == "" {
		return "window of " + rule
	}
	return "window of " + rule + ", " + group
}

// howFar says how much there is of what raises the alert of a window.
func howFar(n store.Counted) string {
	var all []string
	w := n.Window
	if w.AtLeast > 0 {
		all = append(all, fmt.Sprintf("%d of %d", n.Hits, w.AtLeast))
	}
	if w.Distinct > 0 || w.Held {
		all = append(all, fmt.Sprintf("%d of %d members", n.Members, max(w.Distinct, 1)))
	}
	if w.Ratio > 0 {
		part, of := n.Hits, "%d"
		if w.Fleet {
			part, of = n.Members, "%d devices"
		}
		all = append(all, fmt.Sprintf("%s of "+of+" where %s is asked for", percent(float64(part)/float64(max(n.Of, 1))), n.Of, percent(w.Ratio)))
	}
	if n.Raised {
		all = append(all, "its alert is raised")
	}
	return strings.Join(all, ", ")
}

// percent rounds down: what is not enough must not look as if it were.
func percent(share float64) string {
	const hair = 1e-9 // what floating point gets wrong
	return fmt.Sprintf("%g%%", math.Floor(share*1000+hair)/10)
}

func (s *shower) told(at time.Time, n store.Notice) {
	s.say("%s  ilert is told %s", s.moment(at), n.Event.EventType)
	if n.Event.Priority != "" {
		s.say(" %s", n.Event.Priority)
	}
	s.say(" %s: %s\n", n.Event.AlertKey, n.Event.Summary)
	if n.Event.Details != "" && n.Event.EventType == "ALERT" {
		s.say("                     %.300s\n", strings.ReplaceAll(n.Event.Details, "\n", " "))
	}
}

// maxLater is how far the time after the last message is looked into.
const maxLater = 40 * 24 * time.Hour

// rest shows what ilert would be told if no message came any more, and what would be left.
func (s *shower) rest(ctx context.Context, play *rehearsal) error {
	if play.now.IsZero() {
		return nil
	}
	if !s.brief {
		s.say("\nif nothing more comes:\n")
	}
	if err := play.until(ctx, play.now.Add(maxLater)); err != nil {
		return err
	}
	if err := s.left(ctx, play); err != nil {
		return err
	}
	if s.brief {
		s.deaths()
	}
	return nil
}

// left shows what is open in the end.
func (s *shower) left(ctx context.Context, play *rehearsal) error {
	const most = 50
	alerts, err := play.store.Alerts(ctx, play.now, "", most+1)
	if err != nil {
		return err
	}
	for _, a := range alerts[:min(len(alerts), most)] {
		s.say("still open: %s\n", a.Key.Alert)
	}
	switch {
	case len(alerts) == 0:
		s.say("nothing is open\n")
	case len(alerts) > most:
		s.say("and others\n")
	}
	return nil
}

// deaths says how many messages would be dead, and why.
func (s *shower) deaths() {
	n := 0
	for _, messages := range s.dead {
		n += messages
	}
	if n == 0 {
		s.say("messages: %d, none would be dead\n", s.messages)
		return
	}
	s.say("messages: %d, of which %d would be dead:\n", s.messages, n)
	reasons := slices.SortedFunc(maps.Keys(s.dead), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.dead[b], s.dead[a]), cmp.Compare(a, b))
	})
	const most = 20
	for i, reason := range reasons {
		if i == most {
			s.say("        and for %d other reasons\n", len(reasons)-most)
			break
		}
		s.say("%7d  %s\n", s.dead[reason], shortened(reason))
	}
}

// shortened keeps a line readable.
func shortened(s string) string {
	const most = 160
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
