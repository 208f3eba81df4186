// Package store keeps what ilert should know of each alert and what it was told,
// so that nothing that was acknowledged to the broker is forgotten, and so that
// what differs is told until it no longer does. One row stands for an alert, not
// for an event: repeats merge, and an alert that ended before it was told costs
// nothing. Windows count what no single message says, and time ends what nobody
// ends. It is SQLite in one file, for one process.
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
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Store is an open store. Its methods may be called concurrently; each is one
// transaction that has reached the disk when it returns.
type Store struct {
	db       *sql.DB
	read     *sql.DB // beside db, to count; nil where db does
	lock     *sql.DB // nil beside the daemon, and in memory
	devices  devices
	repeats  repeats
	receipts receipts
	prepare  statements
	locked   atomic.Pointer[locked] // when it was last, if ever
	damaged  atomic.Pointer[error]  // why nothing more is written

	// Bounds are DefaultBounds, or set before the store is used; the zero value is none.
	Bounds   Bounds
	overflow overflow
}

// Reminder is how long after an alert was told a repeated one is told again, unless its
// rule says otherwise. It is never off: an answer of 202 does not say what ilert did with an event, nor
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
	read, err := openFile(absolute, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, errors.Join(err, db.Close(), lock.Close()))
	}
	s := &Store{db: db, read: read, lock: lock, Bounds: DefaultBounds}
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, s.fault(err))
	}
	if _, err = db.ExecContext(ctx, afterRestart); err == nil {
		err = s.recall(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, s.fault(err))
	}
	return s, nil
}

// afterRestart lets go of what was claimed, and looks at every integration key.
const afterRestart = `
	UPDATE alert SET claimed = 0 WHERE claimed = 1;
	UPDATE outbox SET claimed = 0 WHERE claimed = 1;
	DELETE FROM lane;
	INSERT INTO lane (integration_key, any_from, singles_from, at, unproven)
		SELECT integration_key, 0, 0, 0, max(unproven) FROM (
			SELECT DISTINCT integration_key, 0 AS unproven FROM alert WHERE pending = 1 AND claimed = 0
			UNION SELECT integration_key, unproven > 0 FROM outbox)
		GROUP BY integration_key`

// OpenInMemory opens a store that keeps nothing, for who wants to see what messages
// would do.
func OpenInMemory(ctx context.Context) (*Store, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	s := &Store{db: db, Bounds: DefaultBounds}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), s.Close())
	}
	return s, nil
}

// fault is err in words that help. A damaged file is not written to any more: what is
// still good in it must not get worse.
func (s *Store) fault(err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err
	}
	const primary = 0xff // the rest of a code says more about the same
	if code := failed.Code() & primary; code != sqlite3.SQLITE_CORRUPT && code != sqlite3.SQLITE_NOTADB {
		return err
	}
	err = fmt.Errorf("the file is damaged, and left as it is: restore it from a copy, or move it away to begin anew: %w", err)
	s.damaged.CompareAndSwap(nil, &err)
	return err
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
	s.prepare.close()
	if s.lock == nil {
		return s.db.Close()
	}
	return errors.Join(s.read.Close(), s.db.Close(), s.lock.Close())
}

// Apply stores what messages do, all or none, in their order.
func (s *Store) Apply(ctx context.Context, messages []Message) error {
	return s.change(ctx, func(c *change) error {
		for i := range messages {
			c.see(&messages[i])
		}
		if err := c.preload(keysOfMessages(messages)); err != nil {
			return err
		}
		for i := range messages {
			m := &messages[i]
			c.count.of(m.Filter).Received++
			redelivered := c.redelivered(m) // whatever else tells: its packet identifier is another message's now
			if c.repeated(m) || redelivered {
				c.count.of(m.Filter).Duplicate++
				continue
			}
			if err := c.apply(m, m.ReceivedAt); err != nil {
				return err
			}
		}
		return nil
	})
}
