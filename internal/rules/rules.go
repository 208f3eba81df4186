// Package rules makes a decision of a message: what ilert should know because of
// it. It is pure: no clock, no input or output, and the same message always
// means the same. What has been before, and what time it is, the store knows.
package rules

import "github.com/mps-events/mps-events/internal/decision"

// Rules decide what messages mean. They hold no state and may be used
// concurrently.
type Rules struct{ *engine }

// Decide says what a message means. It never fails: one that cannot be understood
// is dead, with the reason.
func (r Rules) Decide(m decision.Message) decision.Decision { return r.decide(m) }
