package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// RunTests runs the tests in files of rules and prints those that fail; verbosely it also prints
// what happened in them. The error counts them.
func RunTests(ctx context.Context, out io.Writer, loaded rulefile.Loaded, verbosely bool) error {
	by, failed := Setup{Rules: loaded.Rules, Topics: loaded.Topics}, 0
	var warn warnings
	for _, t := range loaded.Tests {
		failure, err := runTest(ctx, by, t, &warn)
		if err != nil {
			return err
		}
		if failure != "" {
			failed++
			_, _ = fmt.Fprintf(out, "%s:%d: test %q: %s\n", t.File, t.Line, t.Name, failure)
			if !verbosely {
				continue
			}
			if _, err := perform(ctx, by, t, &shower{out: out, since: testStart}); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(out)
		}
	}
	warn.print(out)
	if failed > 0 {
		return fmt.Errorf("tests: %d of %d failed", failed, len(loaded.Tests))
	}
	if len(loaded.Tests) > 0 {
		_, _ = fmt.Fprintf(out, "tests: %d passed\n", len(loaded.Tests))
	}
	return nil
}

// testStart is the time at which every test begins.
var testStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// examiner is the audience that records the events for ilert.
type examiner struct {
	all      []rulefile.Notice
	warnings *warnings
}

func (e *examiner) begins(_ context.Context, _ *rehearsal, _ decision.Message, d decision.Decision) error {
	e.warnings.note(d)
	return nil
}

func (*examiner) ends(context.Context, *rehearsal, decision.Decision) error { return nil }

func (e *examiner) sends(at time.Time, n alerting.Notice) {
	e.all = append(e.all, rulefile.Notice{
		At: at.Sub(testStart), Type: n.Event.EventType, Key: n.Event.AlertKey, Priority: n.Event.Priority, Summary: n.Event.Summary, Details: n.Event.Details,
	})
}

// runTest runs a test and returns the difference between the events that it wants and those that
// ilert was sent.
func runTest(ctx context.Context, by Setup, t rulefile.Test, warn *warnings) (failure string, err error) {
	sent := examiner{warnings: warn}
	dead, err := perform(ctx, by, t, &sent)
	if err != nil || dead != "" {
		return dead, err
	}
	return difference(t.Want, sent.all), nil
}

// perform plays the messages of a test. If one is dead, it returns the reason.
func perform(ctx context.Context, by Setup, t rulefile.Test, a audience) (dead string, err error) {
	play, err := rehearse(ctx, by, a)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, play.close()) }()
	if err := play.begin(ctx, testStart); err != nil {
		return "", err
	}
	for _, m := range t.Messages {
		d, err := play.receive(ctx, testStart.Add(m.At), m.Message)
		if err != nil {
			return "", err
		}
		if d.Dead != "" {
			return fmt.Sprintf("the message at %v is dead: %s", m.At, d.Dead), nil
		}
	}
	return "", play.until(ctx, testStart.Add(t.Until))
}

// difference returns the first difference between wanted and sent events, or "".
func difference(want, sent []rulefile.Notice) string {
	for i := range max(len(want), len(sent)) {
		switch {
		case i >= len(sent):
			return fmt.Sprintf("line %d: ilert should be sent %s, and is sent nothing more", want[i].Line, shown(want[i]))
		case i >= len(want):
			return "ilert is sent " + shown(sent[i]) + ", and should not be"
		case !fulfills(sent[i], want[i]):
			return fmt.Sprintf("line %d: ilert should be sent %s, and is sent %s", want[i].Line, shown(want[i]), shown(sent[i]))
		}
	}
	return ""
}

// fulfills reports whether an event is the wanted one.
func fulfills(sent, want rulefile.Notice) bool {
	return sent.Type == want.Type && (want.At < 0 || sent.At == want.At) &&
		(want.Key == "" || sent.Key == want.Key) && (want.Priority == "" || sent.Priority == want.Priority) &&
		strings.Contains(sent.Summary, want.Summary) && strings.Contains(sent.Details, want.Details)
}

// shown returns the text of an event.
func shown(t rulefile.Notice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", t.Type)
	if t.Priority != "" {
		fmt.Fprintf(&b, " %s", t.Priority)
	}
	if t.Key != "" {
		fmt.Fprintf(&b, " %s", t.Key)
	}
	if t.At >= 0 {
		fmt.Fprintf(&b, " after %v", t.At)
	}
	if t.Summary != "" {
		fmt.Fprintf(&b, " %q", t.Summary)
	}
	if t.Details != "" {
		fmt.Fprintf(&b, " (%q)", t.Details)
	}
	return b.String()
}
