package ilert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
)

// IntegrationKey is the key of an alert source at ilert, by the place of its secret: the
// configuration, which is the zero value; an environment variable or a file that a rule names; or
// a message that holds the secret itself. A text in a message can only be a key of the last
// kind, so no message can name a secret. Values can be compared.
type IntegrationKey struct {
	kind keyKind
	text string // a name, or the secret of a literal key
}

// keyKind is the place of the secret of an IntegrationKey.
type keyKind byte

const (
	configuredKey keyKind = iota
	envKey
	fileKey
	literalKey
)

// EnvKey returns the key whose secret is in an environment variable.
func EnvKey(variable string) IntegrationKey { return IntegrationKey{envKey, variable} }

// FileKey returns the key whose secret is in a file.
func FileKey(path string) IntegrationKey { return IntegrationKey{fileKey, path} }

// LiteralKey returns the key whose secret a message holds.
func LiteralKey(secret string) IntegrationKey { return IntegrationKey{literalKey, secret} }

// Env returns the environment variable that holds the secret, and false if none does.
func (k IntegrationKey) Env() (variable string, is bool) { return k.text, k.kind == envKey }

// File returns the path of the file that holds the secret, and false if none does.
func (k IntegrationKey) File() (path string, is bool) { return k.text, k.kind == fileKey }

// Literal returns the secret that was in a message, and false if the key is of another kind.
func (k IntegrationKey) Literal() (secret string, is bool) { return k.text, k.kind == literalKey }

// String returns a name of the key for people, without its secret: "configured", "env:NAME",
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

// GoString returns the text of String, so that no format shows a secret.
func (k IntegrationKey) GoString() string { return k.String() }

// LogValue returns the text of String, so that no log shows a secret.
func (k IntegrationKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Fingerprint returns the SHA-256 of a literal key's secret, in 64 hexadecimal digits.
func (k IntegrationKey) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.text))
	return hex.EncodeToString(sum[:])
}

// CheckKey returns an error if a text cannot be an integration key. The error does not show the text.
func CheckKey(secret string) error {
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' }) {
		return errors.New("a key holds no blanks, line breaks or quotes, and only ASCII")
	}
	return nil
}

// literalPrefix is the prefix of a literal key in its Text. Each kind has a prefix, so keys of
// different kinds have different texts.
const literalPrefix = "key:"

// Text returns the text of the key for a store. It holds the secret of a literal key, and is
// empty for the configured key.
func (k IntegrationKey) Text() string {
	switch k.kind {
	case configuredKey:
		return ""
	case literalKey:
		return literalPrefix + k.text
	default:
		return k.String()
	}
}

// ParseKey returns the key of a text that Text returned.
func ParseKey(text string) (IntegrationKey, error) {
	if text == "" {
		return IntegrationKey{}, nil
	}
	for kind, prefix := range map[keyKind]string{envKey: "env:", fileKey: "file:", literalKey: literalPrefix} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			return IntegrationKey{kind, rest}, nil
		}
	}
	return IntegrationKey{}, errors.New("ilert: integration key: a text without env:, file: or key: before it")
}
