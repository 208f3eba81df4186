package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// The same with an ilert that answers 202 and then drops events, and where people close alerts by hand. One look
// at the end makes it true again.
func testIlertThatLosesEventsShowsTheTruthAfterALook(t *testing.T, open opener) {
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(looking(t, open), seed)
			w.loses = true
			for range 300 {
				w.step()
			}
			w.settleDust()
			w.later(2 * minute)
			w.time()
			w.looks()
			w.loses = false
			w.settleDust()
			w.compare()
		})
	}
}

// looks looks at what the model of ilert shows.
func (w *world) looks() {
	w.t.Helper()
	sources := map[ilert.IntegrationKey]*alerting.Source{configured: source(), doors: source()}
	for key, open := range w.open {
		if open {
			sources[keyAt(key).Integration].Open[key] = w.accepted[key]
		}
	}
	w.lookAt(sources)
}

// loseSomething lets the model of ilert drop an event that it has taken, if that is one which begins, accepts or ends an
// alert: a look cannot find out whether a list has arrived, and the first list of a storm opens it.
func (w *world) loseSomething(n alerting.Notice) bool {
	if strings.HasPrefix(n.Event.AlertKey, "storm/") && n.Event.EventType == ilert.Alert {
		return false
	}
	return w.loses && (!w.open[n.Event.AlertKey] || n.Event.EventType != ilert.Alert) && w.r.IntN(3) == 0
}

// closeSomething closes an open alert of the model, as a person does.
func (w *world) closeSomething() {
	for _, key := range slices.Sorted(maps.Keys(w.open)) {
		if w.open[key] && w.r.IntN(3) == 0 {
			w.open[key], w.accepted[key] = false, false
			return
		}
	}
}
