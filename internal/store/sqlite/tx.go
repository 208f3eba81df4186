package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// tx is a transaction. Its methods ignore their contexts, since a transaction is short.
type tx struct {
	conn  *connection
	lanes map[ilert.IntegrationKey]*alerting.LaneHold // to be derived by the Save that is under way
	grown [volumes]alerting.Volume                    // changes of the volumes by the Save that is under way
	epoch int64                                       // the highest that was saved
}

// locked is the finding that another process has locked the file for longer than the store waits.
type locked struct {
	found time.Time
	err   error
}

// Update calls do in a transaction that may write. If the store was opened beside another process, Update then waits
// as long as the transaction took: a process that waits for the file looks only now and then whether it is free.
func (s *Store) Update(ctx context.Context, do func(alerting.Tx) error) error {
	began := time.Now()
	if err := s.update(ctx, do); err != nil {
		return fmt.Errorf("store: %w", s.fault(err))
	}
	if s.lock == nil {
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done(): // the transaction is committed all the same
		}
	}
	return nil
}

func (s *Store) update(ctx context.Context, do func(alerting.Tx) error) error {
	if damage := s.damaged.Load(); damage != nil {
		return *damage
	}
	began := time.Now()
	if err := s.writer.take(ctx); err != nil {
		return err
	}
	defer s.writer.release()
	if lock := s.locked.Load(); lock != nil && lock.found.After(began) {
		return lock.err // if each transaction waited for the lock in its turn, the last would wait for minutes
	}
	t := &tx{conn: s.writer}
	if err := t.exec(s.writer.begin); err != nil {
		if isBusy(err) {
			s.locked.Store(&locked{time.Now(), err})
		}
		return err
	}
	return t.run(do)
}

// View calls do in a transaction that only reads.
func (s *Store) View(ctx context.Context, do func(alerting.Tx) error) error {
	return s.view(ctx, func(t *tx) error { return do(t) })
}

func (s *Store) view(ctx context.Context, do func(*tx) error) error {
	if err := s.reader.take(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer s.reader.release()
	t := &tx{conn: s.reader}
	err := t.exec(s.reader.begin)
	if err == nil {
		err = t.run(func(alerting.Tx) error { return do(t) })
	}
	if err != nil {
		return fmt.Errorf("store: %w", s.fault(err))
	}
	return nil
}

// run calls do in a transaction that has begun, and commits it, or rolls it back if do fails or panics.
func (t *tx) run(do func(alerting.Tx) error) error {
	committed := false
	defer func() {
		if !committed {
			_ = t.exec(`ROLLBACK`) // fails if SQLite has rolled back because of the error
		}
	}()
	if err := do(t); err != nil {
		return err
	}
	if err := t.exec(`COMMIT`); err != nil {
		return err
	}
	committed = true
	return nil
}

// exec executes a statement.
func (t *tx) exec(text string, args ...any) error {
	_, err := t.conn.exec(text, args...)
	return err
}

// insert executes an INSERT and returns the ID of the new row.
func (t *tx) insert(text string, args ...any) (id int64, err error) {
	result, err := t.conn.exec(text, args...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// each calls scan with each row of a statement's result.
func (t *tx) each(scan func(*row), text string, args ...any) error {
	rows, err := t.conn.query(text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), rows.Close())
	}
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	r := newRow(len(columns))
	for more := true; more; more = rows.Next() {
		if err := rows.Scan(r.into...); err != nil {
			return err
		}
		r.next = 0
		if scan(r); r.err != nil {
			return r.err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// Load reads the rows of keys into rows.
func (t *tx) Load(_ context.Context, keys alerting.Keys, rows *alerting.Rows) error {
	for _, load := range loads {
		if err := load(t, &keys, rows); err != nil {
			return err
		}
	}
	return nil
}

// loads holds the parts of Load.
var loads = []func(*tx, *alerting.Keys, *alerting.Rows) error{
	(*tx).loadAlerts, (*tx).loadGroups, (*tx).loadStorms, (*tx).loadRules, (*tx).loadPrefixes, (*tx).loadOutbox, (*tx).loadBehind,
	(*tx).loadLetters, (*tx).loadProven, (*tx).loadDevices, (*tx).loadVolumes, (*tx).loadBusy, (*tx).loadOrders,
}

// Save writes changes.
func (t *tx) Save(_ context.Context, changes *alerting.Changes) error {
	t.lanes = make(map[ilert.IntegrationKey]*alerting.LaneHold, len(changes.Lanes))
	for key, hold := range changes.Lanes {
		t.lanes[key] = hold
	}
	for _, save := range saves {
		if err := save(t, changes); err != nil {
			return err
		}
	}
	return nil
}

// saves holds the parts of Save in order: the volumes and the lanes follow from the rows that the others write.
var saves = []func(*tx, *alerting.Changes) error{
	(*tx).saveAlerts, (*tx).saveEnded, (*tx).saveResolutions, (*tx).saveGroups, (*tx).saveMembers, (*tx).saveOutbox, (*tx).saveProven,
	(*tx).saveLetters, (*tx).saveOrders, (*tx).saveRules, (*tx).saveDevices, (*tx).saveArrivals, (*tx).saveReceipts, (*tx).savePace,
	(*tx).saveClocks, (*tx).saveSequences, (*tx).saveSubscriptions, (*tx).saveAwaited, (*tx).saveTallies, (*tx).saveVolumes, (*tx).saveLanes,
}

// touchLane makes the Save that is under way derive a lane anew.
func (t *tx) touchLane(key ilert.IntegrationKey) {
	if _, touched := t.lanes[key]; !touched {
		t.lanes[key] = nil
	}
}

// mapIn returns the map in a variable, and makes one if that is nil.
func mapIn[K comparable, V any](in *map[K]V) map[K]V {
	if *in == nil {
		*in = map[K]V{}
	}
	return *in
}
