package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// connection is a connection to the file with the statements that were prepared on it: SQLite takes several times as
// long to parse the text of a statement as to execute it. One transaction at a time uses the connection.
type connection struct {
	db    *sql.DB
	conn  *sql.Conn
	begin string                 // statement that begins a transaction
	turn  chan struct{}          // holds a value while a transaction uses the connection
	ready map[string]*sql.Stmt   // by text
	lists map[listQuery][]string // texts of list queries, see listLengths
}

// connect opens the one connection of db, which it closes if that fails.
func connect(ctx context.Context, db *sql.DB, begin string) (*connection, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &connection{db: db, conn: conn, begin: begin, turn: make(chan struct{}, 1), ready: map[string]*sql.Stmt{}, lists: map[listQuery][]string{}}, nil
}

// take waits until no other transaction uses the connection. The caller must call release in the end.
func (c *connection) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *connection) release() { <-c.turn }

// statement returns a prepared statement. It prepares each text once and keeps it, so texts must be few: values go
// into arguments. But SQLite prepares a statement anew for each value of a LIMIT ?, and of a column that the condition
// of a partial index has, since it plans by them. Therefore the statements have LIMIT ? + 0, and literals for such
// columns.
func (c *connection) statement(text string) (*sql.Stmt, error) {
	if ready := c.ready[text]; ready != nil {
		return ready, nil
	}
	stmt, err := c.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	c.ready[text] = stmt
	return stmt, nil
}

// exec executes a statement. Like query, it cannot be stopped: the driver would need a goroutine for that.
func (c *connection) exec(text string, args ...any) (sql.Result, error) {
	stmt, err := c.statement(text) //nolint:sqlclosecheck // the connection's close does it
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...)
}

// query returns the result of a statement.
func (c *connection) query(text string, args ...any) (*sql.Rows, error) {
	stmt, err := c.statement(text) //nolint:sqlclosecheck // the connection's close does it
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.Background(), args...)
}

// close closes the connection after the transaction that uses it has ended.
func (c *connection) close() error {
	c.turn <- struct{}{}
	defer c.release()
	for _, stmt := range c.ready {
		_ = stmt.Close()
	}
	clear(c.ready)
	_ = c.conn.Close() // db.Close closes it, too, and returns the error
	return c.db.Close()
}
