package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"

	"github.com/mps-events/mps-events/internal/ilert"
)

// secrets holds the integration keys of rules as they were last read. It forgets none, because
// the alerts of a rule that no longer exists are resolved by its key.
type secrets struct {
	mu    sync.Mutex
	known map[ilert.IntegrationKey]string
}

func newSecrets() *secrets { return &secrets{known: map[ilert.IntegrationKey]string{}} }

// keep adds the keys that were read with the rules.
func (s *secrets) keep(read map[ilert.IntegrationKey]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.known, read)
}

// of returns the secret of a key that a rule names or named.
func (s *secrets) of(key ilert.IntegrationKey) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret, known := s.known[key]; known {
		return secret, nil
	}
	secret, err := readSecret(key)
	if err != nil {
		return "", fmt.Errorf("%w: alerts that were raised by it wait, bring it back and restart", err)
	}
	s.known[key] = secret
	return secret, nil
}

// refresh reads the secret of a key that ilert has refused, because somebody may have changed it.
func (s *secrets) refresh(key ilert.IntegrationKey) {
	secret, err := readSecret(key)
	if err != nil {
		return // keep the refused one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[key] = secret
}

// readSecret reads an integration key from its variable or file.
func readSecret(key ilert.IntegrationKey) (secret string, err error) {
	if variable, is := key.Env(); is {
		secret = os.Getenv(variable)
	} else if path, is := key.File(); is {
		var text []byte
		text, err = os.ReadFile(path)
		secret = strings.TrimSpace(string(text))
	}
	if err == nil && secret == "" {
		err = errors.New("is empty")
	}
	err = cmp.Or(err, ilert.CheckKey(secret))
	if err != nil {
		return "", fmt.Errorf("integration key %v: %w", key, err)
	}
	return secret, nil
}

// secretOf returns the secret of an integration key.
func (c *Consumer) secretOf(key ilert.IntegrationKey) (string, error) {
	if key == (ilert.IntegrationKey{}) {
		return c.config.IntegrationKey, nil
	}
	if secret, is := key.Literal(); is {
		return secret, nil
	}
	return c.secrets.of(key)
}
