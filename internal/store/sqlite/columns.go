package sqlite

import (
	"encoding/json"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// The tables hold times in Unix milliseconds, with 0 for never, durations in milliseconds, and integration keys as
// the texts that their method Text returns.

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// blob returns bytes as a column holds them, which is never NULL.
func blob(bytes []byte) []byte {
	if bytes == nil {
		return []byte{}
	}
	return bytes
}

// row is a row of a result. Each call of a method returns the next column, and the zero value for NULL. Scan would need
// reflection to write into variables of other types than SQLite's.
type row struct {
	values, into []any // into has pointers to values
	next         int
	err          error
}

func newRow(columns int) *row {
	r := &row{values: make([]any, columns), into: make([]any, columns)}
	for i := range r.values {
		r.into[i] = &r.values[i]
	}
	return r
}

func (r *row) value() any {
	r.next++
	return r.values[r.next-1]
}

func (r *row) text() string {
	text, _ := r.value().(string)
	return text
}

func (r *row) blob() []byte {
	bytes, _ := r.value().([]byte)
	return bytes
}

func (r *row) int64() int64 {
	n, _ := r.value().(int64)
	return n
}

func (r *row) int() int { return int(r.int64()) }

func (r *row) bool() bool { return r.int64() != 0 }

func (r *row) time() time.Time { return timeOf(r.int64()) }

func (r *row) duration() time.Duration { return time.Duration(r.int64()) * time.Millisecond }

func (r *row) eventType() ilert.Type { return ilert.Type(r.text()) }

func (r *row) key() ilert.IntegrationKey {
	k, _ := r.keyOrNull()
	return k
}

// keyOrNull returns an integration key, and false for NULL.
func (r *row) keyOrNull() (k ilert.IntegrationKey, is bool) {
	text, is := r.value().(string)
	k, err := ilert.ParseKey(text)
	if err != nil {
		r.err = err
	}
	return k, is
}

func (r *row) uint64() uint64 { return uint64(r.int64()) }

// orNever returns a time in milliseconds, or never for NULL.
func (r *row) orNever() int64 {
	if n, there := r.value().(int64); there {
		return n
	}
	return never
}

func (r *row) json(into any) {
	if err := json.Unmarshal([]byte(r.text()), into); err != nil {
		r.err = err
	}
}
