package consumer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
)

// refuse lets a recorder refuse the events of some integration keys.
func (r *recorder) refuse(keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(_ *http.Request, sent []string) int {
		for _, key := range keys {
			if strings.HasSuffix(sent[len(sent)-1], " by "+key) {
				return http.StatusUnauthorized
			}
		}
		return http.StatusAccepted
	}
}

// notTaken is the error of an integration key that ilert refuses.
const notTaken = "ilert answered 401 Unauthorized: check ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"

func eventBy(key string) []byte {
	return fmt.Appendf(nil, `{"integrationKey":%q,"eventType":"ALERT","summary":"x","alertKey":"a"}`, key)
}

// failingKey waits until exactly this integration key fails.
func (s started) failingKey(t *testing.T, want consumer.Key) {
	t.Helper()
	require.Eventually(t, func() bool {
		keys := s.Status(t.Context()).Keys
		return len(keys) == 1 && keys[0] == want
	}, brokertest.Wait, 5*time.Millisecond)
}

func purge(t *testing.T, which alerting.LetterQuery) alerting.Purged {
	t.Helper()
	s := beside(t)
	defer s.Close()
	n, err := s.Purge(t.Context(), which)
	require.NoError(t, err)
	accounted(t, s)
	return n
}

func TestAKeyThatIlertHasNeverTakenTakesNothingDown(t *testing.T) {
	for name, send := range map[string]func(*testing.T, started, string){
		"by HTTP": func(t *testing.T, c started, _ string) {
			t.Helper()
			_, err := c.Post(t.Context(), eventBy("bogus"))
			require.NoError(t, err)
		},
		"by MQTT": func(t *testing.T, _ started, addr string) {
			t.Helper()
			publishTo(t, addr, "t", string(eventBy("bogus")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, ilert := brokertest.Start(t, ""), record(t)
			ilert.refuse("bogus")
			cfg := config(t, b, ilert)
			cfg.Presets, cfg.Mapping, cfg.Topics = nil, &consumer.Mapping{}, []string{"t"}
			c := start(t, cfg).ready(t)
			send(t, c, b.Addr())
			bogus := consumer.Key{Name: keyName("bogus"), Unproven: true, Error: notTaken}
			c.failingKey(t, bogus)
			require.NoError(t, c.Ready(), "and so the heartbeat goes on")
			require.Eventually(t, func() bool { return c.Status(t.Context()).Unproven.Keys == 1 }, brokertest.Wait, 5*time.Millisecond)
			assert.EqualValues(t, 1, c.Status(t.Context()).Unproven.Messages)
			c.stop()

			c = start(t, cfg).ready(t) // which tries at once
			c.failingKey(t, bogus)
			require.NoError(t, c.Ready())
			assert.Equal(t, alerting.Purged{Waiting: 1}, purge(t, alerting.LetterQuery{Keys: []string{bogus.Name}}))
			require.Eventually(t, func() bool { return len(c.Status(t.Context()).Keys) == 0 }, brokertest.Wait, 5*time.Millisecond)
		})
	}
}

// keyName returns the name of an integration key of a message.
func keyName(secret string) string { return ilert.LiteralKey(secret).String() }

// A key that ilert has accepted before counts as proven, even if a message brought it.
func TestAKeyThatIlertTookBeforeIsNoLongerTaken(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	_, err := c.Post(t.Context(), eventBy("third"))
	require.NoError(t, err)
	ilert.expect(t, "ALERT a by third")
	c.stop()
	ilert.refuse("third")
	c = start(t, cfg).ready(t)
	_, err = c.Post(t.Context(), eventBy("third"))
	require.NoError(t, err)
	c.failing(t, "401 Unauthorized")
	c.failingKey(t, consumer.Key{Name: keyName("third"), Error: notTaken})
	assert.Zero(t, purge(t, alerting.LetterQuery{}), "only by its name")
	assert.Equal(t, alerting.Purged{Waiting: 1}, purge(t, alerting.LetterQuery{Keys: []string{keyName("third")}}))
	c.ready(t)
}

// While ilert is away the consumer can send nothing, whoever has brought the key.
func TestAnIlertThatIsAwayIsNoMatterOfTheKey(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	ilert.Close()
	_, err := c.Post(t.Context(), eventBy("new"))
	require.NoError(t, err)
	c.failing(t, "ilert does not answer")
}

func TestManyKeysThatAreMadeUpHoldUpNobody(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.mu.Lock()
	ilert.answer = func(_ *http.Request, sent []string) int {
		if strings.Contains(sent[len(sent)-1], "made up") {
			return http.StatusForbidden
		}
		return http.StatusAccepted
	}
	ilert.mu.Unlock()
	c := start(t, byRules(t, b, ilert, twoSources)).ready(t)
	for n := range 300 {
		_, err := c.Post(t.Context(), eventBy(fmt.Sprint("made up ", n)))
		require.NoError(t, err)
	}
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	publishTo(t, b.Addr(), "fire/1", `{"on":true}`)
	require.Eventually(t, func() bool {
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		own := 0
		for _, one := range ilert.sent {
			if one == "ALERT door/1 by doors" || one == "ALERT fire/1" {
				own++
			}
		}
		return own == 2 && len(ilert.sent) == 302
	}, brokertest.Wait, 5*time.Millisecond)
	require.Eventually(t, func() bool { return c.Status(t.Context()).Unproven.Keys == 300 }, brokertest.Wait, 5*time.Millisecond)
	require.NoError(t, c.Ready())
	assert.Len(t, c.Status(t.Context()).Keys, 100)
	for _, key := range c.Status(t.Context()).Keys {
		assert.NotContains(t, key.Name, "made up")
	}
}
