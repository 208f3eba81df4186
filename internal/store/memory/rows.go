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

// rows are all rows of a store. What a pointer or an inner map of members leads to is never changed, but replaced.
type rows struct {
	alerts  map[alerting.AlertID]*alerting.Alert
	pending map[ilert.IntegrationKey]map[alerting.AlertID]*alerting.Alert // those of alerts
	ended   map[alerting.AlertID]alerting.Report
	groups  map[alerting.GroupID]*alerting.Group // without members
	members map[alerting.GroupID]map[string]alerting.GroupMember

	lanes  map[ilert.IntegrationKey]lane
	outbox map[int64]*alerting.OutboxItem
	queues map[ilert.IntegrationKey]map[int64]*alerting.OutboxItem // those of outbox
	proven map[ilert.IntegrationKey]time.Time

	letters    map[int64]*alerting.Letter
	ruleEnds   map[ruleEnd]alerting.RuleEnd
	devices    map[string]time.Time
	arrivals   map[int64]alerting.Arrival
	receipts   map[int64]alerting.ReceiptRow
	requests   map[request]int
	holds      map[ilert.IntegrationKey]time.Time
	clocks     map[string]alerting.Clock
	subscribed map[string][]string
	tallies    map[string]alerting.Tally
	matched    map[string]uint64

	counters
	before counters // at the begin of the transaction
	undo   []func() // takes back what the transaction has changed, the last first
}

// counters are the numbers that a store keeps beside its rows.
type counters struct {
	volumes                           alerting.Volumes
	lastLetter, lastItem, lastArrival int64
	epoch                             int64
}

// lane records when an integration key is due, and what holds it up.
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
		ended: map[alerting.AlertID]alerting.Report{}, groups: map[alerting.GroupID]*alerting.Group{},
		members: map[alerting.GroupID]map[string]alerting.GroupMember{}, lanes: map[ilert.IntegrationKey]lane{},
		outbox: map[int64]*alerting.OutboxItem{}, queues: map[ilert.IntegrationKey]map[int64]*alerting.OutboxItem{},
		proven: map[ilert.IntegrationKey]time.Time{}, letters: map[int64]*alerting.Letter{}, ruleEnds: map[ruleEnd]alerting.RuleEnd{},
		devices: map[string]time.Time{}, arrivals: map[int64]alerting.Arrival{}, receipts: map[int64]alerting.ReceiptRow{},
		requests: map[request]int{}, holds: map[ilert.IntegrationKey]time.Time{}, clocks: map[string]alerting.Clock{},
		subscribed: map[string][]string{}, tallies: map[string]alerting.Tally{}, matched: map[string]uint64{},
	}
}

// clone returns a copy of what a transaction may read.
func (r *rows) clone() *rows {
	c := *r
	c.alerts, c.ended, c.groups, c.members = maps.Clone(r.alerts), maps.Clone(r.ended), maps.Clone(r.groups), maps.Clone(r.members)
	c.lanes, c.outbox, c.proven, c.letters = maps.Clone(r.lanes), maps.Clone(r.outbox), maps.Clone(r.proven), maps.Clone(r.letters)
	c.devices, c.tallies, c.matched = maps.Clone(r.devices), maps.Clone(r.tallies), maps.Clone(r.matched)
	c.pending, c.queues = maps.Clone(r.pending), maps.Clone(r.queues)
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

// put sets a row, and notes how to take that back.
func put[K comparable, V any](r *rows, in map[K]V, k K, v V) {
	note(r, in, k)
	in[k] = v
}

// remove deletes a row, and notes how to take that back.
func remove[K comparable, V any](r *rows, in map[K]V, k K) {
	note(r, in, k)
	delete(in, k)
}

func note[K comparable, V any](r *rows, in map[K]V, k K) {
	before, was := in[k]
	r.undo = append(r.undo, func() {
		if was {
			in[k] = before
		} else {
			delete(in, k)
		}
	})
}

// index puts a row into the part of an index that belongs to an integration key, or takes it out.
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
}

func (r *rows) removeAlert(id alerting.AlertID) {
	remove(r, r.alerts, id)
	index(r, r.pending, id.Integration, id, nil, false)
}

func (r *rows) putItem(o *alerting.OutboxItem) {
	r.weigh(r.outbox[o.ID], -1)
	r.weigh(o, 1)
	put(r, r.outbox, o.ID, o)
	index(r, r.queues, o.Alert.Integration, o.ID, o, true)
}

func (r *rows) removeItem(id int64) {
	if o := r.outbox[id]; o != nil {
		r.weigh(o, -1)
		remove(r, r.outbox, id)
		index(r, r.queues, o.Alert.Integration, id, nil, false)
	}
}

// weigh adds an outbox item to the volumes, or takes it out.
func (r *rows) weigh(o *alerting.OutboxItem, sign int64) {
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

// kept returns a time as stores keep it: in Unix milliseconds, of which 0 is never.
func kept(t time.Time) time.Time {
	if t.IsZero() || t.UnixMilli() == 0 {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli())
}

// moment returns a time as queries compare it.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func copyAlert(a *alerting.Alert) *alerting.Alert {
	c := *a
	c.ToldAt, c.AgeAt, c.EndsAt, c.NextTry, c.Report.At = kept(a.ToldAt), kept(a.AgeAt), kept(a.EndsAt), kept(a.NextTry), kept(a.Report.At)
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

// copyGroup copies a group without its members.
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

// upTo returns the first of all, up to a limit.
func upTo[T any](all []T, limit int) []T { return all[:max(min(len(all), limit), 0)] }

// isFirst reports whether an alert waits to join a storm, or to be sent for the first time, and is due.
func isFirst(a *alerting.Alert, now time.Time) bool {
	return isDue(a, now) && a.Class() >= 0 && a.Class().Kind() == alerting.Firsts
}

// isDue reports whether an alert may be sent now.
func isDue(a *alerting.Alert, now time.Time) bool {
	return a.Pending && !a.Claimed && moment(a.NextTry) <= moment(now)
}
