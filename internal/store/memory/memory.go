// Package memory keeps the rows of alerting in maps, for rehearsals, simulations and tests. It scans where
// a database has an index, so that it is simple enough to be right: tests compare other stores with it.
package memory

import (
	"context"
	"errors"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// Store is an alerting.Store in memory. It keeps the rows after Close, so that a test can open another engine on it.
type Store struct {
	turn chan struct{} // holds a value while a method uses rows
	rows *rows
}

// New returns an empty store.
func New() *Store { return &Store{turn: make(chan struct{}, 1), rows: newRows()} }

// wait waits until no other method uses the rows. The caller must call release in the end.
func (s *Store) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) release() { <-s.turn }

// Update calls do in a transaction, and takes back what do has saved if do fails or panics.
func (s *Store) Update(ctx context.Context, do func(alerting.Tx) error) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	defer s.release()
	s.rows.begin()
	defer s.rows.rollback() // does nothing after a commit
	if err := do(&tx{rows: s.rows}); err != nil {
		return err
	}
	s.rows.commit()
	return nil
}

// View calls do on a copy of the rows, so that do sees one moment and holds up nothing.
func (s *Store) View(ctx context.Context, do func(alerting.Tx) error) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	r := s.rows.clone()
	s.release()
	return do(&tx{rows: r, view: true})
}

// NextDue returns the earliest time at which a row is due, and false if there is none.
func (s *Store) NextDue(ctx context.Context) (at time.Time, due bool, err error) {
	if err := s.wait(ctx); err != nil {
		return at, false, err
	}
	defer s.release()
	at, due = s.rows.nextDue()
	return at, due, nil
}

// Close does nothing.
func (s *Store) Close() error { return nil }

// tx is a transaction on rows.
type tx struct {
	*rows
	view bool
}

// writable returns an error in a View.
func (t *tx) writable() error {
	if t.view {
		return errors.New("memory: a View only reads: use Update")
	}
	return nil
}

var _ alerting.Store = (*Store)(nil)
