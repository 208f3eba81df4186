// Package rules makes a decision of a message: what ilert should know because of
// it. It is pure: no clock, no input or output, and the same message always
// means the same.
package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/event"
)

// Decision is what a message means.
type Decision struct {
	Action Action
	// AlertKey names the alert that is raised or ended.
	AlertKey string
	// Summary and Priority describe the alert that is raised.
	Summary  string
	Priority Priority
	// Reason says why the message is dead.
	Reason string
}

// Action is the kind of a Decision.
type Action int

// The actions.
const (
	Ignore Action = iota // has no effect on any alert
	Raise                // the alert should be open
	End                  // the alert should be resolved
	Dead                 // cannot be understood, is kept to be looked at
)

// Priority is ilert's: who is woken by an alert.
type Priority string

// ilert's two priorities.
const (
	High Priority = "HIGH"
	Low  Priority = "LOW"
)

// Rules decide what messages mean. They hold no state and may be used
// concurrently.
type Rules struct {
	decide func(event.Event) Decision
}

// presets are the built-in rules by name.
var presets = map[string]Rules{
	"calls": {decide: calls},
}

// Preset returns the built-in rules of that name.
func Preset(name string) (Rules, error) {
	r, ok := presets[name]
	if !ok {
		var names []string
		for known := range presets {
			names = append(names, known)
		}
		slices.Sort(names)
		return Rules{}, fmt.Errorf("rules: unknown preset %q: want %s", name, strings.Join(names, " or "))
	}
	return r, nil
}

// Decide says what a message with that payload means. It never fails: a payload
// that is no event is dead, with the reason.
func (r Rules) Decide(payload []byte) Decision {
	e, err := event.Parse(payload)
	if err != nil {
		return Decision{Action: Dead, Reason: err.Error()}
	}
	return r.decide(e)
}

// calls raises a LOW alert for each device and method whose call failed, until
// the same call succeeds. It stays silent where no success can ever follow: for
// events without guid, and for CIRA_Connection, which MPS publishes instead of
// the call's own name when the device is not connected.
func calls(e event.Event) Decision {
	if e.Type == event.Request || e.GUID == "" || len(e.Methods) == 0 || e.Methods[0] == "CIRA_Connection" {
		return Decision{Action: Ignore}
	}
	d := Decision{Action: End, AlertKey: e.GUID + "/" + e.Methods[0]}
	if e.Type == event.Fail {
		d.Action = Raise
		d.Summary = fmt.Sprintf("%s failed on %s: %s", e.Methods[0], e.GUID, e.Message)
		d.Priority = Low
	}
	return d
}
