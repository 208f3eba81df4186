package ilert_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
)

func TestNoTextOfOneKindOfKeyIsAnotherKey(t *testing.T) {
	known := map[string]ilert.IntegrationKey{}
	for _, text := range []string{"", "A", "env:A", "file:A", "key:A", "configured", "message:A"} {
		for _, key := range []ilert.IntegrationKey{{}, ilert.EnvKey(text), ilert.FileKey(text), ilert.LiteralKey(text)} {
			stored := key.Text()
			was, before := known[stored]
			assert.True(t, !before || was == key, "%v and %v are stored as %q", was, key, stored)
			known[stored] = key
			read, err := ilert.ParseKey(stored)
			require.NoError(t, err)
			assert.Equal(t, key, read)
		}
	}
	_, err := ilert.ParseKey("s3cret")
	assert.ErrorContains(t, err, "without env:, file: or key:")
}

func TestNoFormatShowsTheSecretOfAKey(t *testing.T) {
	key := ilert.LiteralKey("il1api-s3cret")
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", slog.Any("key", key), slog.Any("keys", []ilert.IntegrationKey{key}))
	}
	text := fmt.Sprintf("%v %+v %#v %s %q", key, key, struct{ Key ilert.IntegrationKey }{key}, key, key) + log.String()
	assert.NotContains(t, text, "s3cret")
	assert.Equal(t, "message:d58b967d", key.String())
	assert.Equal(t, "configured env:A file:/run/key", fmt.Sprint(ilert.IntegrationKey{}, " ", ilert.EnvKey("A"), " ", ilert.FileKey("/run/key")))
}
