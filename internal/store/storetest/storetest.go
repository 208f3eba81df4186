// Package storetest is the conformance suite of stores. Run tests what any alerting.Store must do, alone
// and under an alerting.Engine. Model plays the same random messages on two stores and compares them.
package storetest

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Backend is an empty store with a function that opens it again.
type Backend struct {
	Store alerting.Store
	// Reopen opens the rows of Store after the suite has closed it, as the next process does after a crash.
	Reopen func(t *testing.T) alerting.Store
}

// opener is the function by which a test opens an engine on an empty store of its own. The end of the test closes it.
type opener func(t *testing.T) *book

// test is a test of an engine on a store.
type test func(t *testing.T, open opener)

// Run runs the whole suite. A subtest has the name of its file, and of its function without the prefix "test".
func Run(t *testing.T, open func(t *testing.T) Backend) {
	t.Helper()
	t.Run("seam", func(t *testing.T) { runSeam(t, open) })
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"acceptance", acceptanceTests},
		{"alert", alertTests},
		{"alerts", alertsTests},
		{"awaited", awaitedTests},
		{"awaited rules", awaitedRulesTests},
		{"bounds", boundsTests},
		{"cancel", cancelTests},
		{"concurrent", concurrentTests},
		{"crowd", crowdTests},
		{"delayed", delayedTests},
		{"depend", dependTests},
		{"effect", effectTests},
		{"fleet", fleetTests},
		{"held", heldTests},
		{"hold", holdTests},
		{"lane", laneTests},
		{"letter", letterTests},
		{"outbox", outboxTests},
		{"over", overTests},
		{"prefix", prefixTests},
		{"redelivery", redeliveryTests},
		{"repeat", repeatTests},
		{"ruleend", ruleEndTests},
		{"revive", reviveTests},
		{"silence", silenceTests},
		{"row", inARowTests},
		{"either", eitherTests},
		{"health", healthTests},
		{"split", splitTests},
		{"stale", staleTests},
		{"status", statusTests},
		{"storm", stormTests},
		{"storm key", stormKeyTests},
		{"timer", timerTests},
		{"truth", truthTests},
		{"unproven", unprovenTests},
		{"window", windowTests},
		{"window time", windowTimeTests},
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

// nameOf returns the name of the function of a test without the prefix "test".
func nameOf(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	name = strings.TrimPrefix(name[strings.LastIndexByte(name, '.')+1:], "test")
	return strings.ToLower(name[:1]) + name[1:]
}
