package store

import (
	"context"
	"database/sql"
	"sync"
)

// statement is a query in a transaction.
type statement interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// unprepared is a query that is used for the first time.
type unprepared struct {
	tx    *sql.Tx
	query string
}

func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.tx.ExecContext(ctx, u.query, args...)
}

func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.tx.QueryContext(ctx, u.query, args...)
}

func (u unprepared) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return u.tx.QueryRowContext(ctx, u.query, args...)
}

// statement returns a query of this package's, ready to be used.
func (c *change) statement(query string) statement {
	if ready := c.stmts[query]; ready != nil {
		return ready
	}
	ready := c.prepare.in(c.ctx, c.tx, query)
	c.stmts[query] = ready
	return ready
}

// statements are the queries of this package, prepared: to read one costs SQLite several
// times what it costs to answer it. A query is prepared between two transactions, the
// first of which has used it, because only then is the connection free.
type statements struct {
	sync.Mutex
	ready  map[string]*sql.Stmt
	wanted []string
}

// in returns a query as it is used in a transaction.
func (s *statements) in(ctx context.Context, tx *sql.Tx, query string) statement {
	s.Lock()
	defer s.Unlock()
	stmt, known := s.ready[query]
	if !known {
		if s.ready == nil {
			s.ready = map[string]*sql.Stmt{}
		}
		s.ready[query] = nil // so that it is wanted once
		s.wanted = append(s.wanted, query)
	}
	if stmt == nil {
		return unprepared{tx, query}
	}
	return tx.StmtContext(ctx, stmt)
}

// catchUp prepares what is wanted.
func (s *statements) catchUp(ctx context.Context, db *sql.DB) error {
	s.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.Unlock()
	for i, query := range wanted {
		// Outside the lock: a transaction holds the connection, and may ask.
		stmt, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // close does
		s.Lock()
		if err == nil {
			s.ready[query] = stmt
		} else {
			s.wanted = append(s.wanted, wanted[i:]...)
		}
		s.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *statements) close() {
	s.Lock()
	defer s.Unlock()
	for _, stmt := range s.ready {
		if stmt != nil {
			_ = stmt.Close()
		}
	}
	clear(s.ready)
}
