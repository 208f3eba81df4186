package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Load copies the rows of keys into rows, except those that rows has already.
func (t *tx) Load(_ context.Context, keys alerting.Keys, rows *alerting.Rows) error {
	t.loadAlerts(keys, rows)
	for _, id := range keys.Groups {
		t.loadGroup(id, rows)
	}
	for _, id := range keys.Outbox {
		if o := t.outbox[id]; o != nil {
			set(&rows.Outbox, id, copyItem(o))
		}
	}
	for _, ref := range keys.Behind {
		set(&rows.Behind, ref, t.behind(ref))
	}
	for _, id := range keys.Letters {
		if l := t.letters[id]; l != nil {
			set(&rows.Letters, id, copyLetter(l))
		}
	}
	for _, k := range keys.Proven {
		_, proven := t.proven[k]
		set(&rows.Proven, k, proven)
	}
	for _, guid := range keys.Devices {
		if d, seen := t.devices[guid]; seen {
			set(&rows.Devices, guid, d.at)
		}
	}
	if keys.Fleet != (alerting.FleetQuery{}) {
		rows.Fleet = t.countFleet(keys.Fleet)
	}
	if keys.Volumes {
		rows.Volumes = t.volumes
		rows.LastLetter, rows.LastItem = t.lastLetter, t.lastItem
	}
	if keys.Orders {
		rows.Silences, rows.Closings = inOrder(t.silences), inOrder(t.closings)
	}
	for _, k := range keys.Busy {
		set(&rows.Busy, k, t.isBusy(k))
	}
	return nil
}

// isBusy reports whether an alert or outbox item of an integration key waits or is claimed, or a repeat has failed.
func (r *rows) isBusy(k ilert.IntegrationKey) bool {
	if len(r.pending[k])+len(r.queues[k]) > 0 {
		return true
	}
	for id, a := range r.alerts {
		if id.Integration == k && (a.Claimed || !a.RepeatAt.IsZero() && a.Tries > 0) {
			return true
		}
	}
	return false
}

// set sets an entry of a map that may be nil.
func set[K comparable, V any](in *map[K]V, k K, v V) {
	if *in == nil {
		*in = map[K]V{}
	}
	(*in)[k] = v
}

func (t *tx) loadAlerts(keys alerting.Keys, rows *alerting.Rows) {
	for _, id := range keys.Alerts {
		t.loadAlert(id, rows)
	}
	for _, query := range keys.Storms {
		members := t.stormMembers(query)
		for _, id := range members.Members {
			t.loadAlert(id, rows)
		}
		set(&rows.Storms, query, members)
	}
	for _, query := range keys.Rules {
		page := t.rulePage(query)
		for _, id := range page.Alerts {
			t.loadAlert(id, rows)
		}
		set(&rows.Rules, query.Rule, page)
	}
	for _, query := range keys.Prefixes {
		page := t.prefixPage(query)
		for _, id := range page.Alerts {
			t.loadAlert(id, rows)
		}
		set(&rows.Prefixes, query.Prefix, page)
	}
}

// prefixPage returns the alerts whose identities begin with a prefix.
func (t *tx) prefixPage(query alerting.PrefixQuery) (page alerting.PrefixPage) {
	for id := range t.alerts {
		if id.HasPrefix(query.Prefix) && id.Folded > query.From {
			page.Alerts = append(page.Alerts, id)
		}
	}
	slices.SortFunc(page.Alerts, compareIDs)
	page.Alerts = upTo(page.Alerts, query.Limit)
	page.Full = len(page.Alerts) == query.Limit
	return page
}

func (t *tx) loadAlert(id alerting.AlertID, rows *alerting.Rows) {
	if _, read := rows.Alerts[id]; read {
		return
	}
	a := t.alerts[id]
	if a != nil {
		set(&rows.Alerts, id, copyAlert(a))
		return
	}
	set(&rows.Alerts, id, nil)
	if report, has := t.ended[id]; has {
		set(&rows.Ended, id, report)
	}
}

// countFleet counts the devices.
func (t *tx) countFleet(query alerting.FleetQuery) (n alerting.FleetCount) {
	for _, d := range t.devices {
		if n.Oldest.IsZero() || d.first.Before(n.Oldest) {
			n.Oldest = d.first
		}
		if moment(d.at) <= moment(query.SeenAfter) {
			continue
		}
		n.Size++
		if moment(d.first) > moment(query.NewAfter) {
			n.New++
		}
	}
	return n
}

func (t *tx) loadGroup(id alerting.GroupID, rows *alerting.Rows) {
	if _, read := rows.Groups[id]; !read {
		set(&rows.Groups, id, t.group(id))
	}
}

// group returns a group with its members, or nil if there is none.
func (t *tx) group(id alerting.GroupID) *alerting.Group {
	g := t.groups[id]
	if g == nil {
		return nil
	}
	g = copyGroup(g)
	g.Members = map[string]*alerting.GroupMember{}
	for name, m := range t.members[id] {
		g.Members[name] = &m
	}
	return g
}

func (t *tx) stormMembers(query alerting.StormQuery) (all alerting.StormMembers) {
	var untold, told []alerting.AlertID
	for id, a := range t.alerts {
		switch {
		case id.Integration != query.Key || a.Rule != query.Rule || a.Storm != alerting.InStorm:
		case a.Pending:
			untold = append(untold, id)
		default:
			told = append(told, id)
		}
	}
	all.Size, all.Untold, all.Members = len(untold)+len(told), len(untold), untold
	if len(untold) == 0 {
		all.Members = told
	}
	slices.SortFunc(all.Members, compareIDs)
	all.Members = upTo(all.Members, query.Limit)
	return all
}

func (t *tx) rulePage(query alerting.RuleQuery) (page alerting.RulePage) {
	if query.Rule == "" {
		return page // these alerts belong to no rule
	}
	for id, a := range t.alerts {
		if a.Rule == query.Rule && a.Epoch < query.Epoch {
			page.Alerts = append(page.Alerts, id)
		}
	}
	for id, g := range t.groups {
		if id.Rule == query.Rule && g.Epoch < query.Epoch {
			page.Groups = append(page.Groups, id)
		}
	}
	slices.SortFunc(page.Alerts, compareIDs)
	slices.SortFunc(page.Groups, compareGroups)
	page.Alerts, page.Groups = upTo(page.Alerts, query.Limit), upTo(page.Groups, query.Limit)
	return page
}

// behind returns the event types of the items behind an item that have the same alert key.
func (t *tx) behind(ref alerting.OutboxRef) (types []ilert.Type) {
	const next = 1000
	ids := slices.Sorted(maps.Keys(t.queues[ref.Alert.Integration]))
	ids = slices.DeleteFunc(ids, func(id int64) bool { return id <= ref.ID })
	for _, id := range upTo(ids, next) {
		if o := t.outbox[id]; ref.Alert.Folded != "" && o.Alert == ref.Alert {
			types = append(types, o.EventType)
		}
	}
	return types
}
