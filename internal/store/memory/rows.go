package memory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// rows is the set of all rows of a store. A transaction never changes what a pointer or an inner map of members
// leads to, but replaces it, so that copies share it.
type rows struct {
	alerts  map[alerting.AlertID]*alerting.Alert
	pending map[ilert.IntegrationKey]map[alerting.AlertID]*alerting.Alert // the pending ones of alerts
	delayed map[alerting.AlertID]*alerting.Alert                          // those of alerts that have a Delay
	ended   map[alerting.AlertID]alerting.Report
	groups  map[alerting.GroupID]*alerting.Group // without members
	members map[alerting.GroupID]map[string]alerting.GroupMember

	lanes  map[ilert.IntegrationKey]lane
	outbox map[int64]*alerting.OutboxItem
	queues map[ilert.IntegrationKey]map[int64]*alerting.OutboxItem // the items of outbox by integration key
	proven map[ilert.IntegrationKey]time.Time

	letters    map[int64]*alerting.Letter
	ruleEnds   map[ruleEnd]alerting.RuleEnd
	silences   map[int64]alerting.Silence
	closings   map[int64]alerting.Closing
	devices    map[string]device
	arrivals   map[int64]alerting.Arrival
	receipts   map[int64]alerting.ReceiptRow
	requests   map[request]int
	holds      map[ilert.IntegrationKey]time.Time
	clocks     map[string]alerting.Clock
	subscribed map[string][]string
	awaited    map[alerting.GroupID]*alerting.Awaited
	tallies    map[string]alerting.Tally
	matched    map[string]uint64

	counters
	before counters // as they were when the transaction began
	undo   []func() // functions that take back one change each, the latest change last
}

// counters holds the numbers that a store keeps beside its rows.
type counters struct {
	volumes                           alerting.Volumes
	lastLetter, lastItem, lastArrival int64
	lastSilence, lastClosing          int64
	epoch                             int64
	listening                         alerting.Listening
}

// lane is the row of an integration key: the time at which it is due, and the times before which it may not be.
type lane struct {
	hold alerting.LaneHold
	at   time.Time
}

type ruleEnd struct {
	rule  string
	epoch int64
}

type request struct {
	key ilert.IntegrationKey
	at  time.Time
}

func newRows() *rows {
	return &rows{
		alerts: map[alerting.AlertID]*alerting.Alert{}, pending: map[ilert.IntegrationKey]map[alerting.AlertID]*alerting.Alert{},
		delayed: map[alerting.AlertID]*alerting.Alert{}, ended: map[alerting.AlertID]alerting.Report{}, groups: map[alerting.GroupID]*alerting.Group{},
		members: map[alerting.GroupID]map[string]alerting.GroupMember{}, lanes: map[ilert.IntegrationKey]lane{},
		outbox: map[int64]*alerting.OutboxItem{}, queues: map[ilert.IntegrationKey]map[int64]*alerting.OutboxItem{},
		proven: map[ilert.IntegrationKey]time.Time{}, letters: map[int64]*alerting.Letter{}, ruleEnds: map[ruleEnd]alerting.RuleEnd{},
		silences: map[int64]alerting.Silence{}, closings: map[int64]alerting.Closing{},
		devices: map[string]device{}, arrivals: map[int64]alerting.Arrival{}, receipts: map[int64]alerting.ReceiptRow{},
		requests: map[request]int{}, holds: map[ilert.IntegrationKey]time.Time{}, clocks: map[string]alerting.Clock{},
		subscribed: map[string][]string{}, tallies: map[string]alerting.Tally{}, matched: map[string]uint64{},
		awaited: map[alerting.GroupID]*alerting.Awaited{},
	}
}

// device holds the times at which a device was seen, for the last and for the first time.
type device struct{ at, first time.Time }

// clone returns a copy of the rows that a View may read.
func (r *rows) clone() *rows {
	c := *r
	c.alerts, c.ended, c.groups, c.members = maps.Clone(r.alerts), maps.Clone(r.ended), maps.Clone(r.groups), maps.Clone(r.members)
	c.lanes, c.outbox, c.proven, c.letters = maps.Clone(r.lanes), maps.Clone(r.outbox), maps.Clone(r.proven), maps.Clone(r.letters)
	c.devices, c.tallies, c.matched = maps.Clone(r.devices), maps.Clone(r.tallies), maps.Clone(r.matched)
	c.silences, c.closings = maps.Clone(r.silences), maps.Clone(r.closings)
	c.pending, c.delayed, c.queues = maps.Clone(r.pending), maps.Clone(r.delayed), maps.Clone(r.queues)
	for k, all := range c.pending {
		c.pending[k] = maps.Clone(all)
	}
	for k, all := range c.queues {
		c.queues[k] = maps.Clone(all)
	}
	return &c
}

func (r *rows) begin() { r.before = r.counters }

func (r *rows) commit() { r.before, r.undo = r.counters, nil }

func (r *rows) rollback() {
	for _, undo := range slices.Backward(r.undo) {
		undo()
	}
	r.counters, r.undo = r.before, nil
}

// put sets a row so that rollback can take it back.
func put[K comparable, V any](r *rows, in map[K]V, k K, v V) {
	noteUndo(r, in, k)
	in[k] = v
}

// remove deletes a row so that rollback can take it back.
func remove[K comparable, V any](r *rows, in map[K]V, k K) {
	noteUndo(r, in, k)
	delete(in, k)
}

func noteUndo[K comparable, V any](r *rows, in map[K]V, k K) {
	before, was := in[k]
	r.undo = append(r.undo, func() {
		if was {
			in[k] = before
		} else {
			delete(in, k)
		}
	})
}

// index adds a row to the part of an index that belongs to an integration key, or removes it if has is false.
func index[K comparable, V any](r *rows, in map[ilert.IntegrationKey]map[K]V, of ilert.IntegrationKey, k K, v V, has bool) {
	part := in[of]
	_, had := part[k]
	switch {
	case has && part == nil:
		put(r, in, of, map[K]V{})
		put(r, in[of], k, v)
	case has:
		put(r, part, k, v)
	case had && len(part) == 1:
		remove(r, in, of)
	case had:
		remove(r, part, k)
	}
}

func (r *rows) putAlert(a *alerting.Alert) {
	put(r, r.alerts, a.ID, a)
	index(r, r.pending, a.ID.Integration, a.ID, a, a.Pending)
	if a.Delay > 0 {
		put(r, r.delayed, a.ID, a)
	} else if _, was := r.delayed[a.ID]; was {
		remove(r, r.delayed, a.ID)
	}
}

func (r *rows) removeAlert(id alerting.AlertID) {
	remove(r, r.alerts, id)
	remove(r, r.delayed, id)
	index(r, r.pending, id.Integration, id, nil, false)
}

func (r *rows) putItem(o *alerting.OutboxItem) {
	r.growOutbox(r.outbox[o.ID], -1)
	r.growOutbox(o, 1)
	put(r, r.outbox, o.ID, o)
	index(r, r.queues, o.Alert.Integration, o.ID, o, true)
}

func (r *rows) removeItem(id int64) {
	if o := r.outbox[id]; o != nil {
		r.growOutbox(o, -1)
		remove(r, r.outbox, id)
		index(r, r.queues, o.Alert.Integration, id, nil, false)
	}
}

// growOutbox adds an outbox item to the volumes, or subtracts it if sign is -1.
func (r *rows) growOutbox(o *alerting.OutboxItem, sign int64) {
	if o == nil {
		return
	}
	grow(&r.volumes.Outbox, sign, o.Bytes())
	if o.Unproven {
		grow(&r.volumes.Unproven, sign, o.Bytes())
	}
}

func grow(v *alerting.Volume, sign, bytes int64) {
	v.Rows += sign
	v.Bytes += sign * bytes
}

// kept returns a time as all stores keep it: in whole milliseconds. The Unix time 0 stands for never.
func kept(t time.Time) time.Time {
	if t.IsZero() || t.UnixMilli() == 0 {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli())
}

// moment returns a time as the queries of all stores compare it: in Unix milliseconds, with 0 for never.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func copyAlert(a *alerting.Alert) *alerting.Alert {
	c := *a
	c.ToldAt, c.AgeAt, c.EndsAt, c.NextTry, c.Report.At = kept(a.ToldAt), kept(a.AgeAt), kept(a.EndsAt), kept(a.NextTry), kept(a.Report.At)
	c.EndsAfter, c.EndHeldUntil = a.EndsAfter.Truncate(time.Millisecond), kept(a.EndHeldUntil)
	c.Since, c.EndedAt = kept(a.Since), kept(a.EndedAt)
	c.Delay, c.Heard = a.Delay.Truncate(time.Millisecond), a.Heard.Truncate(time.Millisecond)
	c.Cause = copyCause(a.Cause)
	return &c
}

func copyCause(c alerting.Cause) alerting.Cause {
	c.ReceivedAt, c.Payload = kept(c.ReceivedAt), copyBytes(c.Payload)
	return c
}

func copyBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}

// copyGroup returns a copy of a group without its members.
func copyGroup(g *alerting.Group) *alerting.Group {
	c := *g
	c.Hold = g.Hold.Truncate(time.Millisecond)
	c.Latest, c.LastTrue, c.CheckAt = kept(g.Latest), kept(g.LastTrue), kept(g.CheckAt)
	c.Buckets, c.Members = slices.Clone(g.Buckets), nil
	return &c
}

func copyItem(o *alerting.OutboxItem) *alerting.OutboxItem {
	c := *o
	c.QueuedAt, c.NextTry, c.Cause = kept(o.QueuedAt), kept(o.NextTry), copyCause(o.Cause)
	return &c
}

func copyLetter(l *alerting.Letter) *alerting.Letter {
	c := *l
	c.ReceivedAt, c.DiedAt, c.Payload, c.Properties = kept(l.ReceivedAt), kept(l.DiedAt), copyBytes(l.Payload), nil
	if len(l.Properties) > 0 {
		c.Properties = slices.Clone(l.Properties)
	}
	return &c
}

func compareKeys(a, b ilert.IntegrationKey) int { return strings.Compare(a.Text(), b.Text()) }

func compareIDs(a, b alerting.AlertID) int {
	return cmp.Or(compareKeys(a.Integration, b.Integration), strings.Compare(a.Folded, b.Folded))
}

func compareGroups(a, b alerting.GroupID) int {
	return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Group, b.Group))
}

// upTo returns up to limit of the first elements.
func upTo[T any](all []T, limit int) []T { return all[:max(min(len(all), limit), 0)] }

// isFirst reports whether an alert is due and of the kind Firsts.
func isFirst(a *alerting.Alert, now time.Time) bool {
	return isDue(a, now) && a.Class() >= 0 && a.Class().Kind() == alerting.Firsts
}

// isDue reports whether an alert waits and its time has come.
func isDue(a *alerting.Alert, now time.Time) bool {
	return a.Pending && !a.Claimed && moment(a.NextTry) <= moment(now)
}
