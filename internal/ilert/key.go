package ilert

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// IntegrationKey says which alert source of ilert an event is for, and where the secret for
// it comes from: the configuration, which is the zero value; an environment variable or a file
// that a rule names; or a message that brought the secret itself. A text of a message makes
// only a key of the last kind, so no message can name a secret. Values can be compared.
type IntegrationKey struct {
	kind keyKind
	text string // a name, or the secret of a literal key
}

type keyKind byte

const (
	configuredKey keyKind = iota
	envKey
	fileKey
	literalKey
)

// EnvKey returns the key that stands in an environment variable.
func EnvKey(variable string) IntegrationKey { return IntegrationKey{envKey, variable} }

// FileKey returns the key that stands in a file.
func FileKey(path string) IntegrationKey { return IntegrationKey{fileKey, path} }

// LiteralKey returns the key that a message brought.
func LiteralKey(secret string) IntegrationKey { return IntegrationKey{literalKey, secret} }

// Env returns the environment variable that holds the key, and false if none does.
func (k IntegrationKey) Env() (variable string, is bool) { return k.text, k.kind == envKey }

// File returns the path of the file that holds the key, and false if none does.
func (k IntegrationKey) File() (path string, is bool) { return k.text, k.kind == fileKey }

// Literal returns the secret that a message brought, and false if none did.
func (k IntegrationKey) Literal() (secret string, is bool) { return k.text, k.kind == literalKey }

// String names the key for people and never shows a secret: "configured", "env:NAME",
// "file:PATH", or "message:" and the first 8 hexadecimal digits of the secret's SHA-256.
func (k IntegrationKey) String() string {
	switch k.kind {
	case envKey:
		return "env:" + k.text
	case fileKey:
		return "file:" + k.text
	case literalKey:
		return "message:" + k.Fingerprint()[:8]
	default:
		return "configured"
	}
}

// GoString is String, so that no format shows a secret.
func (k IntegrationKey) GoString() string { return k.String() }

// LogValue is String, so that no log shows a secret.
func (k IntegrationKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Fingerprint returns the SHA-256 of a literal key's secret, in 64 hexadecimal digits.
func (k IntegrationKey) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.text))
	return hex.EncodeToString(sum[:])
}

// CheckKey returns an error if a text cannot be an integration key. The error does not hold it.
func CheckKey(secret string) error {
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' }) {
		return errors.New("an integration key holds no blanks, line breaks or quotes, and only ASCII")
	}
	return nil
}

// literalPrefix stands before the secret in a database. As each kind has a prefix, no text
// of one kind is a text of another.
const literalPrefix = "key:"

// Value returns the text that stands for the key in a database, with the secret if it is a
// literal one; it is empty for the configured key.
func (k IntegrationKey) Value() (driver.Value, error) {
	switch k.kind {
	case configuredKey:
		return "", nil
	case literalKey:
		return literalPrefix + k.text, nil
	default:
		return k.String(), nil
	}
}

// Scan reads what Value returned.
func (k *IntegrationKey) Scan(value any) error {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case []byte:
		text = string(value)
	default:
		return fmt.Errorf("ilert: integration key: want a text, have %T", value)
	}
	*k = IntegrationKey{}
	if text == "" {
		return nil
	}
	for kind, prefix := range map[keyKind]string{envKey: "env:", fileKey: "file:", literalKey: literalPrefix} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			*k = IntegrationKey{kind, rest}
			return nil
		}
	}
	return errors.New("ilert: integration key: a text without env:, file: or key: before it")
}
