// Package storetest is the conformance suite of stores: what any alerting.Store must do, alone and
// under an alerting.Engine, and a comparison of two stores under random messages.
package storetest

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Backend is an empty store, and the way to open it again.
type Backend struct {
	Store alerting.Store
	// Reopen opens the rows of Store, which the suite has closed, as a process does that was started after
	// another one had died.
	Reopen func(t *testing.T) alerting.Store
}

// opener opens an empty store of its own for a test, which closes it.
type opener func(t *testing.T) *book

// test is one test of an engine on a store.
type test func(t *testing.T, open opener)

// Run runs the whole suite. Its subtests are named after the groups and functions in this package.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	t.Helper()
	t.Run("seam", func(t *testing.T) { runSeam(t, open) })
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"alert", alertTests},
		{"alerts", alertsTests},
		{"bounds", boundsTests},
		{"effect", effectTests},
		{"held", heldTests},
		{"lane", laneTests},
		{"letter", letterTests},
		{"outbox", outboxTests},
		{"redelivery", redeliveryTests},
		{"repeat", repeatTests},
		{"revive", reviveTests},
		{"split", splitTests},
		{"stale", staleTests},
		{"status", statusTests},
		{"storm", stormTests},
		{"timer", timerTests},
		{"truth", truthTests},
		{"unproven", unprovenTests},
		{"window", windowTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.tests {
				t.Run(nameOf(one), func(t *testing.T) {
					one(t, func(t *testing.T) *book {
						t.Helper()
						return openBook(t, open(t))
					})
				})
			}
		})
	}
}

// nameOf returns the name of a function.
func nameOf(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}
