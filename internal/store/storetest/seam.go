package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// seam is an open store without an engine, with short names for what tests do.
type seam struct {
	t       *testing.T
	backend Backend
	store   alerting.Store
}

// runSeam runs the tests that need no engine.
func runSeam(t *testing.T, open func(t *testing.T) Backend) {
	t.Helper()
	var all []func(*testing.T, *seam)
	for _, some := range [][]func(*testing.T, *seam){rowTests, transactionTests, keptTests, laneSeamTests, repeatSeamTests, findTests, seamHoldTests, peopleTests} {
		all = append(all, some...)
	}
	for _, one := range all {
		t.Run(nameOf(one), func(t *testing.T) {
			backend := open(t)
			s := &seam{t, backend, backend.Store}
			t.Cleanup(func() { assert.NoError(t, s.store.Close()) })
			one(t, s)
		})
	}
}

// restart closes the store and opens it again, as the next process does.
func (s *seam) restart() {
	s.t.Helper()
	require.NoError(s.t, s.store.Close())
	s.store = s.backend.Reopen(s.t)
}

func (s *seam) update(do func(tx alerting.Tx) error) {
	s.t.Helper()
	require.NoError(s.t, s.store.Update(s.t.Context(), do))
}

func (s *seam) view(do func(tx alerting.Tx) error) {
	s.t.Helper()
	require.NoError(s.t, s.store.View(s.t.Context(), do))
}

// save saves changes in one transaction.
func (s *seam) save(changes alerting.Changes) {
	s.t.Helper()
	s.update(func(tx alerting.Tx) error { return tx.Save(s.t.Context(), &changes) })
}

func (s *seam) load(keys alerting.Keys) (rows alerting.Rows) {
	s.t.Helper()
	s.view(func(tx alerting.Tx) error { return tx.Load(s.t.Context(), keys, &rows) })
	return rows
}

func (s *seam) alert(id alerting.AlertID) *alerting.Alert {
	s.t.Helper()
	return s.load(alerting.Keys{Alerts: []alerting.AlertID{id}}).Alerts[id]
}

func (s *seam) group(id alerting.GroupID) *alerting.Group {
	s.t.Helper()
	return s.load(alerting.Keys{Groups: []alerting.GroupID{id}}).Groups[id]
}

func (s *seam) item(id int64) *alerting.OutboxItem {
	s.t.Helper()
	return s.load(alerting.Keys{Outbox: []int64{id}}).Outbox[id]
}

func (s *seam) letter(id int64) *alerting.Letter {
	s.t.Helper()
	return s.load(alerting.Keys{Letters: []int64{id}}).Letters[id]
}

// recovered calls Recover as an engine does when it opens the store, and returns what that reads.
func (s *seam) recovered() (m alerting.Memory) {
	s.t.Helper()
	s.update(func(tx alerting.Tx) error { return tx.Recover(s.t.Context(), &m) })
	return m
}

// due returns the time from start to NextDue, or -1 if nothing is due.
func (s *seam) due() time.Duration {
	s.t.Helper()
	at, due, err := s.store.NextDue(s.t.Context())
	require.NoError(s.t, err)
	if !due {
		return -1
	}
	return at.Sub(start)
}

// in returns the time that is some seconds after start.
func in(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// waiting returns an alert that waits until some seconds after start. ilert does not know it, and its integration key
// is the configured one.
func waiting(key string, seconds int) *alerting.Alert {
	return &alerting.Alert{
		ID: alerting.AlertID{Folded: key}, AlertKey: key, Rule: "r", Desired: ilert.Alert, Priority: "LOW",
		Version: 1, Pending: true, NextTry: in(seconds), Cause: alerting.Cause{Filter: filter, ReceivedAt: start},
	}
}

// queued returns an outbox item of an integration key that waits until some seconds after start.
func queued(key ilert.IntegrationKey, seconds int) *alerting.OutboxItem {
	return &alerting.OutboxItem{
		Alert: alerting.AlertID{Integration: key}, Path: "/p", Body: "{}", EventType: ilert.Alert,
		QueuedAt: in(seconds), NextTry: in(seconds), Cause: alerting.Cause{Filter: filter, ReceivedAt: in(seconds)},
	}
}

func died(seconds int) *alerting.Letter {
	return &alerting.Letter{Filter: filter, Topic: "t", ReceivedAt: start, DiedAt: in(seconds), Reason: "no JSON"}
}

func alertsOf(all ...*alerting.Alert) alerting.Changes { return alerting.Changes{Alerts: all} }

func keysIn(alerts []*alerting.Alert) (all []string) {
	for _, a := range alerts {
		all = append(all, a.AlertKey)
	}
	return all
}
