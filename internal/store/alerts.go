package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// State says how it stands with an alert.
type State string

// The states.
const (
	IsOpen    State = "open"      // ilert was told of it
	Accepted  State = "accepted"  // ilert was told, too, that somebody looks after it
	Ending    State = "ending"    // ilert is to be told that it has ended
	Waits     State = "waits"     // ilert is to be told of it, now or again
	Delayed   State = "delayed"   // it waits for its time
	UnderWay  State = "under way" // a request is
	IsRefused State = "refused"   // ilert called what it was told invalid: see the dead letters
)

// Alert is what the store knows of an alert that is open or waits.
type Alert struct {
	Key   rules.Key
	Rule  string // empty: that of no rule
	Storm bool   // it speaks for many of the rule
	// Members are those of its window, or the alerts that a storm speaks for.
	Members  int
	Priority string
	State    State
	ToldAt   time.Time // when ilert took it last; zero if it did not yet
	// Of one that waits: since when, how often it was tried, and when it is told or tried.
	Since time.Time
	Tries int
	Until time.Time
}

// Alerts returns alerts that are open or wait, of one rule or of all (""), as of a time, in
// the order of their keys. It reads beside the work and holds up none of it.
func (s *Store) Alerts(ctx context.Context, now time.Time, rule string, most int) ([]Alert, error) {
	// A storm has the name of its rule for a group, since no rule raises it.
	rows, err := s.reader().QueryContext(ctx, `
		SELECT a.integration_key, a.alert_key, CASE WHEN a.storm = 2 THEN a.grp ELSE a.rule END, a.storm = 2, a.priority,
		       a.desired, a.told, a.told_at, a.pending, a.claimed, a.tries, a.received_at, a.next_try,
		       CASE WHEN a.storm = 2 THEN a.size WHEN a.windowed = 0 THEN 0
		            WHEN g.size > 0 THEN g.size
		            ELSE (SELECT count(*) FROM member m WHERE m.rule = a.rule AND m.grp = a.grp) END
		FROM alert a LEFT JOIN window_group g ON a.windowed = 1 AND g.rule = a.rule AND g.grp = a.grp
		WHERE ?1 = '' OR a.rule = ?1 OR a.storm = 2 AND a.grp = ?1
		ORDER BY a.integration_key, a.folded_key LIMIT ?2`, rule, most)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	var all []Alert
	for rows.Next() {
		var a Alert
		var desired, told ilert.Type
		var toldAt, receivedAt, nextTry int64
		var pending, claimed bool
		err := rows.Scan(&a.Key.Integration, &a.Key.Alert, &a.Rule, &a.Storm, &a.Priority,
			&desired, &told, &toldAt, &pending, &claimed, &a.Tries, &receivedAt, &nextTry, &a.Members)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		a.ToldAt = timeOf(toldAt)
		a.State = stateOf(desired, told, pending, claimed, a.Tries == 0 && nextTry > now.UnixMilli())
		if pending {
			a.Since, a.Until = timeOf(receivedAt), timeOf(nextTry)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return all, nil
}

func stateOf(desired, told ilert.Type, pending, claimed, later bool) State {
	switch {
	case claimed:
		return UnderWay
	case !pending && (desired == ilert.Resolve || told == nothing || isUnsure(told)):
		return IsRefused
	case desired == ilert.Resolve:
		return Ending
	case told == nothing && pending && later:
		return Delayed
	case told == nothing || isUnsure(told):
		return Waits
	case desired == ilert.Accept:
		return Accepted
	default:
		return IsOpen
	}
}

// IsRaised says whether an alert should be open, be it that ilert was told of it or not.
func (s *Store) IsRaised(ctx context.Context, k rules.Key) (raised bool, err error) {
	return s.isRaised(ctx, keyOf(k))
}

func (s *Store) isRaised(ctx context.Context, k key) (raised bool, err error) {
	err = s.reader().QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM alert WHERE integration_key = ? AND folded_key = ? AND desired <> 'RESOLVE')`,
		k.integration, k.folded).Scan(&raised)
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	return raised, nil
}

// Counted is what the window of a group has counted.
type Counted struct {
	Window  rules.Window // as the rule had it at the last hit
	Hits    int
	Of      int // what they are a part of; with Fleet how many devices there are
	Members int
	Raised  bool // its alert is
}

// Counted returns what the window of a group had counted at the last message, and false if
// there is none.
func (s *Store) Counted(ctx context.Context, rule, of string) (n Counted, exists bool, err error) {
	g := &group{groupKey: groupKey{rule, of}}
	var spec, buckets string
	var latest int64
	db := s.reader()
	err = db.QueryRowContext(ctx, `SELECT spec, buckets, integration_key, folded_key, size, latest FROM window_group WHERE rule = ? AND grp = ?`, rule, of).
		Scan(&spec, &buckets, &g.key.integration, &g.key.folded, &g.size, &latest)
	if errors.Is(err, sql.ErrNoRows) {
		return n, false, nil
	}
	if err == nil {
		err = g.decode(spec, buckets)
	}
	if err != nil {
		return n, false, fmt.Errorf("store: %w", err)
	}
	g.latest = timeOf(latest)
	n.Window = g.spec
	n.Hits, n.Of = g.sums(g.latest)
	if n.Raised, err = s.isRaised(ctx, g.key); err != nil {
		return n, false, err
	}
	if n.Members = g.size; !g.spec.Held || !n.Raised {
		err = db.QueryRowContext(ctx, `SELECT count(*) FROM member WHERE rule = ? AND grp = ? AND at > ?`,
			rule, of, millis(g.latest.Add(-g.spec.Length))).Scan(&n.Members)
	}
	if err == nil && g.spec.Fleet {
		err = db.QueryRowContext(ctx, `SELECT count(*) FROM device WHERE seen_at > ?`, millis(g.latest.Add(-fleetMemory))).Scan(&n.Of)
	}
	if err != nil {
		return n, false, fmt.Errorf("store: %w", err)
	}
	return n, true, nil
}
