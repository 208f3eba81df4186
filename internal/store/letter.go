package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/rules"
)

// Letter is a dead letter: a message that could not be understood or that ilert called
// invalid, as it arrived.
type Letter struct {
	ID         int64
	Filter     string // the topic filter that it came by
	Topic      string
	Payload    []byte
	Properties []rules.Property
	ReceivedAt time.Time
	DiedAt     time.Time
	Reason     string
	Tries      int  // requests to ilert
	Retry      bool // it is to be taken in again
}

// Letters chooses dead letters: those to which all of what is set applies.
type Letters struct {
	IDs    []int64
	Filter string
	Topic  string    // the whole topic
	Reason string    // a part of the reason, in any case
	Before time.Time // of which they died
	Limit  int       // the oldest so many; 0 is all
}

// where is the condition in SQL.
func (l Letters) where() (condition string, args []any) {
	parts := []string{"1 = 1"}
	add := func(part string, values ...any) {
		parts, args = append(parts, part), append(args, values...)
	}
	if len(l.IDs) > 0 {
		marks := strings.Repeat(",?", len(l.IDs))[1:]
		parts = append(parts, "id IN ("+marks+")")
		for _, id := range l.IDs {
			args = append(args, id)
		}
	}
	if l.Filter != "" {
		add("filter = ?", l.Filter)
	}
	if l.Topic != "" {
		add("topic = ?", l.Topic)
	}
	if l.Reason != "" {
		add("instr(lower(reason), lower(?)) > 0", l.Reason)
	}
	if !l.Before.IsZero() {
		add("died_at < ?", l.Before.UnixMilli())
	}
	limit := -1
	if l.Limit > 0 {
		limit = l.Limit
	}
	return "id IN (SELECT id FROM dead_letter WHERE " + strings.Join(parts, " AND ") + " ORDER BY id LIMIT ?)", append(args, limit)
}

// bury keeps a dead letter.
func (c *change) bury(m *Message, reason string, at time.Time) error {
	return c.exec(`
		INSERT INTO dead_letter (filter, topic, payload, received_at, died_at, reason, tries, properties, retry)
		VALUES (?, ?, coalesce(?, x''), ?, ?, ?, ?, ?, 0)`,
		m.Filter, m.Topic, m.Payload, millis(m.ReceivedAt), millis(at), reason, m.Tries, propertiesOf(m.Properties))
}

const letterColumns = `id, filter, topic, payload, received_at, died_at, reason, tries, properties, retry`

// DeadLetters returns dead letters, the oldest first.
func (s *Store) DeadLetters(ctx context.Context, which Letters) ([]Letter, error) {
	where, args := which.where()
	return s.letters(ctx, `SELECT `+letterColumns+` FROM dead_letter WHERE `+where+` ORDER BY id`, args...)
}

func (s *Store) letters(ctx context.Context, query string, args ...any) ([]Letter, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	var all []Letter
	for rows.Next() {
		var l Letter
		var receivedAt, diedAt int64
		var properties properties
		if err := rows.Scan(&l.ID, &l.Filter, &l.Topic, &l.Payload, &receivedAt, &diedAt, &l.Reason, &l.Tries, &properties, &l.Retry); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		l.Properties = properties.list()
		l.ReceivedAt, l.DiedAt = time.UnixMilli(receivedAt), time.UnixMilli(diedAt)
		all = append(all, l)
	}
	return all, rows.Err()
}

// AskToRetry asks the daemon to take dead letters in again, and returns how many.
func (s *Store) AskToRetry(ctx context.Context, which Letters) (int64, error) {
	where, args := which.where()
	//nolint:gosec // where is made of what stands in this file, and holds marks for values
	result, err := s.db.ExecContext(ctx, `UPDATE dead_letter SET retry = 1 WHERE retry = 0 AND `+where, args...)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	return result.RowsAffected()
}

// Purge throws dead letters away, and returns how many. They are counted as purged.
func (s *Store) Purge(ctx context.Context, which Letters) (n int64, err error) {
	err = s.change(ctx, func(c *change) error {
		where, args := which.where()
		//nolint:gosec // see AskToRetry
		rows, err := c.tx.QueryContext(ctx, `DELETE FROM dead_letter WHERE `+where+` RETURNING filter`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var filter string
			if err := rows.Scan(&filter); err != nil {
				return err
			}
			c.count.of(filter).Dead--
			c.count.of(filter).Purged++
			n++
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return n, err
}

// ToRetry returns up to most dead letters that somebody has asked to be taken in again.
func (s *Store) ToRetry(ctx context.Context, most int) ([]Letter, error) {
	return s.letters(ctx, `SELECT `+letterColumns+` FROM dead_letter WHERE retry = 1 ORDER BY id LIMIT ?`, most)
}

// Revive is Apply for the messages that letters were: messages[i] is what letters[i]
// means now.
func (s *Store) Revive(ctx context.Context, letters []Letter, messages []Message) error {
	return s.change(ctx, func(c *change) error {
		now := time.Now()
		for i, l := range letters {
			result, err := c.result(`DELETE FROM dead_letter WHERE id = ?`, l.ID)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if n == 0 {
				continue // purged meanwhile
			}
			c.count.of(l.Filter).Dead--
			messages[i].Filter = l.Filter // under which it was received
			c.see(&messages[i])
			if err := c.apply(&messages[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// OpenBeside opens an existing store beside the daemon that uses it, for what may be done
// then: DeadLetters, AskToRetry, Purge, and what only reads. Neither is the file created nor its
// schema changed.
func OpenBeside(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(absolute)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := openData(absolute)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s := &Store{db: db}
	if err := s.isOfThisVersion(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) isOfThisVersion(ctx context.Context) error {
	var tables int
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'dead_letter'`).Scan(&tables)
	if err == nil && tables == 0 {
		err = errors.New("it is no store of mps-ilert")
	}
	if err != nil {
		return err
	}
	provider, err := s.provider()
	if err != nil {
		return err
	}
	have, newest, err := provider.GetVersions(ctx)
	if err == nil && have != newest {
		err = fmt.Errorf("its schema has version %d, this program knows version %d: use the program that the daemon runs", have, newest)
	}
	return err
}
