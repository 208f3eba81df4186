package rehearsal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// restarting is a ledger of a rehearsal on the daemon's store, which is closed and opened again before every tenth
// message.
type restarting struct {
	ledger
	path     string
	messages int
}

func (r *restarting) begins(ctx context.Context, play *rehearsal, m decision.Message, d decision.Decision) error {
	if r.messages++; r.messages%10 == 1 {
		if err := errors.Join(play.store.Close(), r.open(ctx, play)); err != nil {
			return err
		}
		play.store.Listen(play.now)
		if err := play.store.Await(ctx, play.now, play.rules.Awaiting(), nil); err != nil {
			return err
		}
	}
	return r.ledger.begins(ctx, play, m, d)
}

func (r *restarting) open(ctx context.Context, play *rehearsal) error {
	s, err := sqlite.Open(ctx, r.path)
	if err != nil {
		return err
	}
	play.store, err = alerting.Open(ctx, s, alerting.DefaultBounds)
	return err
}

// What check shows is what the daemon sends, also if it is started again and again.
func TestTheDaemonsStoreSendsWhatCheckShows(t *testing.T) {
	names, err := filepath.Glob("testdata/outages/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, path := range names {
		shown := playTrace(t, path)
		l := &restarting{ledger: ledger{open: map[string]*page{}}, path: filepath.Join(t.TempDir(), "store.db")}
		play, err := rehearse(t.Context(), defaultRules(t, nil), l)
		require.NoError(t, err)
		file, err := os.Open(path)
		require.NoError(t, err)
		require.NoError(t, (&Explanation{play: play}).Play(t.Context(), path, mqtttopic.DefaultTopic, file))
		require.NoError(t, errors.Join(play.until(t.Context(), play.now.Add(25*time.Hour)), play.close(), file.Close()))
		assert.Equal(t, shown, l.pages, path)
	}
}
