package consumer_test

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// twoDoors has the same alert for two alert sources.
var twoDoors = twoSources + `
  - {name: old, topics: old/+, when: msg.open, raise: {key: door/1, summary: open}, ends: {when: not msg.open}}
`

// invalid makes a recorder call those events invalid that begin with words.
func (r *recorder) invalid(words string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(_ *http.Request, sent []string) int {
		if words != "" && strings.HasPrefix(sent[len(sent)-1], words) {
			return http.StatusBadRequest
		}
		return http.StatusAccepted
	}
}

// known waits until ilert was sent all of these events, in any order, and empties the record.
func (r *recorder) known(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.sent) >= len(want)
	}, brokertest.Wait, 5*time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.ElementsMatch(t, want, r.sent)
	r.sent = nil
}

// Each of two alert sources has the same alert; only the one by doors is refused.
func TestRetryTellsTheTruthOfNow(t *testing.T) {
	const raised, ended = "ALERT door/1 by doors", "RESOLVE door/1 by doors"
	begin := func(t *testing.T, invalid string) (say func(string), ilert *recorder, log *journal) {
		t.Helper()
		t.Setenv("DOORS_KEY", "doors")
		b, ilert := brokertest.Start(t, ""), record(t)
		ilert.invalid(invalid)
		cfg := byRules(t, b, ilert, twoDoors)
		log = new(journal)
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		start(t, cfg).ready(t)
		return func(open string) {
			publishTo(t, b.Addr(), "door/1", `{"open":`+open+`}`)
			publishTo(t, b.Addr(), "old/1", `{"open":`+open+`}`)
		}, ilert, log
	}
	t.Run("an end is sent again", func(t *testing.T) {
		say, ilert, _ := begin(t, ended)
		say("true")
		ilert.known(t, raised, "ALERT door/1")
		say("false")
		ilert.known(t, ended, "RESOLVE door/1")
		letters(t, 1)
		ilert.invalid("")
		retry(t)
		ilert.known(t, ended)
		letters(t, 0)
	})
	t.Run("an end is not sent again once the alert is raised again", func(t *testing.T) {
		say, ilert, log := begin(t, ended)
		say("true")
		ilert.known(t, raised, "ALERT door/1")
		say("false")
		ilert.known(t, ended, "RESOLVE door/1")
		letters(t, 1)
		ilert.invalid("")
		say("true")
		ilert.known(t, raised, "ALERT door/1")
		retry(t)
		assert.Equal(t, "its alert has been raised again since", letters(t, 1)[0].Kept)
		require.Eventually(t, func() bool { return log.count("cannot be taken in again, and stay") == 1 }, brokertest.Wait, 5*time.Millisecond)
		say("false")
		ilert.known(t, ended, "RESOLVE door/1")
	})
	t.Run("an alert is not raised for who is well by now", func(t *testing.T) {
		say, ilert, _ := begin(t, raised)
		say("true")
		ilert.known(t, raised, "ALERT door/1")
		letters(t, 1)
		ilert.invalid("")
		say("false")
		ilert.known(t, "RESOLVE door/1")
		retry(t)
		assert.Equal(t, "its alert has ended since", letters(t, 1)[0].Kept)
		say("true")
		ilert.known(t, raised, "ALERT door/1")
	})
	t.Run("an alert is raised for who is not", func(t *testing.T) {
		say, ilert, _ := begin(t, raised)
		say("true")
		ilert.known(t, raised, "ALERT door/1")
		letters(t, 1)
		ilert.invalid("")
		retry(t)
		ilert.known(t, raised)
		letters(t, 0)
		say("false")
		ilert.known(t, ended, "RESOLVE door/1")
	})
}

func TestALetterToWhichNothingListensStays(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, doorRules)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"opened":true}`)
	letters(t, 1)
	c.stop()
	good, err := os.ReadFile(cfg.RulesFiles[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(doorRules, "door/+", "window/+", 1)), 0o600))
	c = start(t, cfg).ready(t)
	retry(t)
	assert.Equal(t, `nothing listens to topic "door/1" now`, letters(t, 1)[0].Kept)

	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.ReplaceAll(string(good), "msg.open", "msg.opened")), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	retry(t)
	ilert.expect(t, "ALERT door/1")
	letters(t, 0)
}

// An event by HTTP keeps its integration key, and is not sent again after the end of its alert.
func TestRetryOfWhatCameByHTTP(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.invalid("ALERT a by third")
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	post := func(key, eventType string) {
		_, err := c.Post(t.Context(), []byte(`{"integrationKey":"`+key+`","eventType":"`+eventType+`","summary":"x","alertKey":"a"}`))
		require.NoError(t, err)
	}
	post("third", "ALERT")
	ilert.known(t, "ALERT a by third")
	letters(t, 1)
	ilert.invalid("")
	post(secret, "RESOLVE")
	ilert.known(t, "RESOLVE a")
	retry(t)
	ilert.known(t, "ALERT a by third")
	letters(t, 0)

	ilert.invalid("ALERT a by third")
	post("third", "ALERT")
	ilert.known(t, "ALERT a by third")
	letters(t, 1)
	post("third", "RESOLVE")
	ilert.known(t, "RESOLVE a by third")
	retry(t)
	assert.Equal(t, "RESOLVE of the same alert key has come since", letters(t, 1)[0].Kept)
	ilert.known(t)
}
