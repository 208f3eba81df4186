package loglimit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/loglimit"
)

// buffer is a log that a test may read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return strings.TrimSuffix(b.b.String(), "\n")
}

func TestOneLineAMinuteOfAKindStandsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text buffer
		lines := func() string {
			synctest.Wait()
			return text.take()
		}
		noTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		log := loglimit.New(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: noTime})))

		for n := range 1000 {
			log.Warn("a", "it is so", slog.Int("n", n))
		}
		log.Info("b", "another")
		assert.Equal(t, "level=WARN msg=\"it is so\" n=0\nlevel=INFO msg=another", lines())
		time.Sleep(loglimit.Interval + time.Second)
		assert.Equal(t, `level=WARN msg="it is so" n=999 times=999`, lines())
		log.Warn("a", "it is so again")
		log.Info("b", "another")
		assert.Equal(t, "level=INFO msg=another", lines(), "its minute is over")
		time.Sleep(loglimit.Interval + time.Second)
		assert.Equal(t, `level=WARN msg="it is so again" times=1`, lines())
		time.Sleep(loglimit.Interval + time.Second)
		log.Warn("a", "it is so")
		assert.Equal(t, `level=WARN msg="it is so"`, lines())

		log.Warn("a", "held")
		log.Close()
		assert.Equal(t, `level=WARN msg=held times=1`, lines())
		log.Warn("a", "late")
		log.Warn("a", "late")
		assert.Equal(t, "level=WARN msg=late\nlevel=WARN msg=late", lines())
	})
}
