// Package store keeps what ilert should know of each alert and what it was told,
// so that nothing that was acknowledged to the broker is forgotten, and so that
// what differs is told until it no longer does. One row stands for an alert, not
// for an event: repeats merge, and an alert that ended before it was told costs
// nothing. It is SQLite in one file, for one process.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Store is an open store. Its methods may be called concurrently; each is one
// transaction that has reached the disk when it returns.
type Store struct {
	db       *sql.DB
	lock     *sql.DB // nil beside the daemon
	reminder time.Duration
}

// Reminder is how long after an alert was told a repeated one is told again. It
// is never off: an answer of 202 does not say what ilert did with an event, nor
// who has closed the alert since.
const Reminder = time.Hour

//go:embed migrations
var migrations embed.FS

// Open opens or creates the file at path and brings its schema up to date. A
// request that was under way when the last process died counts as unanswered.
func Open(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock, err := acquire(ctx, absolute+".lock")
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	db, err := openData(absolute)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s := &Store{db: db, lock: lock, reminder: Reminder}
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	if _, err := db.ExecContext(ctx, `UPDATE alert SET claimed = 0 WHERE claimed = 1; UPDATE outbox SET claimed = 0 WHERE claimed = 1`); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, nil
}

func openData(path string) (*sql.DB, error) {
	return openFile(path, url.Values{
		// FULL, because what has been acknowledged to the broker must survive a
		// loss of power. IMMEDIATE, because every transaction here writes.
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	})
}

func openFile(path string, options url.Values) (*sql.DB, error) {
	// Messages may hold the keys of alert sources; what SQLite puts beside the file gets
	// the same permissions.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; waiting here beats failing there
	return db, nil
}

// acquire keeps a second process away from the store, whose claims it would take
// for those of a dead one. The lock is a transaction in a file beside the store
// that never ends: SQLite knows how to lock on every system, and the system lets
// go of it however the process dies. The store itself stays open to readers.
func acquire(ctx context.Context, path string) (*sql.DB, error) {
	lock, err := openFile(path, url.Values{"_pragma": {"busy_timeout(0)"}})
	if err != nil {
		return nil, err
	}
	if _, err := lock.ExecContext(ctx, `BEGIN EXCLUSIVE`); err != nil {
		_ = lock.Close()
		var failed *sqlite.Error
		if errors.As(err, &failed) && failed.Code() == sqlite3.SQLITE_BUSY {
			err = errors.New("another process uses it")
		}
		return nil, err
	}
	return lock, nil
}

func (s *Store) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, s.db, files)
}

func (s *Store) migrate(ctx context.Context) error {
	provider, err := s.provider()
	if err != nil {
		return err
	}
	have, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return fmt.Errorf("its schema has version %d, this program knows up to %d: use a newer program", have, newest)
	}
	_, err = provider.Up(ctx)
	return err
}

// Close closes the file.
func (s *Store) Close() error {
	if s.lock == nil {
		return s.db.Close()
	}
	return errors.Join(s.db.Close(), s.lock.Close())
}

// Apply stores what messages do, all or none, in their order.
func (s *Store) Apply(ctx context.Context, messages []Message) error {
	return s.change(ctx, func(c *change) error {
		for i := range messages {
			m := &messages[i]
			c.count.of(m.Filter).Received++
			if err := c.apply(m, m.ReceivedAt, s.reminder); err != nil {
				return err
			}
		}
		return nil
	})
}

// apply does what m does, at a time.
func (c *change) apply(m *Message, at time.Time, reminder time.Duration) error {
	switch m.Effect {
	case None:
		c.count.of(m.Filter).Ignored++
		return nil
	case Dead:
		c.count.of(m.Filter).Dead++
		return c.bury(m, at)
	case Send:
		return c.post(m)
	}
	k := keyOf(m.IntegrationKey, m.AlertKey)
	a, err := c.load(k)
	if err != nil {
		return err
	}
	switch {
	case m.Effect == Raise:
		fresh := a == nil
		if fresh {
			a = &alert{key: k, alertKey: m.AlertKey}
		}
		a.raise(m, fresh, reminder, c.count)
		c.keep(a)
	case a == nil: // the end of what is not open
		c.count.of(m.Filter).Ignored++
	case a.end(m, c.count):
		c.forget(k)
	default:
		c.keep(a)
	}
	return nil
}

// Claim returns up to most notices that ilert is to be given by now: of alerts, HIGH
// before LOW and the longest due first, then of what is sent just so. It hands none of
// them out again before Settle.
func (s *Store) Claim(ctx context.Context, now time.Time, most int) ([]Notice, error) {
	var notices []Notice
	err := s.change(ctx, func(c *change) error {
		due, err := c.due(now, most)
		for _, a := range due {
			notices = append(notices, Notice{
				IntegrationKey: a.key.integration, AlertKey: a.alertKey, State: a.desired,
				Summary: a.summary, Details: a.details, Priority: a.priority,
				Tries: a.tries, version: a.version, told: a.told,
			})
			a.claimed, a.told = true, stateUnsure
			c.keep(a)
		}
		if err != nil || len(notices) == most {
			return err
		}
		letters, err := c.dueLetters(now, most-len(notices))
		notices = append(notices, letters...)
		return err
	})
	if err != nil {
		return nil, err // nothing has been claimed
	}
	return notices, nil
}

// Settle stores what ilert answered.
func (s *Store) Settle(ctx context.Context, answers []Answer) error {
	return s.change(ctx, func(c *change) error {
		for i := range answers {
			if err := c.settle(&answers[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *change) settle(answer *Answer) error {
	n := &answer.Notice
	if n.Body != nil {
		return c.settleLetter(answer)
	}
	k := keyOf(n.IntegrationKey, n.AlertKey)
	a, err := c.load(k)
	if err != nil || a == nil {
		return err
	}
	if answer.Result == Refused && a.version == n.version {
		letter := &Message{Filter: a.filter, Topic: a.topic, Payload: a.payload, ReceivedAt: a.receivedAt, Reason: answer.Reason, Tries: n.Tries + 1}
		if err := c.bury(letter, answer.At); err != nil {
			return err
		}
	}
	if a.settle(answer, c.count) {
		c.forget(k)
	} else {
		c.keep(a)
	}
	return nil
}

// NextTry returns when the next notice is due to be given, and false if none waits.
func (s *Store) NextTry(ctx context.Context) (time.Time, bool, error) {
	var next sql.NullInt64
	err := s.db.QueryRowContext(ctx, heads+`
		SELECT min(next_try) FROM (
			SELECT (SELECT min(next_try) FROM alert WHERE pending = 1 AND claimed = 0 AND priority = column1) AS next_try
			FROM (VALUES ('HIGH'), ('LOW'), (''))
			UNION ALL
			SELECT next_try FROM outbox WHERE id IN head AND claimed = 0)`).Scan(&next)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("store: %w", err)
	}
	return time.UnixMilli(next.Int64), next.Valid, nil
}

// Tallies returns the counters for each topic filter.
func (s *Store) Tallies(ctx context.Context) (map[string]Tally, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT filter, received, ignored, merged, delivered, dead, purged,
		       (SELECT count(*) FROM alert WHERE pending = 1 AND alert.filter = tally.filter) +
		       (SELECT count(*) FROM outbox WHERE outbox.filter = tally.filter)
		FROM tally`)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	tallies := map[string]Tally{}
	for rows.Next() {
		var filter string
		var t Tally
		if err := rows.Scan(&filter, &t.Received, &t.Ignored, &t.Merged, &t.Delivered, &t.Dead, &t.Purged, &t.Pending); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		tallies[filter] = t
	}
	return tallies, rows.Err()
}
