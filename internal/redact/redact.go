// Package redact keeps secrets out of what is printed: fmt would print every field of a
// struct, those of its inner structs too.
package redact

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "***"

// Hide returns "***" for a secret, and nothing for none.
func Hide(s string) string {
	if s == "" {
		return ""
	}
	return hidden
}

// All is embedded in a struct that holds secrets, and lets fmt and slog print "***"
// for the whole struct. JSON needs the tag "-" on the fields.
type All struct{}

// String returns "***".
func (All) String() string { return hidden }

// GoString returns "***".
func (All) GoString() string { return hidden }

// Format writes "***" for every verb: those of numbers do not ask String.
func (All) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns "***".
func (All) LogValue() slog.Value { return slog.StringValue(hidden) }
