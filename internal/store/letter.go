package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
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
	// Kept says why it was not taken in again the last time; empty if nobody has asked.
	Kept string

	// Of what ilert refused; otherwise zero.
	Kind           Kind
	IntegrationKey ilert.IntegrationKey
	EventType      ilert.Type
	foldedKey      string     // of the alert
	overtakenBy    ilert.Type // a later event of the alert key that says otherwise
}

// Kind says what a dead letter is.
type Kind string

// The kinds.
const (
	Unread  Kind = ""      // a message that could not be understood
	OfAlert Kind = "alert" // a notice of an alert that ilert refused
	Sent    Kind = "send"  // an outbox item that ilert refused
)

// Letters chooses dead letters, and outbox items that wait for integration keys of messages:
// those to which all of what is set applies. IDs, Reason, Limit and After choose no outbox items, and
// Keys alone no dead letters.
type Letters struct {
	IDs    []int64
	Filter string
	Topic  string    // the whole topic
	Reason string    // a part of the reason, in any case
	Before time.Time // of which they died
	Limit  int       // the oldest so many; 0 is all
	After  int64     // with IDs above this
	Keys   []string  // integration keys as String names them

	upTo int64 // the last ID of a page; 0 is none
}

// choosesLetters reports whether dead letters are chosen.
func (l Letters) choosesLetters() bool { return len(l.Keys) == 0 || len(l.IDs) > 0 }

// choosesWaiting reports whether outbox items are chosen.
func (l Letters) choosesWaiting() bool {
	return len(l.Keys) > 0 || len(l.IDs) == 0 && l.Reason == "" && l.Limit == 0 && l.After == 0
}

func (l Letters) names(k ilert.IntegrationKey) bool {
	return len(l.Keys) == 0 || slices.Contains(l.Keys, k.String())
}

// whereWaiting is the condition for outbox items in SQL, but for Keys.
func (l Letters) whereWaiting() (condition string, args []any) {
	condition = "integration_key LIKE 'key:%'"
	if l.Filter != "" {
		condition, args = condition+" AND filter = ?", append(args, l.Filter)
	}
	if l.Topic != "" {
		condition, args = condition+" AND topic = ?", append(args, l.Topic)
	}
	if !l.Before.IsZero() {
		condition, args = condition+" AND queued_at < ?", append(args, l.Before.UnixMilli())
	}
	return condition, args
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
	if l.After > 0 {
		add("id > ?", l.After)
	}
	if l.upTo > 0 {
		add("id <= ?", l.upTo)
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
func (c *change) bury(l *Letter) error {
	properties := propertiesOf(l.Properties)
	c.grow(deadLetters, len(l.Topic)+len(l.Payload)+len(properties))
	return c.exec(`
		INSERT INTO dead_letter (filter, topic, payload, received_at, died_at, reason, tries, properties, retry, kind, integration_key, folded_key, event_type, overtaken_by)
		VALUES (?, ?, coalesce(?, x''), ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)`,
		l.Filter, l.Topic, l.Payload, millis(l.ReceivedAt), millis(l.DiedAt), short(l.Reason), l.Tries, properties,
		l.Kind, l.IntegrationKey, l.foldedKey, l.EventType, l.overtakenBy)
}

// short returns the begin of a reason, which may quote what somebody has sent.
func short(reason string) string {
	const maxReason = 1000 // bytes
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "..."
}

const letterColumns = `id, filter, topic, payload, received_at, died_at, reason, tries, properties, retry, kept,
	kind, integration_key, folded_key, event_type, overtaken_by`

// DeadLetters returns dead letters, the oldest first.
func (s *Store) DeadLetters(ctx context.Context, which Letters) ([]Letter, error) {
	if !which.choosesLetters() {
		return nil, nil
	}
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
		if err := rows.Scan(&l.ID, &l.Filter, &l.Topic, &l.Payload, &receivedAt, &diedAt, &l.Reason, &l.Tries, &properties, &l.Retry, &l.Kept,
			&l.Kind, &l.IntegrationKey, &l.foldedKey, &l.EventType, &l.overtakenBy); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		l.Properties = properties.list()
		l.ReceivedAt, l.DiedAt = time.UnixMilli(receivedAt), time.UnixMilli(diedAt)
		all = append(all, l)
	}
	return all, rows.Err()
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
	s := &Store{db: db} // the daemon keeps the bounds
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
