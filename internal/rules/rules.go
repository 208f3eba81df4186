// Package rules makes a decision of a message: what ilert should know because of it. It
// compiles conditions and texts, which cost little whatever they hold, finds the rules that
// a message may match, and explains why the others do not. It is pure: no clock, no input or
// output, and the same message always means the same. What was before, and what time it is,
// the store knows; how rules are written in files, package rulefile knows.
package rules

import "github.com/mps-events/mps-events/internal/decision"

// Rules decide what messages mean. They hold no state and may be used
// concurrently.
type Rules struct{ *engine }

// New returns the rules that these are, complete and in their order.
func New(all []*Rule) Rules { return Rules{newEngine(all)} }

// Decide says what a message means. It never fails: one that cannot be understood
// is dead, with the reason.
func (r Rules) Decide(m decision.Message) decision.Decision { return r.decide(m) }
