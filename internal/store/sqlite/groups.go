package sqlite

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/alerting"
)

const groupColumns = `rule, grp, epoch, spec, buckets, integration_key, folded_key, hold, size, untold, peak, latest, last_true, check_at, in_a_row, by_or, was_hits, was_of`

// scanGroup reads a group without its members.
func scanGroup(r *row) *alerting.Group {
	g := &alerting.Group{ID: alerting.GroupID{Rule: r.text(), Group: r.text()}, Epoch: r.int64(), Members: map[string]*alerting.GroupMember{}}
	r.json(&g.Window)
	r.json(&g.Buckets)
	g.Alert = alerting.AlertID{Integration: r.key(), Folded: r.text()}
	g.Hold = r.duration()
	g.Size, g.Untold, g.Peak = r.int(), r.int(), r.int()
	g.Latest, g.LastTrue, g.CheckAt = r.time(), r.time(), r.time()
	g.Row, g.ByOr, g.WasHits, g.WasOf = r.int(), r.bool(), r.int(), r.int()
	return g
}

// groupsOf returns the names of groups by rule: a statement is about the groups of one rule.
func groupsOf(ids []alerting.GroupID) map[string][]string {
	names := map[string][]string{}
	for _, id := range ids {
		names[id.Rule] = append(names[id.Rule], id.Group)
	}
	return names
}

func (t *tx) loadGroups(keys *alerting.Keys, rows *alerting.Rows) error {
	if len(keys.Groups) == 0 {
		return nil
	}
	groups := mapIn(&rows.Groups)
	var unread []alerting.GroupID
	for _, id := range keys.Groups {
		if _, read := groups[id]; !read {
			groups[id] = nil
			unread = append(unread, id)
		}
	}
	var found []*alerting.Group
	for rule, names := range groupsOf(unread) {
		err := eachOf(t, func(r *row) {
			g := scanGroup(r)
			groups[g.ID] = g
			found = append(found, g)
		}, `SELECT `+groupColumns+` FROM window_group WHERE rule = ? AND grp IN (LIST)`, names, rule)
		if err != nil {
			return err
		}
	}
	return t.loadMembers(found)
}

// loadMembers reads the members of groups.
func (t *tx) loadMembers(groups []*alerting.Group) error {
	byRule := map[string]map[string]*alerting.Group{}
	for _, g := range groups {
		if byRule[g.ID.Rule] == nil {
			byRule[g.ID.Rule] = map[string]*alerting.Group{}
		}
		byRule[g.ID.Rule][g.ID.Group] = g
	}
	for rule, of := range byRule {
		err := eachOf(t, func(r *row) {
			g := of[r.text()]
			g.Members[r.text()] = &alerting.GroupMember{At: r.time(), Told: r.bool(), State: alerting.MemberState(r.int()), Since: r.time()}
		}, `SELECT grp, member, at, told, state, since FROM member WHERE rule = ? AND grp IN (LIST)`, slices.Collect(maps.Keys(of)), rule)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveGroups(c *alerting.Changes) error {
	for rule, names := range groupsOf(c.NoGroups) {
		if err := execOf(t, `DELETE FROM window_group WHERE rule = ? AND grp IN (LIST)`, names, rule); err != nil {
			return err
		}
		if err := execOf(t, `DELETE FROM member WHERE rule = ? AND grp IN (LIST)`, names, rule); err != nil {
			return err
		}
	}
	for _, g := range c.Groups {
		t.epoch = max(t.epoch, g.Epoch)
		window, err := json.Marshal(g.Window)
		if err != nil {
			return err
		}
		buckets, err := json.Marshal(g.Buckets)
		if err != nil {
			return err
		}
		err = t.exec(`INSERT OR REPLACE INTO window_group (`+groupColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
			g.ID.Rule, g.ID.Group, g.Epoch, string(window), string(buckets), g.Alert.Integration.Text(), g.Alert.Folded, g.Hold.Milliseconds(),
			g.Size, g.Untold, g.Peak, millis(g.Latest), millis(g.LastTrue), millis(g.CheckAt), g.Row, g.ByOr, g.WasHits, g.WasOf)
		if err != nil {
			return err
		}
	}
	return nil
}

// membersPerInsert is the number of members that one statement writes. It is small, because the driver binds
// arguments in a time that grows with the square of their number.
const membersPerInsert = 16

const insertMember = `INSERT OR REPLACE INTO member (rule, grp, member, at, told, state, since) VALUES (?,?,?,?,?,?,?)`

var insertMembers = insertMember + strings.Repeat(`,(?,?,?,?,?,?,?)`, membersPerInsert-1)

func (t *tx) saveMembers(c *alerting.Changes) error {
	for _, id := range c.NoMembers {
		if err := t.exec(`DELETE FROM member WHERE rule = ? AND grp = ? AND member = ?`, id.Group.Rule, id.Group.Group, id.Name); err != nil {
			return err
		}
	}
	if len(c.Members) == 0 {
		return nil
	}
	// In the order of the table, rows that are neighbours are written to the same page of the file.
	ids := slices.SortedFunc(maps.Keys(c.Members), func(a, b alerting.MemberID) int {
		return cmp.Or(cmp.Compare(a.Group.Rule, b.Group.Rule), cmp.Compare(a.Group.Group, b.Group.Group), cmp.Compare(a.Name, b.Name))
	})
	args := make([]any, 0, 7*membersPerInsert)
	for some := range slices.Chunk(ids, membersPerInsert) {
		args = args[:0]
		for _, id := range some {
			m := c.Members[id]
			args = append(args, id.Group.Rule, id.Group.Group, id.Name, millis(m.At), m.Told, int(m.State), millis(m.Since))
		}
		if len(some) == membersPerInsert {
			if err := t.exec(insertMembers, args...); err != nil {
				return err
			}
			continue
		}
		for one := range slices.Chunk(args, 7) {
			if err := t.exec(insertMember, one...); err != nil {
				return err
			}
		}
	}
	return nil
}
