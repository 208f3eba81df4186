package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/mps-events/mps-events/internal/ilert"
)

// change is one transaction. It reads each row once, however many messages touch
// it, and writes what has changed at its end.
type change struct {
	ctx     context.Context
	tx      *sql.Tx
	prepare *statements
	stmts   map[string]statement // of this transaction
	rows    map[key]*alert       // nil: known not to be there
	dirty   map[key]struct{}
	groups  map[groupKey]*group            // likewise
	lanes   map[ilert.IntegrationKey]*lane // of what has changed
	count   fates
	matched map[string]uint64
	fleet   fleet

	arrivals arrivals
	received received
	unproven unproven
	sent     *bool        // whether there are dead letters of the outbox; nil: not known
	ends     map[key]said // of alerts that are no more
	bounds   *Bounds
	grown    map[string]volume // by table
	overflow Purged            // to keep the bounds
}

// change does something in a transaction. Only waiting for its turn ends with ctx: it is
// short, and to be able to stop in the middle would cost a goroutine for each query.
func (s *Store) change(ctx context.Context, do func(*change) error) error {
	if err := s.transact(ctx, do); err != nil {
		return fmt.Errorf("store: %w", s.fault(err))
	}
	return nil
}

func (s *Store) transact(ctx context.Context, do func(*change) error) error {
	if damage := s.damaged.Load(); damage != nil {
		return *damage
	}
	began := time.Now()
	if err := s.prepare.catchUp(ctx, s.db); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if lock := s.locked.Load(); lock != nil && lock.found.After(began) {
		return lock.err // to wait for it in turn would hold up those behind
	}
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		var failed *sqlite.Error
		if errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_BUSY {
			s.locked.Store(&locked{time.Now(), err})
		}
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	c := &change{
		ctx: ctx, tx: tx, prepare: &s.prepare, stmts: map[string]statement{},
		rows: map[key]*alert{}, ends: map[key]said{}, dirty: map[key]struct{}{}, groups: map[groupKey]*group{}, lanes: map[ilert.IntegrationKey]*lane{},
		count: fates{}, matched: map[string]uint64{}, fleet: fleet{cache: &s.devices}, arrivals: arrivals{cache: &s.repeats},
		received: received{cache: &s.receipts}, unproven: unproven{known: map[ilert.IntegrationKey]bool{}}, bounds: &s.Bounds, grown: map[string]volume{},
	}
	if err := do(c); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	c.fleet.committed()
	c.arrivals.committed()
	s.overflow.add(c.overflow)
	c.received.committed()
	return nil
}

// locked is the finding that another process holds the file for longer than we wait.
type locked struct {
	found time.Time
	err   error
}

// flush writes what has changed.
func (c *change) flush() error {
	// Groups first: they ask whether their alerts are open.
	return errors.Join(c.flushGroups(), c.flushAlerts(), c.flushEnds(), c.flushDevices(), c.boundUnproven(), c.flushVolumes(), c.flushLanes(), c.flushArrivals(), c.flushReceived(), c.flushTallies())
}

func (c *change) exec(query string, args ...any) error {
	_, err := c.result(query, args...)
	return err
}

func (c *change) result(query string, args ...any) (sql.Result, error) {
	return c.statement(query).ExecContext(c.ctx, args...)
}

func (c *change) row(query string, args ...any) *sql.Row {
	return c.statement(query).QueryRowContext(c.ctx, args...)
}

// each calls scan with each row of a query.
func (c *change) each(scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := c.statement(query).QueryContext(c.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// millis is a time as the tables have it: in Unix milliseconds, 0 being never.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

const columns = `integration_key, folded_key, alert_key, rule, windowed, grp, desired, told, told_at, body, priority, age_at, ends_at, said_at, said_by,
	version, pending, listing, claimed, tries, next_try, turn, storm, size, untold, max_listed,
	filter, topic, payload, received_at, properties`

func scan(row interface{ Scan(...any) error }) (*alert, error) {
	var a alert
	var toldAt, ageAt, endsAt, saidAt, nextTry, receivedAt int64
	var turn int // follows from the others
	err := row.Scan(&a.key.integration, &a.key.folded, &a.alertKey, &a.rule, &a.windowed, &a.group, &a.desired, &a.told, &toldAt,
		&a.body, &a.priority, &ageAt, &endsAt, &saidAt, &a.said.by, &a.version, &a.pending, &a.listing, &a.claimed, &a.tries, &nextTry, &turn, &a.storm, &a.size, &a.untold, &a.maxListed,
		&a.filter, &a.topic, &a.payload, &receivedAt, &a.properties)
	a.toldAt, a.ageAt, a.endsAt, a.said.at = timeOf(toldAt), timeOf(ageAt), timeOf(endsAt), timeOf(saidAt)
	a.nextTry, a.receivedAt = timeOf(nextTry), timeOf(receivedAt)
	return &a, err
}

// load returns the alert of that key, or nil.
func (c *change) load(k key) (*alert, error) {
	if a, known := c.rows[k]; known {
		return a, nil
	}
	a, err := scan(c.row(`SELECT `+columns+` FROM alert WHERE integration_key = ? AND folded_key = ?`, k.integration, k.folded))
	if errors.Is(err, sql.ErrNoRows) {
		a, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.rows[k] = a
	return a, nil
}

// keysOf returns the keys of a rule's alerts, in their order.
func (c *change) keysOf(rule string) (keys []key, err error) {
	if rule == "" {
		return nil, nil // these belong to no rule
	}
	err = c.each(func(rows *sql.Rows) error {
		var k key
		err := rows.Scan(&k.integration, &k.folded)
		if _, known := c.rows[k]; !known {
			keys = append(keys, k)
		}
		return err
	}, `SELECT integration_key, folded_key FROM alert WHERE rule = ? AND rule <> ''`, rule)
	for k, a := range c.rows {
		if a != nil && a.rule == rule {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.folded, b.folded), cmp.Compare(a.integration.String(), b.integration.String()))
	})
	return keys, err
}

func (c *change) keep(a *alert) {
	c.rows[a.key] = a
	c.dirty[a.key] = struct{}{}
}

func (c *change) forget(k key) {
	if a := c.rows[k]; a != nil && a.said.by != "" {
		c.ends[k] = a.said
	}
	c.rows[k] = nil
	c.dirty[k] = struct{}{}
}

func (c *change) flushAlerts() error {
	for k := range c.dirty {
		a := c.rows[k]
		var err error
		if a == nil {
			err = c.exec(`DELETE FROM alert WHERE integration_key = ? AND folded_key = ?`, k.integration, k.folded)
		} else {
			err = c.exec(`INSERT OR REPLACE INTO alert (`+columns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,coalesce(?, x''),?,?)`,
				a.key.integration, a.key.folded, a.alertKey, a.rule, a.windowed, a.group, a.desired, a.told, millis(a.toldAt),
				a.body, a.priority, millis(a.ageAt), millis(a.endsAt), millis(a.said.at), a.said.by, a.version, a.pending, a.listing, a.claimed, a.tries, millis(a.nextTry), a.turn(), a.storm, a.size, a.untold, a.maxListed,
				a.filter, a.topic, a.payload, millis(a.receivedAt), a.properties)
		}
		if err != nil {
			return err
		}
		c.lane(k.integration)
	}
	clear(c.dirty)
	return nil
}
