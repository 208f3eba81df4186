// Package rules decides about messages. It compiles conditions and texts, which cost little
// whatever they contain, finds the rules that a message may match, and explains why the others do
// not match. It is pure: it reads no clock and no file, and it decides the same about the same
// message. The store knows the past and the time, and package rulefile knows how rules are
// written.
package rules

import "github.com/mps-events/mps-events/internal/decision"

// Rules holds compiled rules without state. Its methods may be called concurrently.
type Rules struct{ *engine }

// New returns rules that decide in this order. The rules must be complete.
func New(all []*Rule) Rules { return Rules{newEngine(all)} }

// Decide returns the decision about a message. It never fails: a message that cannot be
// understood is dead.
func (r Rules) Decide(m decision.Message) decision.Decision { return r.decide(m) }
