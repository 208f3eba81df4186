// Package rules makes a decision of a message: what ilert should know because of
// it. It is pure: no clock, no input or output, and the same message always
// means the same.
package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/event"
)

// Message is what has arrived.
type Message struct {
	Topic   string
	Payload []byte
}

// Decision is what a message means.
type Decision struct {
	Action Action
	// Alert says what is raised, ended or sent.
	Alert Alert
	// Reason says why the message is dead.
	Reason string
}

// Alert is what ilert may be told, in its words. ilert groups by Key.
type Alert struct {
	IntegrationKey string // empty is the configured one
	Type           string // for Send: ALERT, ACCEPT, RESOLVE or COMMENT
	Key            string
	Summary        string
	Details        string
	Priority       Priority
	Images, Links  json.RawMessage // for Send: as the message has them
	CustomDetails  json.RawMessage // any JSON
}

// Action is the kind of a Decision.
type Action int

// The actions.
const (
	Ignore Action = iota // has no effect on any alert
	Raise                // the alert should be open
	End                  // the alert should be resolved
	Send                 // ilert is told just this, in the order of arrival
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
	decide func(Message) Decision
}

// presets are the built-in rules by name, but for Mapping, which has options.
var presets = map[string]Rules{
	"calls": {decide: onEvents(calls)},
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

// Decide says what a message means. It never fails: one that cannot be understood
// is dead, with the reason.
func (r Rules) Decide(m Message) Decision { return r.decide(m) }

// onEvents makes a rule for messages of a rule for the events of Open AMT servers.
func onEvents(decide func(event.Event) Decision) func(Message) Decision {
	return func(m Message) Decision {
		e, err := event.Parse(m.Payload)
		if err != nil {
			return dead("%w", err)
		}
		return decide(e)
	}
}

func dead(format string, args ...any) Decision {
	return Decision{Action: Dead, Reason: fmt.Errorf(format, args...).Error()}
}

// calls raises a LOW alert for each device and method whose call failed, until
// the same call succeeds. It stays silent where no success can ever follow: for
// events without guid, and for CIRA_Connection, which MPS publishes instead of
// the call's own name when the device is not connected.
func calls(e event.Event) Decision {
	if e.Type == event.Request || e.GUID == "" || len(e.Methods) == 0 || e.Methods[0] == "CIRA_Connection" {
		return Decision{Action: Ignore}
	}
	d := Decision{Action: End, Alert: Alert{Key: e.GUID + "/" + e.Methods[0]}}
	if e.Type == event.Fail {
		d.Action = Raise
		d.Alert.Summary = fmt.Sprintf("%s failed on %s: %s", e.Methods[0], e.GUID, e.Message)
		d.Alert.Priority = Low
	}
	return d
}
