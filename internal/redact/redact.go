// Package redact keeps secrets out of printed texts: fmt would print every field of a
// struct, also the fields of its inner structs.
package redact

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "***"

// Hide returns "***", or "" if s is empty.
func Hide(s string) string {
	if s == "" {
		return ""
	}
	return hidden
}

// All is a type for structs that hold secrets: a struct that embeds it is printed by fmt and
// slog as "***". JSON needs the tag "-" on the fields with secrets.
type All struct{}

// String returns "***".
func (All) String() string { return hidden }

// GoString returns "***".
func (All) GoString() string { return hidden }

// Format writes "***" for every verb. Without it, fmt would not call String for the verbs of numbers.
func (All) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns "***".
func (All) LogValue() slog.Value { return slog.StringValue(hidden) }
