package consumer

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// A rule fails on most messages if it failed on half or more of those that it looked at within
// failureSpan, and on minFailures or more.
const (
	failureSpan = 10 // minutes
	minFailures = 10
)

// ruleFailures counts by rule the messages that rules looked at, and those on which they failed.
type ruleFailures struct {
	mu    sync.Mutex
	rules map[string]*ruleRecord
}

// ruleRecord is the past of a rule.
type ruleRecord struct {
	failed  uint64 // since the start
	last    RuleFailure
	minutes [failureSpan]failureMinute // by the minute modulo failureSpan
}

// failureMinute counts the messages of a minute.
type failureMinute struct {
	minute         int64 // since 1970
	looked, failed int
}

// RuleFailure is the last failure of a rule.
type RuleFailure struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// note counts the rules that looked at a message.
func (f *ruleFailures) note(d decision.Decision, at time.Time) {
	if len(d.Looked)+len(d.Failed) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range d.Looked {
		f.minuteOf(name, at).looked++
	}
	for _, one := range d.Failed {
		m := f.minuteOf(one.Rule, at)
		m.failed++
		if !slices.Contains(d.Looked, one.Rule) { // what ends its alerts has failed
			m.looked++
		}
		r := f.rules[one.Rule]
		r.failed++
		r.last = RuleFailure{at, one.Reason}
	}
}

// minuteOf returns the counts of a rule for the minute of a time.
func (f *ruleFailures) minuteOf(name string, at time.Time) *failureMinute {
	if f.rules == nil {
		f.rules = map[string]*ruleRecord{}
	}
	r := f.rules[name]
	if r == nil {
		r = &ruleRecord{}
		f.rules[name] = r
	}
	minute := at.Unix() / 60
	m := &r.minutes[minute%failureSpan]
	if m.minute != minute {
		*m = failureMinute{minute: minute}
	}
	return m
}

// of returns the number of messages on which a rule has failed since the start, and the last failure.
func (f *ruleFailures) of(name string) (failed uint64, last *RuleFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rules[name]
	if r == nil || r.failed == 0 {
		return 0, nil
	}
	one := r.last
	return r.failed, &one
}

// mostly returns the text of the alert about a rule that fails on most messages, and false if it
// does not.
func (f *ruleFailures) mostly(name string, now time.Time) (summary, details string, is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rules[name]
	if r == nil {
		return "", "", false
	}
	looked, failed := 0, 0
	for _, m := range r.minutes {
		if m.minute > now.Unix()/60-failureSpan {
			looked, failed = looked+m.looked, failed+m.failed
		}
	}
	if failed < minFailures || 2*failed < looked {
		return "", "", false
	}
	return fmt.Sprintf("Rule %s fails on most messages: on %d of %d within %d minutes", name, failed, looked, failureSpan),
		"It raises no alerts for these messages. The last one: " + r.last.Reason +
			"\nCorrect the rule, try it with \"mps-ilert check\", and send the daemon a SIGHUP.", true
}

// read forgets the rules that are no more, and what the others did before they were read again:
// somebody may have corrected them.
func (f *ruleFailures) read(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, r := range f.rules {
		if slices.Contains(names, name) {
			r.minutes = [failureSpan]failureMinute{}
		} else {
			delete(f.rules, name)
		}
	}
}

// noteRules counts the failures of rules on a message, and logs them.
func (c *Consumer) noteRules(topic string, d decision.Decision) {
	c.failures.note(d, time.Now())
	for _, one := range d.Failed {
		c.lines.Warn("rule "+one.Rule, "a rule fails on a message, the others decide about it all the same",
			slog.String("rule", one.Rule), slog.String("topic", topic), slog.String("reason", one.Reason))
	}
}
