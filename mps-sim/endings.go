package main

import (
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilertsim"
)

// ending is the way in which the alerts of a rule of demo.yaml end.
type ending struct {
	key    string        // the beginning of the alert keys of the rule
	reason string        // in the words that the page shows
	age    time.Duration // after which the rule ends the alert anyway; 0: longer than a demo
}

// endings has one entry for each rule of demo.yaml that raises an alert. A RESOLVE at ilert does not tell
// its reason, so the page gets it from here.
var endings = []ending{
	{"server/", "the server is online again", 0},
	{"calls-failing", "its condition has not held for 3 s", 0},
	{"device/", "the device is connected again, or was removed", 0},
	{"disconnected", "four fifths are connected again", 0},
	{"deactivated", "RPS has activated all of them again", time.Minute},
	{"activation", "its condition has not held for 3 s", 0},
	{"deactivation/", "the device is deactivated", 0},
	{"power/", "the device has obeyed", 0},
}

// howEnded returns the reason for which a person or the embedded consumer has ended an alert, such as "the
// server is online again". It returns an empty string if it does not know, as with rules of the user's own mps-ilert.
func (s *simulator) howEnded(a ilertsim.Alert) string {
	switch {
	case a.ByHand:
		return "closed by you"
	case s.alerting.consumer == nil:
		return ""
	}
	for _, e := range endings {
		if !strings.HasPrefix(a.AlertKey, e.key) {
			continue
		}
		if e.age > 0 && a.ResolvedOn.Sub(a.ReportTime) >= e.age-3*time.Second { // the alert was raised some seconds before ilert got it
			return "its rule ends it after a minute"
		}
		return e.reason
	}
	return ""
}
