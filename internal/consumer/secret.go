package consumer

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/mps-events/mps-events/internal/redact"
)

// String returns the fields, with "***" for Address, which may contain a password or a signature,
// and for Password and both keys. fmt prints a Config in this form by every verb.
func (c Config) String() string {
	type plain Config // has no methods
	c.Address, c.Password = redact.Hide(c.Address), redact.Hide(c.Password)
	c.IntegrationKey, c.HeartbeatKey = redact.Hide(c.IntegrationKey), redact.Hide(c.HeartbeatKey)
	return fmt.Sprintf("%+v", plain(c))
}

// GoString returns the same as String, for %#v.
func (c Config) GoString() string { return c.String() }

// Format writes the same as String, for the verbs that do not ask String.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue returns the same as String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns the same as String, for JSON.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
