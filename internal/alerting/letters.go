package alerting

import (
	"context"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Letter is a dead letter: a message that the rules could not read, or whose notice ilert called invalid. It is kept
// as it arrived.
type Letter struct {
	ID         int64
	Filter     string // topic filter by which the message came
	Topic      string
	Payload    []byte
	Properties []decision.Property
	ReceivedAt time.Time
	DiedAt     time.Time
	Reason     string
	Tries      int  // requests to ilert
	Retry      bool // a person has asked to take it in again
	// Kept is the reason why the last retry did not take it in; empty if there was none.
	Kept string

	Kind Kind
	// Alert, EventType and OvertakenBy are about the notice that ilert refused, and zero for the kind Unread.
	Alert       AlertID
	EventType   ilert.Type
	OvertakenBy ilert.Type // type of a later event of the alert key that contradicts the notice
}

// Kind is the kind of a dead letter.
type Kind string

// The kinds.
const (
	Unread  Kind = ""      // a message that the rules could not read
	OfAlert Kind = "alert" // a notice of an alert that ilert refused
	Sent    Kind = "send"  // an outbox item that ilert refused
)

// addLetter adds a dead letter.
func (w *work) addLetter(l *Letter) {
	l.Reason = shorten(l.Reason)
	w.changes.Letters = append(w.changes.Letters, l)
	w.growLetters(1, l.Bytes())
}

// growLetters adds to the number and the bytes by which the transaction lets the dead letters grow.
func (w *work) growLetters(rows, bytes int64) {
	w.grown.Letters = w.grown.Letters.plus(rows, bytes)
}

// dropLetter deletes a dead letter.
func (w *work) dropLetter(id, bytes int64) {
	w.rows.Letters[id] = nil
	w.changes.NoLetters = append(w.changes.NoLetters, id)
	w.growLetters(-1, -bytes)
}

// purgeLetters deletes dead letters, counts them as purged and returns their number.
func (w *work) purgeLetters(letters []Stored) int64 {
	for _, l := range letters {
		w.dropLetter(l.ID, l.Bytes)
		w.counts.of(l.Filter).Dead--
		w.counts.of(l.Filter).Purged++
	}
	return int64(len(letters))
}

// shorten returns the beginning of a reason, which may quote a long message.
func shorten(reason string) string {
	const maxReason = 1000 // bytes
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "..."
}

// DeadLetters returns the chosen dead letters, the oldest first.
func (e *Engine) DeadLetters(ctx context.Context, which LetterQuery) ([]Letter, error) {
	if !which.ChoosesLetters() {
		return nil, nil
	}
	return e.store.Letters(ctx, which)
}

// ToRetry returns up to limit dead letters that a person has asked to take in again.
func (e *Engine) ToRetry(ctx context.Context, limit int) ([]Letter, error) {
	return e.store.Letters(ctx, LetterQuery{Retry: true, Limit: limit})
}
