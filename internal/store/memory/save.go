package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Save writes changes.
func (t *tx) Save(_ context.Context, changes *alerting.Changes) error {
	if err := t.writable(); err != nil {
		return err
	}
	touched := map[ilert.IntegrationKey]struct{}{}
	t.saveAlerts(changes, touched)
	t.saveResolutions(changes)
	t.saveGroups(changes)
	t.saveOutbox(changes, touched)
	t.saveLetters(changes)
	t.saveOrders(changes)
	t.saveRules(changes)
	t.saveArrivals(changes)
	t.saveRest(changes)
	t.saveLanes(changes, touched)
	return nil
}

func (t *tx) saveAlerts(changes *alerting.Changes, touched map[ilert.IntegrationKey]struct{}) {
	for _, id := range changes.NoAlerts {
		t.removeAlert(id)
		touched[id.Integration] = struct{}{}
	}
	for _, a := range changes.Alerts {
		t.putAlert(copyAlert(a))
		t.epoch = max(t.epoch, a.Epoch)
		touched[a.ID.Integration] = struct{}{}
	}
	if !changes.EndedBefore.IsZero() {
		for id, report := range t.ended {
			if moment(report.At) <= moment(changes.EndedBefore) {
				remove(t.rows, t.ended, id)
			}
		}
	}
	for id, report := range changes.Ended {
		report.At = kept(report.At)
		put(t.rows, t.ended, id, report)
	}
}

func (t *tx) saveGroups(changes *alerting.Changes) {
	for _, id := range changes.NoGroups {
		remove(t.rows, t.groups, id)
		remove(t.rows, t.members, id)
	}
	for _, g := range changes.Groups {
		put(t.rows, t.groups, g.ID, copyGroup(g))
		t.epoch = max(t.epoch, g.Epoch)
	}
	changed := map[alerting.GroupID]map[string]alerting.GroupMember{}
	of := func(id alerting.GroupID) map[string]alerting.GroupMember {
		if changed[id] == nil {
			changed[id] = maps.Clone(t.members[id])
		}
		if changed[id] == nil {
			changed[id] = map[string]alerting.GroupMember{}
		}
		return changed[id]
	}
	for _, id := range changes.NoMembers {
		delete(of(id.Group), id.Name)
	}
	for id, m := range changes.Members {
		m.At, m.Since = kept(m.At), kept(m.Since)
		of(id.Group)[id.Name] = m
	}
	for id, all := range changed {
		put(t.rows, t.members, id, all)
	}
}

func (t *tx) saveOutbox(changes *alerting.Changes, touched map[ilert.IntegrationKey]struct{}) {
	for _, id := range changes.NoOutbox {
		if o := t.outbox[id]; o != nil {
			touched[o.Alert.Integration] = struct{}{}
			t.removeItem(id)
		}
	}
	for _, o := range changes.Outbox {
		if o.ID == 0 {
			t.lastItem++
			o.ID = t.lastItem
		}
		touched[o.Alert.Integration] = struct{}{}
		t.putItem(copyItem(o))
	}
	for k, at := range changes.Proven {
		if _, proven := t.proven[k]; !proven {
			put(t.rows, t.proven, k, kept(at))
		}
		for _, o := range t.queues[k] {
			if o.Unproven {
				o = copyItem(o)
				o.Unproven = false
				t.putItem(o)
			}
		}
	}
	if changes.MaxProven > 0 && len(t.proven) > changes.MaxProven {
		keys := slices.SortedFunc(maps.Keys(t.proven), func(a, b ilert.IntegrationKey) int {
			return cmp.Or(t.proven[b].Compare(t.proven[a]), strings.Compare(a.Fingerprint(), b.Fingerprint()))
		})
		for _, k := range keys[changes.MaxProven:] {
			remove(t.rows, t.proven, k)
		}
	}
}

func (t *tx) saveLetters(changes *alerting.Changes) {
	for _, id := range changes.NoLetters {
		if l := t.letters[id]; l != nil {
			grow(&t.volumes.Letters, -1, l.Bytes())
			remove(t.rows, t.letters, id)
		}
	}
	for _, o := range changes.Overtaken {
		for id, l := range t.letters {
			if l.Kind == alerting.Sent && l.Alert == o.Alert && l.Alert.Folded != "" && slices.Contains(o.Contradict, l.EventType) {
				l = copyLetter(l)
				l.OvertakenBy = o.By
				put(t.rows, t.letters, id, l)
			}
		}
	}
	for _, l := range changes.Letters {
		if l.ID == 0 {
			t.lastLetter++
			l.ID = t.lastLetter
			grow(&t.volumes.Letters, 1, l.Bytes())
			put(t.rows, t.letters, l.ID, copyLetter(l))
		} else if there := t.letters[l.ID]; there != nil {
			there = copyLetter(there)
			there.Reason, there.DiedAt, there.Retry, there.Kept = l.Reason, kept(l.DiedAt), l.Retry, l.Kept
			put(t.rows, t.letters, l.ID, there)
		}
	}
	for _, id := range changes.Retry {
		if l := t.letters[id]; l != nil {
			l = copyLetter(l)
			l.Retry = true
			put(t.rows, t.letters, id, l)
		}
	}
}

func (t *tx) saveRules(changes *alerting.Changes) {
	for _, end := range changes.NoRuleEnds {
		remove(t.rows, t.ruleEnds, ruleEnd{end.Rule, end.Epoch})
	}
	for _, end := range changes.RuleEnds {
		end.At, end.Arrived, end.MaxSkew = kept(end.At), kept(end.Arrived), end.MaxSkew.Truncate(time.Millisecond)
		put(t.rows, t.ruleEnds, ruleEnd{end.Rule, end.Epoch}, end)
		t.epoch = max(t.epoch, end.Epoch)
	}
	for _, rule := range changes.NoRules {
		remove(t.rows, t.matched, rule)
	}
	for rule, n := range changes.Matched {
		put(t.rows, t.matched, rule, t.matched[rule]+n)
	}
	for filter, by := range changes.Tallies {
		n := t.tallies[filter]
		n.Received += by.Received
		n.Ignored += by.Ignored
		n.Duplicate += by.Duplicate
		n.Merged += by.Merged
		n.Delivered += by.Delivered
		n.Dead += by.Dead
		n.Purged += by.Purged
		put(t.rows, t.tallies, filter, n)
	}
}

func (t *tx) saveArrivals(changes *alerting.Changes) {
	for id := range t.arrivals {
		if id <= changes.NoArrivals {
			remove(t.rows, t.arrivals, id)
		}
	}
	if a := changes.Arrival; a != nil {
		t.lastArrival++
		a.ID = t.lastArrival
		put(t.rows, t.arrivals, a.ID, alerting.Arrival{ID: a.ID, At: kept(a.At), Prints: slices.Clone(a.Prints)})
	}
	for _, id := range changes.NoReceipts {
		remove(t.rows, t.receipts, id)
	}
	if r := changes.Receipt; r != nil {
		put(t.rows, t.receipts, r.ID, alerting.ReceiptRow{ID: r.ID, Session: r.Session, Receipts: copyBytes(r.Receipts)})
	}
	for one := range t.requests {
		if !changes.NoRequests.IsZero() && moment(one.at) <= moment(changes.NoRequests) {
			remove(t.rows, t.requests, one)
		}
	}
	for _, one := range changes.Requests {
		k := request{one.Key, kept(one.At)}
		put(t.rows, t.requests, k, t.requests[k]+one.N)
	}
	for k, until := range t.holds {
		if !changes.NoHolds.IsZero() && moment(until) <= moment(changes.NoHolds) {
			remove(t.rows, t.holds, k)
		}
	}
	for _, hold := range changes.Holds {
		if until := kept(hold.Until); until.After(t.holds[hold.Key]) {
			put(t.rows, t.holds, hold.Key, until)
		}
	}
}

func (t *tx) saveRest(changes *alerting.Changes) {
	for _, guid := range changes.NoDevices {
		remove(t.rows, t.devices, guid)
	}
	for _, d := range changes.Devices {
		at := kept(d.SeenAt)
		if before, known := t.devices[d.GUID]; !known {
			put(t.rows, t.devices, d.GUID, device{at, at})
		} else if at.After(before.at) {
			put(t.rows, t.devices, d.GUID, device{at, before.first})
		}
	}
	for _, c := range changes.Clocks {
		if c.Behind == 0 {
			remove(t.rows, t.clocks, c.Source)
			continue
		}
		c.Behind, c.HeardAt = c.Behind.Truncate(time.Millisecond), kept(c.HeardAt)
		put(t.rows, t.clocks, c.Source, c)
	}
	for _, s := range changes.Sequences {
		k := sequence{s.Source, s.Process}
		if s.State == nil {
			remove(t.rows, t.sequences, k)
			continue
		}
		s.HeardAt, s.State = kept(s.HeardAt), copyBytes(s.State)
		put(t.rows, t.sequences, k, s)
	}
	for client, filters := range changes.Subscribed {
		if len(filters) == 0 {
			remove(t.rows, t.subscribed, client)
			continue
		}
		put(t.rows, t.subscribed, client, slices.Compact(slices.Sorted(slices.Values(filters))))
	}
	t.saveAwaited(changes)
}

// saveLanes derives the lanes anew that the changes name or touch.
func (t *tx) saveLanes(changes *alerting.Changes, touched map[ilert.IntegrationKey]struct{}) {
	if changes.AllLanes {
		for k := range t.lanes {
			put(t.rows, t.lanes, k, lane{})
		}
	}
	for k, hold := range changes.Lanes {
		touched[k] = struct{}{}
		if hold != nil {
			put(t.rows, t.lanes, k, lane{hold: alerting.LaneHold{Any: kept(hold.Any), Singles: kept(hold.Singles)}})
		}
	}
	for k := range touched {
		t.derive(k)
	}
}

// derive sets the time at which a lane is due, or deletes the lane if nothing waits for it.
func (t *tx) derive(k ilert.IntegrationKey) {
	l := t.lanes[k]
	waits := false
	consider := func(due time.Time, others bool) {
		if !others {
			due = latest(due, l.hold.Singles)
		}
		if due = latest(due, l.hold.Any); !waits || due.Before(l.at) {
			l.at = due
		}
		waits = true
	}
	for _, a := range t.pending[k] {
		if class := a.Class(); class != alerting.NoClass && !a.Claimed {
			consider(a.NextTry, class.Kind() == alerting.Others)
		}
	}
	for _, a := range t.repeats[k] {
		consider(a.RepeatAt, false)
	}
	if head := t.head(k); head != nil && !head.Claimed {
		consider(head.NextTry, false)
	}
	if waits {
		put(t.rows, t.lanes, k, l)
	} else {
		remove(t.rows, t.lanes, k)
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// JoinStorms makes alerts members of storms.
func (t *tx) JoinStorms(_ context.Context, now time.Time, joins []alerting.StormJoin) ([]int, error) {
	if err := t.writable(); err != nil {
		return nil, err
	}
	counts := make([]int, len(joins))
	for i, join := range joins {
		var due []*alerting.Alert
		for _, a := range t.pending[join.Key] {
			if a.Rule == join.Rule && isFirst(a, now) {
				due = append(due, a)
			}
		}
		slices.SortFunc(due, compareDue)
		due = upTo(due, join.Limit)
		for _, a := range due {
			a = copyAlert(a)
			a.Storm = alerting.InStorm
			t.putAlert(a)
		}
		t.derive(join.Key)
		counts[i] = len(due)
	}
	return counts, nil
}
