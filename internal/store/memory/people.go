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

// earlier returns the earlier of two times. A zero time stands for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Status counts what the store holds.
func (s *Store) Status(ctx context.Context, now time.Time) (alerting.Status, error) {
	if err := s.wait(ctx); err != nil {
		return alerting.Status{}, err
	}
	defer s.release()
	r := s.rows
	all := alerting.Status{
		Tallies: maps.Clone(r.tallies), Matches: maps.Clone(r.matched), LetterBytes: uint64(r.volumes.Letters.Bytes),
		Outbox: uint64(r.volumes.Outbox.Rows), OutboxBytes: uint64(r.volumes.Outbox.Bytes), Unproven: uint64(r.volumes.Unproven.Rows),
	}
	waits := func(filter string) {
		if n, counted := all.Tallies[filter]; counted {
			n.Pending++
			all.Tallies[filter] = n
		}
	}
	for _, a := range r.alerts {
		if a.Told == ilert.Alert || a.Told == ilert.Accept {
			all.Open++
		}
		if a.Pending {
			waits(a.Cause.Filter)
			countWaiting(a, now, &all)
		}
	}
	keys := map[ilert.IntegrationKey]bool{}
	var first *alerting.OutboxItem
	for id, o := range r.outbox {
		waits(o.Cause.Filter)
		if first == nil || id < first.ID {
			first = o
		}
		if o.Unproven {
			keys[o.Alert.Integration] = true
			all.OldestUnproven = earlier(all.OldestUnproven, o.QueuedAt)
		}
	}
	if first != nil {
		all.Oldest = earlier(all.Oldest, first.Cause.ReceivedAt)
	}
	all.UnprovenKeys = uint64(len(keys))
	return all, nil
}

// countWaiting adds a pending alert to the counts.
func countWaiting(a *alerting.Alert, now time.Time, all *alerting.Status) {
	due := moment(a.NextTry) <= moment(now)
	switch {
	case a.Silence != 0:
		all.Silenced++
		return
	case a.HeldBy != "":
		all.Held++
		return
	case a.Claimed:
		all.Claimed++
	case a.IsEndHeldUnsent(), a.Delay > 0:
		all.Later++
		return
	case a.Tries > 0 || due:
		all.Waiting++
	default:
		all.Later++
	}
	switch {
	case a.Tries > 0:
		all.Oldest = earlier(all.Oldest, a.Cause.ReceivedAt)
	case due:
		all.Oldest = earlier(all.Oldest, a.NextTry)
	}
}

// Alerts returns the alerts of a rule, or all.
func (s *Store) Alerts(ctx context.Context, rule string, limit int) (all []alerting.AlertWithMembers, err error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	for _, a := range s.rows.alerts {
		// No rule raises a storm. Its group is the rule of its members.
		if rule == "" || a.Rule == rule || a.Storm == alerting.IsStorm && a.Group == rule {
			all = append(all, alerting.AlertWithMembers{Alert: *copyAlert(a), Members: s.rows.countMembers(a)})
		}
	}
	slices.SortFunc(all, func(a, b alerting.AlertWithMembers) int { return compareIDs(a.ID, b.ID) })
	return upTo(all, limit), nil
}

// AlertsWithKey returns the alerts of all integration keys that have a folded alert key.
func (s *Store) AlertsWithKey(ctx context.Context, folded string) (all []alerting.AlertWithMembers, err error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	for id, a := range s.rows.alerts {
		if id.Folded == folded {
			all = append(all, alerting.AlertWithMembers{Alert: *copyAlert(a), Members: s.rows.countMembers(a)})
		}
	}
	slices.SortFunc(all, func(a, b alerting.AlertWithMembers) int { return compareIDs(a.ID, b.ID) })
	return all, nil
}

func (r *rows) countMembers(a *alerting.Alert) int {
	of := alerting.GroupID{Rule: a.Rule, Group: a.Group}
	switch g := r.groups[of]; {
	case a.Storm == alerting.IsStorm:
		return a.Size
	case !a.Windowed:
		return 0
	case g != nil && g.Size > 0:
		return g.Size
	}
	return len(r.members[of])
}

// Letters returns the chosen dead letters.
func (s *Store) Letters(ctx context.Context, which alerting.LetterQuery) (all []alerting.Letter, err error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	for _, l := range s.rows.chosen(which) {
		all = append(all, *copyLetter(l))
	}
	return all, nil
}

// chosen returns the chosen dead letters in their order.
func (r *rows) chosen(which alerting.LetterQuery) (all []*alerting.Letter) {
	if !which.ChoosesLetters() {
		return nil
	}
	reason := strings.ToLower(which.Reason)
	for id, l := range r.letters {
		switch {
		case len(which.IDs) > 0 && !slices.Contains(which.IDs, id),
			id <= which.After, which.UpTo > 0 && id > which.UpTo,
			which.Filter != "" && l.Filter != which.Filter,
			which.Topic != "" && l.Topic != which.Topic,
			!strings.Contains(strings.ToLower(l.Reason), reason),
			!which.Before.IsZero() && moment(l.DiedAt) >= moment(which.Before),
			which.Retry && !l.Retry:
			continue
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *alerting.Letter) int {
		if byDeath := a.DiedAt.Compare(b.DiedAt); which.Oldest && byDeath != 0 {
			return byDeath
		}
		return cmp.Compare(a.ID, b.ID)
	})
	if which.Limit > 0 {
		all = upTo(all, which.Limit)
	}
	return all
}

// WaitingKeys returns the literal integration keys for which chosen outbox items wait.
func (s *Store) WaitingKeys(ctx context.Context, which alerting.LetterQuery) (all []alerting.WaitingKey, err error) {
	if !which.ChoosesWaiting() {
		return nil, nil
	}
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	for k, items := range s.rows.queues {
		if _, literal := k.Literal(); !literal || !which.Names(k) {
			continue
		}
		if w := waitingKey(k, items, which); w.Items > 0 && (w.Unproven || w.Tries > 0 || len(which.Keys) > 0) {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b alerting.WaitingKey) int { return cmp.Or(a.Since.Compare(b.Since), compareKeys(a.Key, b.Key)) })
	return all, nil
}

func waitingKey(k ilert.IntegrationKey, items map[int64]*alerting.OutboxItem, which alerting.LetterQuery) alerting.WaitingKey {
	w := alerting.WaitingKey{Key: k}
	for _, id := range slices.Sorted(maps.Keys(items)) {
		o := items[id]
		if which.Filter != "" && o.Cause.Filter != which.Filter || which.Topic != "" && o.Cause.Topic != which.Topic ||
			!which.Before.IsZero() && moment(o.QueuedAt) >= moment(which.Before) {
			continue
		}
		if w.Items == 0 {
			w.Topic = o.Cause.Topic
		}
		w.Items++
		w.Tries = max(w.Tries, o.Tries)
		w.Unproven = w.Unproven || o.Unproven
		w.Since = earlier(w.Since, o.QueuedAt)
	}
	return w
}
