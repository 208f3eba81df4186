package publisher

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/mps-events/mps-events/internal/redact"
)

// String returns the fields, with "***" instead of Address, which may hold a password or a
// signature, of Password, and of a Username without a password, which may be a token. fmt
// prints a Config in this form with every verb.
func (c Config) String() string {
	type plain Config // has no methods
	if c.Password == "" {
		c.Username = redact.Hide(c.Username)
	}
	c.Address, c.Password = redact.Hide(c.Address), redact.Hide(c.Password)
	return fmt.Sprintf("%+v", plain(c))
}

// GoString returns the text of String, for %#v.
func (c Config) GoString() string { return c.String() }

// Format writes the text of String, for the verbs for which fmt does not call String.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue returns the text of String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns the text of String, for JSON.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
