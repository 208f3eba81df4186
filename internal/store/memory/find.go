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

// nextDue returns the earliest time at which a row is due, and false if there is none.
func (r *rows) nextDue() (at time.Time, due bool) {
	first := func(t time.Time) {
		if !due || t.Before(at) {
			at, due = t, true
		}
	}
	for _, l := range r.lanes {
		first(time.UnixMilli(moment(l.at)))
	}
	for _, a := range r.alerts {
		if !a.EndsAt.IsZero() {
			first(a.EndsAt)
		}
	}
	for _, g := range r.groups {
		if !g.CheckAt.IsZero() {
			first(g.CheckAt)
		}
	}
	for _, end := range r.ruleEnds {
		first(time.UnixMilli(moment(end.Arrived)))
	}
	return at, due
}

// FindDue returns the alerts, groups and lanes that are due.
func (t *tx) FindDue(_ context.Context, now time.Time, listened time.Duration, maxEnds, maxLanes int) (due alerting.Due, err error) {
	due.Alerts, due.Groups = t.dueEnds(now, maxEnds)
	due.Delayed, due.NextDelay = t.dueDelays(listened, maxEnds)
	due.Lanes = t.dueLanes(now, maxLanes)
	return due, nil
}

// dueEnds returns the alerts and groups whose time has come.
func (t *tx) dueEnds(now time.Time, limit int) (alerts []*alerting.Alert, groups []*alerting.Group) {
	for _, a := range t.alerts {
		if !a.EndsAt.IsZero() && moment(a.EndsAt) <= moment(now) {
			alerts = append(alerts, copyAlert(a))
		}
	}
	slices.SortFunc(alerts, func(a, b *alerting.Alert) int { return cmp.Or(a.EndsAt.Compare(b.EndsAt), compareIDs(a.ID, b.ID)) })
	var due []*alerting.Group
	for _, g := range t.groups {
		if !g.CheckAt.IsZero() && moment(g.CheckAt) <= moment(now) {
			due = append(due, g)
		}
	}
	slices.SortFunc(due, func(a, b *alerting.Group) int { return cmp.Or(a.CheckAt.Compare(b.CheckAt), compareGroups(a.ID, b.ID)) })
	for _, g := range upTo(due, limit) {
		groups = append(groups, t.group(g.ID))
	}
	return upTo(alerts, limit), groups
}

// dueDelays returns the delayed alerts that are due, and when the next one is.
func (r *rows) dueDelays(listened time.Duration, limit int) (due []*alerting.Alert, next time.Duration) {
	for _, a := range r.delayed {
		if next == 0 || delayOf(a) < next {
			next = delayOf(a)
		}
	}
	if next == 0 || next > listened || limit == 0 {
		return nil, next
	}
	all := slices.Collect(maps.Values(r.delayed))
	slices.SortFunc(all, func(a, b *alerting.Alert) int {
		return cmp.Or(cmp.Compare(delayOf(a), delayOf(b)), compareIDs(a.ID, b.ID))
	})
	for _, a := range all {
		if delayOf(a) > listened || len(due) == limit {
			return due, delayOf(a)
		}
		due = append(due, copyAlert(a))
	}
	return due, 0
}

// delayOf returns the listened time at which a delayed alert is due.
func delayOf(a *alerting.Alert) time.Duration { return a.Delay + a.Heard }

// dueLanes returns the integration keys whose lanes are due.
func (t *tx) dueLanes(now time.Time, limit int) (keys []ilert.IntegrationKey) {
	for k, l := range t.lanes {
		if moment(l.at) <= moment(now) {
			keys = append(keys, k)
		}
	}
	rank := func(k ilert.IntegrationKey) int {
		_, literal := k.Literal()
		if _, proven := t.proven[k]; literal && !proven {
			return 1
		}
		return 0
	}
	slices.SortFunc(keys, func(a, b ilert.IntegrationKey) int {
		return cmp.Or(rank(a)-rank(b), t.lanes[a].at.Compare(t.lanes[b].at), compareKeys(a, b))
	})
	return upTo(keys, limit)
}

// FindWork returns the rows of lanes that are due.
func (t *tx) FindWork(_ context.Context, now time.Time, lanes []alerting.LaneQuery) ([]alerting.LaneWork, error) {
	all := make([]alerting.LaneWork, len(lanes))
	for i, query := range lanes {
		all[i] = t.laneWork(query, now)
	}
	return all, nil
}

func (t *tx) laneWork(query alerting.LaneQuery, now time.Time) (work alerting.LaneWork) {
	var classes [alerting.Classes][]*alerting.Alert
	for _, a := range t.pending[query.Key] {
		if class := a.Class(); class != alerting.NoClass && isDue(a, now) {
			classes[class] = append(classes[class], a)
		}
	}
	for class, due := range classes {
		slices.SortFunc(due, compareDue)
		limit := query.Singles
		if alerting.SendClass(class).Kind() == alerting.Others {
			limit = query.Any
		}
		for _, a := range upTo(due, limit) {
			work.Alerts = append(work.Alerts, copyAlert(a))
		}
	}
	if head := t.head(query.Key); head != nil && !head.Claimed && moment(head.NextTry) <= moment(now) {
		work.Head = copyItem(head)
	}
	if query.Minute > 0 {
		t.countBacklog(query, now, &work)
	}
	return work
}

// compareDue compares alerts of one class and integration key by the order of alerting.LaneWork.
func compareDue(a, b *alerting.Alert) int {
	return cmp.Or(a.NextTry.Compare(b.NextTry), strings.Compare(a.Rule, b.Rule), strings.Compare(a.ID.Folded, b.ID.Folded))
}

// countBacklog counts the alerts of a lane that wait for their first notice, and those of each rule if they are many.
func (t *tx) countBacklog(query alerting.LaneQuery, now time.Time, work *alerting.LaneWork) {
	firsts, untold := 0, 0
	rules := map[string]alerting.RuleBacklog{}
	for _, a := range t.pending[query.Key] {
		if a.Storm == alerting.InStorm {
			untold++
		}
		if !isFirst(a, now) {
			continue
		}
		firsts++
		priority := int(a.Class() / alerting.Kinds)
		backlog, counted := rules[a.Rule]
		if !counted || priority < backlog.Priority {
			backlog.Priority = priority
		}
		backlog.Rule, backlog.N = a.Rule, backlog.N+1
		rules[a.Rule] = backlog
	}
	work.Waiting = min(firsts, query.Minute+1) + min(untold, query.Minute+1)
	if work.Waiting <= query.Minute {
		return
	}
	delete(rules, "") // these alerts belong to no rule
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		work.Rules = append(work.Rules, rules[rule])
	}
}

// head returns the first outbox item of an integration key, or nil if there is none.
func (r *rows) head(k ilert.IntegrationKey) (first *alerting.OutboxItem) {
	for id, o := range r.queues[k] {
		if first == nil || id < first.ID {
			first = o
		}
	}
	return first
}

// FindRules counts the open alerts of each rule.
func (t *tx) FindRules(context.Context) (all []alerting.RuleCount, err error) {
	type ruleKey struct {
		rule string
		key  ilert.IntegrationKey
	}
	rules, open := map[string]bool{}, map[ruleKey]int{}
	for id, a := range t.alerts {
		of := ruleKey{a.Rule, id.Integration}
		n := open[of]
		if a.Desired != ilert.Resolve {
			n++
		}
		open[of], rules[a.Rule] = n, true
	}
	for of, n := range open {
		all = append(all, alerting.RuleCount{Rule: of.rule, Key: of.key, Open: n})
	}
	for id := range t.groups {
		if !rules[id.Rule] {
			rules[id.Rule] = true
			all = append(all, alerting.RuleCount{Rule: id.Rule})
		}
	}
	for rule := range t.matched {
		if !rules[rule] {
			rules[rule] = true
			all = append(all, alerting.RuleCount{Rule: rule})
		}
	}
	all = slices.DeleteFunc(all, func(n alerting.RuleCount) bool { return n.Rule == "" })
	slices.SortFunc(all, func(a, b alerting.RuleCount) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), compareKeys(a.Key, b.Key))
	})
	return all, nil
}

// FindLetters returns the chosen dead letters.
func (t *tx) FindLetters(_ context.Context, which alerting.LetterQuery) (all []alerting.Stored, err error) {
	for _, l := range t.chosen(which) {
		all = append(all, alerting.Stored{ID: l.ID, Filter: l.Filter, Retry: l.Retry, Bytes: l.Bytes()})
	}
	return all, nil
}

// FindOutbox returns the chosen outbox items.
func (t *tx) FindOutbox(_ context.Context, which alerting.OutboxQuery) (all []alerting.Stored, err error) {
	for _, id := range slices.Sorted(maps.Keys(t.outbox)) {
		o := t.outbox[id]
		switch {
		case which.Filter != "" && o.Cause.Filter != which.Filter,
			which.Topic != "" && o.Cause.Topic != which.Topic,
			!which.Before.IsZero() && moment(o.QueuedAt) >= moment(which.Before),
			which.Key != nil && o.Alert.Integration != *which.Key,
			which.UpTo > 0 && id > which.UpTo,
			which.Proven && (o.Unproven || o.Claimed),
			which.Unproven && !o.Unproven:
			continue
		}
		all = append(all, alerting.Stored{ID: id, Filter: o.Cause.Filter, Key: o.Alert.Integration, Unproven: o.Unproven, Bytes: o.Bytes()})
		if len(all) == which.Limit {
			break
		}
	}
	return all, nil
}

// FindDevices returns the devices that were not seen after a time.
func (t *tx) FindDevices(_ context.Context, before time.Time, limit int) (guids []string, total int, err error) {
	for guid, d := range t.devices {
		if moment(d.at) <= moment(before) {
			guids = append(guids, guid)
		}
	}
	slices.SortFunc(guids, func(a, b string) int { return cmp.Or(t.devices[a].at.Compare(t.devices[b].at), strings.Compare(a, b)) })
	return upTo(guids, limit), len(t.devices), nil
}
