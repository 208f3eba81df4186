// Package sqlite keeps the rows of alerting in one SQLite file, for one process. A transaction is on the disk when
// Update returns. Open brings files of earlier versions up to date. It refuses files of later versions, damaged
// files, and files that another process uses, and leaves them as they are.
package sqlite

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

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Store is an alerting.Store in a file.
type Store struct {
	writer  *connection
	reader  *connection // reads while the writer writes
	lock    *sql.DB     // nil if the store was opened beside another process
	locked  atomic.Pointer[locked]
	damaged atomic.Pointer[error] // the reason why the store writes nothing more
}

var _ alerting.Store = (*Store)(nil)

//go:embed migrations
var migrations embed.FS

// Open opens or creates the file at path, and brings its schema up to date. Other processes cannot Open it until
// Close.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, absolute+".lock")
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, absolute, migrate)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return s, nil
}

// OpenBeside opens an existing file beside the process that works on it, to read, to purge and to mark dead letters.
// It neither creates the file nor changes its schema.
func OpenBeside(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(absolute)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: there is no file %s: name the one of the daemon by --file; the daemon makes it at its first start", path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s, err := openStore(ctx, absolute, isOfThisVersion)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, nil
}

// openStore calls prepare, which checks or changes the schema of a file, and opens both connections to the file.
func openStore(ctx context.Context, path string, prepare func(context.Context, *sql.DB) error) (*Store, error) {
	s := new(Store)
	db, err := openFile(path, url.Values{
		// FULL, because a message that the consumer has acknowledged must survive a loss of power.
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"},
	})
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(s.fault(err), db.Close())
	}
	// IMMEDIATE, because SQLite refuses the write of a transaction that has read before, if another process has
	// written in between.
	if s.writer, err = connect(ctx, db, "BEGIN IMMEDIATE"); err != nil {
		return nil, errors.Join(s.fault(err), db.Close())
	}
	db, err = openFile(path, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}})
	if err == nil {
		s.reader, err = connect(ctx, db, "BEGIN")
	}
	if err != nil {
		return nil, errors.Join(s.fault(err), s.writer.close())
	}
	return s, nil
}

func openFile(path string, options url.Values) (*sql.DB, error) {
	// Only the owner may read the file, as messages may hold integration keys. SQLite gives the same permissions to
	// the files that it puts beside this one.
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
	db.SetMaxOpenConns(1)
	return db, nil
}

// acquire locks the store against a second process, which would take the claims of the first for those of a dead
// one. The lock is a transaction that never ends, in a file beside the store: SQLite knows how to lock a file on
// every system, and the system unlocks it however the process dies. Other processes can still read the store.
func acquire(ctx context.Context, path string) (*sql.DB, error) {
	lock, err := openFile(path, url.Values{"_pragma": {"busy_timeout(0)"}})
	if err != nil {
		return nil, err
	}
	if _, err := lock.ExecContext(ctx, `BEGIN EXCLUSIVE`); err != nil {
		_ = lock.Close()
		if isBusy(err) {
			err = errors.New("another process uses it")
		}
		return nil, err
	}
	return lock, nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files)
}

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return fmt.Errorf("its schema has version %d, this program knows up to %d: use a newer program", have, newest)
	}
	_, err = p.Up(ctx)
	return err
}

// isOfThisVersion returns an error unless the schema has the version that this program knows.
func isOfThisVersion(ctx context.Context, db *sql.DB) error {
	var tables int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'dead_letter'`).Scan(&tables)
	if err == nil && tables == 0 {
		err = errors.New("it is no store of mps-ilert")
	}
	if err != nil {
		return err
	}
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err == nil && have != newest {
		err = fmt.Errorf("its schema has version %d, this program knows version %d: use the program that the daemon runs", have, newest)
	}
	return err
}

// fault returns an error of SQLite in words that help. After an error that a damaged file has caused, the store writes
// nothing more, so that the good parts of the file do not get worse.
func (s *Store) fault(err error) error {
	if code := codeOf(err); code != sqlite3.SQLITE_CORRUPT && code != sqlite3.SQLITE_NOTADB {
		return err
	}
	err = fmt.Errorf("the file is damaged, and left as it is: restore it from a copy, or move it away to begin anew: %w", err)
	s.damaged.CompareAndSwap(nil, &err)
	return err
}

// codeOf returns SQLite's primary result code of an error; 0 if it is no error of SQLite.
func codeOf(err error) int {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Code() & 0xff
}

func isBusy(err error) bool { return codeOf(err) == sqlite3.SQLITE_BUSY }

// Close closes the file after the transactions that are under way have ended.
func (s *Store) Close() error {
	err := errors.Join(s.reader.close(), s.writer.close())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
