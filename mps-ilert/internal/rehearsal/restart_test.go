package rehearsal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/days"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// onDisk is a ledger of a rehearsal on the daemon's store, with the daemon's bounds.
type onDisk struct {
	ledger
	path     string
	restarts bool // the store is closed and opened again before every tenth message
	messages int
}

func (d *onDisk) begins(ctx context.Context, play *rehearsal, m decision.Message, decided decision.Decision) error {
	if d.messages++; d.restarts && d.messages%10 == 1 {
		if err := errors.Join(play.store.Close(), d.open(ctx, play)); err != nil {
			return err
		}
		play.store.Listen(play.now)
		if err := play.store.Await(ctx, play.now, play.Rules.Awaiting(), nil); err != nil {
			return err
		}
	}
	return d.ledger.begins(ctx, play, m, decided)
}

func (d *onDisk) open(ctx context.Context, play *rehearsal) error {
	s, err := sqlite.Open(ctx, d.path)
	if err != nil {
		return err
	}
	play.store, err = alerting.Open(ctx, s, alerting.DefaultBounds)
	return err
}

// rehearseOnDisk begins a rehearsal on the daemon's store.
func rehearseOnDisk(t *testing.T, by Setup, restarts bool) (*rehearsal, *onDisk) {
	t.Helper()
	d := &onDisk{ledger: ledger{open: map[string]*page{}}, path: filepath.Join(t.TempDir(), "store.db"), restarts: restarts}
	play, err := rehearse(t.Context(), by, d)
	require.NoError(t, err)
	require.NoError(t, errors.Join(play.close(), d.open(t.Context(), play)))
	return play, d
}

// receiveAll applies messages that arrive together in one transaction, as the daemon does.
func (r *rehearsal) receiveAll(ctx context.Context, at time.Time, messages []decision.Message) error {
	if err := errors.Join(r.begin(ctx, at), r.until(ctx, at)); err != nil {
		return err
	}
	all := make([]alerting.Message, len(messages))
	for i, m := range messages {
		m.ReceivedAt = r.now
		all[i] = r.clocks.Message(m, r.filterOf(m.Topic), r.Rules.Decide(m), false)
	}
	return errors.Join(r.store.Apply(ctx, all), r.look(ctx), r.until(ctx, r.now))
}

// traces returns the files of small traces.
func traces(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/outages/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

// playOnDisk returns the pages that a file of messages makes with the daemon's store.
func playOnDisk(t *testing.T, path string, restarts bool) []*page {
	t.Helper()
	play, d := rehearseOnDisk(t, defaultSetup(t, nil), restarts)
	file, err := os.Open(path)
	require.NoError(t, err)
	require.NoError(t, (&Explanation{play: play}).Play(t.Context(), path, mqtttopic.DefaultTopic, file))
	require.NoError(t, errors.Join(play.until(t.Context(), play.now.Add(25*time.Hour)), play.close(), file.Close()))
	return d.pages
}

// What check shows is what the daemon sends.
func TestTheDaemonSendsWhatCheckShows(t *testing.T) {
	for _, path := range traces(t) {
		assert.Equal(t, playTrace(t, path), playOnDisk(t, path, false), path)
	}
	for _, k := range days.Kinds() {
		for _, p := range days.Publishers() {
			if !k.By(p) || testing.Short() && k.Name == "ordinary-month" {
				continue
			}
			t.Run(k.Name+"/"+string(p), func(t *testing.T) {
				t.Parallel()
				r := &row{name: k.Name}
				judgeDay(t, r, 20, p)
				day, err := days.Make(k.Name, 20, p, *seed)
				require.NoError(t, err)
				play, d := rehearseOnDisk(t, defaultSetup(t, day.Options), false)
				began := time.Now()
				n := playDay(t, play, day, play.receiveAll)
				t.Logf("%d messages in %v", n, time.Since(began).Round(time.Millisecond))
				require.NoError(t, play.close())
				assert.Equal(t, r.came, d.pages)
			})
		}
	}
}

// An alert waits for the whole time of "for" after each start, so it may come later.
func TestADaemonThatIsStartedAgainAndAgainSendsTheSamePages(t *testing.T) {
	const latest = 10 * time.Minute
	for _, path := range traces(t) {
		byKey := func(all []*page) []*page {
			slices.SortFunc(all, func(a, b *page) int { return strings.Compare(a.key, b.key) })
			return all
		}
		shown, sent := byKey(playTrace(t, path)), byKey(playOnDisk(t, path, true))
		if !assert.Len(t, sent, len(shown), path) {
			continue
		}
		for i, p := range sent {
			assert.Equal(t, shown[i].key, p.key, path)
			assert.Equal(t, shown[i].priority, p.priority, path)
			assert.WithinRange(t, p.at, shown[i].at, shown[i].at.Add(latest), "%s: %s", path, p.key)
			assert.Equal(t, shown[i].ended, p.ended, "%s: %s", path, p.key)
		}
	}
}
