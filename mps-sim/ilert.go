package main

import (
	"net/http"
	"sync/atomic"

	"github.com/mps-events/mps-events/internal/ilertsim"
)

// standInKey is the integration key of the embedded consumer, and the key of a user with which the stand-in lists alerts.
const standInKey = "stand-in"

// ilertStandIn is the stand-in for ilert, with a mode that the page shows. It accepts any integration key.
type ilertStandIn struct {
	*ilertsim.Server
	mode atomic.Value // an ilertMode
}

// ilertMode is the condition of the stand-in for ilert.
type ilertMode string

const (
	ilertWorking     ilertMode = "working"
	ilertDown        ilertMode = "down"        // answers 503
	ilertMaintenance ilertMode = "maintenance" // all alert sources are in maintenance
)

func newIlertStandIn() *ilertStandIn {
	const keep = 1000
	i := &ilertStandIn{Server: ilertsim.New(ilertsim.Config{APIKeys: map[string]bool{standInKey: true}, Keep: keep})}
	i.setMode(ilertWorking)
	return i
}

func (i *ilertStandIn) setMode(m ilertMode) {
	var answer func(ilertsim.Request) ilertsim.Answer
	if m == ilertDown {
		answer = ilertsim.Always(ilertsim.Answer{Status: http.StatusServiceUnavailable, Body: "the simulated ilert is down"})
	}
	state := ilertsim.Active
	if m == ilertMaintenance {
		state = ilertsim.Maintenance
	}
	i.mode.Store(m)
	i.SetAnswer(answer)
	i.SetState(state)
}

func (i *ilertStandIn) getMode() ilertMode { return i.mode.Load().(ilertMode) }

// pageAlert is an alert with what the page shows beside it.
type pageAlert struct {
	ilertsim.Alert
	Events  int    `json:"events"`            // the number of events that ilert has merged into it
	EndedBy string `json:"endedBy,omitempty"` // the reason for which it has ended, if it is known
}

// pageAlerts adds to alerts what the page shows.
func (s *simulator) pageAlerts(alerts []ilertsim.Alert) []pageAlert {
	all := make([]pageAlert, len(alerts))
	for i, a := range alerts {
		all[i] = pageAlert{Alert: a, Events: len(a.Log)}
		if a.Status == ilertsim.Resolved {
			all[i].EndedBy = s.howEnded(a)
		}
	}
	return all
}
