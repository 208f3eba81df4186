package alerting

import (
	"context"
	"strings"
)

// addLetter keeps a dead letter.
func (w *work) addLetter(l *Letter) {
	l.Reason = shorten(l.Reason)
	w.changes.Letters = append(w.changes.Letters, l)
	w.growLetters(1, l.Bytes())
}

// growLetters notes that the dead letters have grown.
func (w *work) growLetters(rows, bytes int64) {
	w.grown.Letters = w.grown.Letters.plus(rows, bytes)
}

// dropLetter deletes a dead letter.
func (w *work) dropLetter(id, bytes int64) {
	w.rows.Letters[id] = nil
	w.changes.NoLetters = append(w.changes.NoLetters, id)
	w.growLetters(-1, -bytes)
}

// purgeLetters throws dead letters away, counts them as purged and returns how many.
func (w *work) purgeLetters(letters []Stored) int64 {
	for _, l := range letters {
		w.dropLetter(l.ID, l.Bytes)
		w.counts.of(l.Filter).Dead--
		w.counts.of(l.Filter).Purged++
	}
	return int64(len(letters))
}

// shorten returns the beginning of a reason, which may quote what somebody has sent.
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

// ToRetry returns up to limit dead letters that somebody has asked to take in again.
func (e *Engine) ToRetry(ctx context.Context, limit int) ([]Letter, error) {
	return e.store.Letters(ctx, LetterQuery{Retry: true, Limit: limit})
}
