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

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
)

// shower is the audience that prints what happens.
type shower struct {
	out   io.Writer
	brief bool
	since time.Time // times are printed relative to it, unless it is zero

	messages int
	doubles  uint64         // messages whose id another one had
	dead     map[string]int // by reason
	warnings warnings
}

// say prints to out.
func (s *shower) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

// moment returns the text of a time.
func (s *shower) moment(at time.Time) string {
	if s.since.IsZero() {
		return at.UTC().Format("2006-01-02 15:04:05")
	}
	return at.Sub(s.since).String()
}

// begins prints a message, what each rule makes of it, and which effects change nothing.
func (s *shower) begins(ctx context.Context, play *rehearsal, m decision.Message, d decision.Decision) error {
	s.messages++
	s.warnings.note(d)
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
	}
	verdicts, err := play.Rules.Explain(m)
	if err != nil { // the reason why the message is dead
		verdicts = nil
	}
	for _, v := range verdicts {
		sign := " "
		if v.Matched {
			sign = "*"
		}
		s.say("  %s %s: %s\n", sign, v.Rule, shortened(strings.Join(v.Reasons, "; ")))
	}
	for _, effect := range d.Effects {
		if err := s.noteInVain(ctx, play.store, effect); err != nil {
			return err
		}
	}
	return nil
}

// noteInVain prints that an effect changes nothing, if so.
func (s *shower) noteInVain(ctx context.Context, in *alerting.Engine, effect decision.Effect) error {
	about := func(k decision.Key, inVain func(*alerting.Alert) bool, what string) error {
		a, err := in.Alert(ctx, k)
		if err == nil && inVain(a) {
			s.say("    %s: %s\n", k.Alert, what)
		}
		return err
	}
	const notOpen = "nothing is open"
	isOver := func(a *alerting.Alert) bool { return !a.IsRaised() }
	switch e := effect.(type) {
	case decision.Raise:
		return about(e.Key, (*alerting.Alert).IsRaised, "is raised already")
	case decision.Accept:
		return about(e.Key, isOver, notOpen)
	case decision.End:
		if e.Waiting {
			return about(e.Key, func(a *alerting.Alert) bool { return !a.IsWaiting() }, "no alert waits to be sent")
		}
		return about(e.Key, isOver, notOpen)
	case decision.EndPrefix:
		raised, err := in.AnyRaised(ctx, e.Key)
		if err == nil && !raised {
			s.say("    %s*: %s\n", e.Key.Alert, notOpen)
		}
		return err
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

// ends prints which ends of alerts are held, and how much the windows contain in which the message has counted.
func (s *shower) ends(ctx context.Context, play *rehearsal, d decision.Decision) error {
	if s.brief || d.Dead != "" {
		return nil
	}
	if isDouble, err := s.isDouble(ctx, play.store); err != nil || isDouble {
		return err
	}
	type window struct{ rule, group string }
	var shown []window
	for _, effect := range d.Effects {
		var w window
		switch e := effect.(type) {
		case decision.End:
			a, err := play.store.Alert(ctx, e.Key)
			if err != nil {
				return err
			}
			if a != nil && !a.EndHeldUntil.IsZero() {
				s.say("    %s: its end is held until %s\n", e.Key.Alert, s.moment(a.EndHeldUntil))
			}
			continue
		case decision.Break:
			w = window{e.Rule, e.Group}
		case decision.Reset:
			w = window{e.Rule, e.Group}
		case decision.Hit:
			w = window{e.Window.Rule, e.Group}
		case decision.Whole:
			w = window{e.Window.Rule, e.Group}
		case decision.Leave:
			w = window{e.Rule, e.Group}
		case decision.Heard:
			s.saysAwaited(play.store, e)
			continue
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
		switch whole, counts := effect.(decision.Whole); {
		case exists:
			s.say("    %s: %s\n", windowName(w.rule, w.group), s.howFar(n))
		case counts && whole.Window.Healthy > 0: // the message has counted, and then the window was emptied
			s.say("    %s: is empty, since its alert has ended by health\n", windowName(w.rule, w.group))
		}
	}
	return nil
}

// isDouble reports whether the last message is a double, and prints so.
func (s *shower) isDouble(ctx context.Context, in *alerting.Engine) (is bool, err error) {
	tallies, err := in.Tallies(ctx)
	doubles := uint64(0)
	for _, t := range tallies {
		doubles += t.Duplicate
	}
	if is = doubles > s.doubles; is {
		s.say("    it has no effect: a message of its source had the same id within the last hour\n")
	}
	s.doubles = doubles
	return is, err
}

// saysAwaited prints the time until which a rule waits for a group.
func (s *shower) saysAwaited(in *alerting.Engine, h decision.Heard) {
	name := h.Absence.Rule
	if h.Group != "" {
		name += ", " + h.Group
	}
	if until, waits := in.AwaitedUntil(h.Absence.Rule, h.Group); waits {
		s.say("    %s: is waited for again until %s\n", name, s.moment(until))
	}
}

// windowName returns the name of a group's window.
func windowName(rule, group string) string {
	if group == "" {
		return "window of " + rule
	}
	return "window of " + rule + ", " + group
}

// percent rounds down, because a share that is not enough must not look as if it were.
func percent(share float64) string {
	const hair = 1e-9 // makes up for errors of floating point
	return fmt.Sprintf("%g%%", math.Floor(share*1000+hair)/10)
}

// sends prints an event that ilert would be sent.
func (s *shower) sends(at time.Time, n alerting.Notice) {
	s.say("%s  ilert is sent %s", s.moment(at), n.Event.EventType)
	if n.Event.Priority != "" {
		s.say(" %s", n.Event.Priority)
	}
	s.say(" %s: %s\n", n.Event.AlertKey, n.Event.Summary)
	if n.Event.Details != "" && n.Event.EventType == "ALERT" {
		s.say("                     %.300s\n", strings.ReplaceAll(n.Event.Details, "\n", " "))
	}
}

// maxLater is the time after the last message that rest lets pass.
const maxLater = 40 * 24 * time.Hour

// rest prints what ilert would be sent if no message came any more, and what would be open in the
// end.
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
	s.warnings.print(s.out)
	if s.brief {
		s.deaths()
	}
	return nil
}

// left prints the open alerts.
func (s *shower) left(ctx context.Context, play *rehearsal) error {
	const maxShown = 50
	alerts, err := play.store.Alerts(ctx, play.now, "", maxShown+1)
	if err != nil {
		return err
	}
	for _, a := range alerts[:min(len(alerts), maxShown)] {
		s.say("still open: %s", a.Key.Alert)
		if a.HeldBy != "" {
			s.say(", not sent while %s is open", a.HeldBy)
		}
		s.say("\n")
	}
	switch {
	case len(alerts) == 0:
		s.say("nothing is open\n")
	case len(alerts) > maxShown:
		s.say("and others\n")
	}
	return nil
}

// deaths prints the number of dead messages, by reason.
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
	const maxReasons = 20
	for i, reason := range reasons {
		if i == maxReasons {
			s.say("        and for %d other reasons\n", len(reasons)-maxReasons)
			break
		}
		s.say("%7d  %s\n", s.dead[reason], shortened(reason))
	}
}

// shortened cuts a text that is too long for a line.
func shortened(s string) string {
	const maxRunes = 160
	if r := []rune(s); len(r) > maxRunes {
		return string(r[:maxRunes]) + "…"
	}
	return s
}
