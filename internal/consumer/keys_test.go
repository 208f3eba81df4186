package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// twoSources are rules of two alert sources: doors go to one of their own, fires to the
// configured one.
const twoSources = `
rules:
  - {name: fire, topics: fire/+, when: msg.on, raise: {key: "{topic}", summary: fire}, ends: {when: not msg.on}}
  - {name: open, topics: door/+, integration_key: {env: DOORS_KEY}, when: msg.open, raise: {key: "{topic}", summary: open}, ends: {when: not msg.open}}
`

// withoutDoors is twoSources without its last rule.
var withoutDoors, _, _ = strings.Cut(twoSources, "  - {name: open")

// retry asks for all dead letters to be taken in again, as mps-ilert store does.
func retry(t *testing.T) {
	t.Helper()
	s := beside(t)
	defer s.Close()
	n, err := s.AskToRetry(t.Context(), alerting.LetterQuery{})
	require.NoError(t, err)
	require.NotZero(t, n)
}

// letters waits until as many dead letters as are wanted are there and none of them is
// to be taken in again.
func letters(t *testing.T, want int) []alerting.Letter {
	t.Helper()
	s := beside(t)
	defer s.Close()
	var all []alerting.Letter
	require.Eventually(t, func() bool {
		var err error
		all, err = s.DeadLetters(t.Context(), alerting.LetterQuery{})
		return assert.NoError(t, err) && len(all) == want && !slices.ContainsFunc(all, func(l alerting.Letter) bool { return l.Retry })
	}, brokertest.Wait, 5*time.Millisecond)
	accounted(t, s)
	return all
}

// accounted checks that each received message has one fate.
func accounted(t *testing.T, s *alerting.Engine) {
	t.Helper()
	tallies, err := s.Tallies(t.Context())
	require.NoError(t, err)
	for filter, t1 := range tallies {
		assert.Equal(t, t1.Received, t1.Ignored+t1.Duplicate+t1.Merged+t1.Delivered+t1.Dead+t1.Purged+t1.Pending, "%s: %+v", filter, t1)
	}
}

func TestARuleThatIsGoneResolvesByTheKeyByWhichItRaised(t *testing.T) {
	for name, goOn := range map[string]func(started, consumer.Config) started{
		"after a reload":  func(c started, _ consumer.Config) started { require.NoError(t, c.Reload(t.Context())); return c },
		"after a restart": func(c started, cfg consumer.Config) started { c.stop(); return start(t, cfg) },
	} {
		for _, source := range []string{"env: DOORS_KEY", "file: "} {
			t.Run(name+", "+source, func(t *testing.T) {
				t.Setenv("DOORS_KEY", "doors")
				rules := twoSources
				if source != "env: DOORS_KEY" {
					path := filepath.Join(t.TempDir(), "key")
					require.NoError(t, os.WriteFile(path, []byte("doors\n"), 0o600))
					rules = strings.Replace(rules, "env: DOORS_KEY", fmt.Sprintf("file: %q", path), 1)
				}
				b, ilert := brokertest.Start(t, ""), record(t)
				cfg := byRules(t, b, ilert, rules)
				c := start(t, cfg).ready(t)
				publishTo(t, b.Addr(), "door/1", `{"open":true}`)
				ilert.expect(t, "ALERT door/1 by doors")
				require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(withoutDoors), 0o600))
				c = goOn(c, cfg)
				ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors")
				c.ready(t)
			})
		}
	}
}

// The alerts that a rule has raised by another key are resolved by that key: no later message would reach them.
func TestARuleThatGetsAnotherKeyResolvesByTheOldOne(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	t.Setenv("GATES_KEY", "gates")
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, twoSources)
	var log journal
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1 by doors")
	require.NoError(t, c.Reload(t.Context()))
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(strings.Replace(twoSources, "DOORS", "GATES", 1)), 0o600))
	require.NoError(t, c.Reload(t.Context()))
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors")
	assert.Equal(t, 1, log.count(`msg="rules have another integration key, the alerts of the former are resolved" rules=[open] alerts=1`))
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors", "ALERT door/1 by gates")
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors", "ALERT door/1 by gates", "RESOLVE door/1 by gates")
}

// A wrong key should not show only with the first alert.
func TestAKeyOfARuleThatIsNoneIsAMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	rules := strings.Replace(twoSources, "env: DOORS_KEY", fmt.Sprintf("file: %q", path), 1)
	for _, key := range []string{"doors\ngates", `"doors"`, "doors gates", "\ufeffdoors"} {
		require.NoError(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
		cfg := byRules(t, brokertest.Start(t, ""), record(t), rules)
		_, err := consumer.New(cfg)
		require.ErrorContains(t, err, "integration key file:"+path+": a key holds no blanks, line breaks or quotes")
		assert.NotContains(t, err.Error(), "doors")
	}
}

func TestAKeyThatCannotBeReadAnyMoreIsNamed(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, twoSources)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1 by doors")
	c.stop()
	t.Setenv("DOORS_KEY", "")
	require.NoError(t, os.WriteFile(cfg.RulesFiles[0], []byte(withoutDoors), 0o600))
	c = start(t, cfg)
	c.failingKey(t, consumer.Key{Name: "env:DOORS_KEY", Error: "integration key env:DOORS_KEY: is empty: alerts that were raised by it wait, bring it back and restart"})
	require.ErrorContains(t, c.Ready(), "integration key env:DOORS_KEY: is empty")
	ilert.expect(t, "ALERT door/1 by doors")

	t.Setenv("DOORS_KEY", "doors")
	require.NoError(t, c.Reload(t.Context()), "which says that it is mended")
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors")
	c.ready(t)
}

// A secret in a file may be changed while the daemon runs.
func TestAKeyThatIlertRefusesIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.refuse("old")
	c := start(t, byRules(t, b, ilert, strings.Replace(twoSources, "env: DOORS_KEY", fmt.Sprintf("file: %q", path), 1))).ready(t)
	c.ProbeAfter(50 * time.Millisecond)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	c.failing(t, "401")
	require.NoError(t, os.WriteFile(path, []byte("new"), 0o600))
	c.ready(t)
	ilert.mu.Lock()
	defer ilert.mu.Unlock()
	assert.Equal(t, "ALERT door/1 by new", ilert.sent[len(ilert.sent)-1])
}

// A message cannot name the key of a rule, which would let its sender use a secret that it does not know.
func TestNoTextOfAMessageIsTheNameOfAKey(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("windows"), 0o600))
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, twoSources+`
  - {name: window, topics: window/+, integration_key: {file: "`+path+`"}, raise: {key: "{topic}", summary: s}, ends: {age: 1h}}`)
	c := start(t, cfg).ready(t)
	var want []string
	for _, text := range []string{"env:DOORS_KEY", "file:" + path, "configured", "key:" + secret, "key:doors", " "} {
		_, err := c.Post(t.Context(), fmt.Appendf(nil, `{"integrationKey":%q,"eventType":"RESOLVE","summary":"x","alertKey":"a"}`, text))
		require.NoError(t, err)
		want = append(want, "RESOLVE a by "+text)
		ilert.expect(t, want...)
	}
	c.stop()

	cfg.RulesFiles, cfg.Mapping, cfg.Topics, cfg.OpenStore = nil, &consumer.Mapping{}, []string{"t"}, storeAt(filepath.Join(t.TempDir(), "mapping.db"))
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "t", `{"integrationKey":"env:DOORS_KEY","eventType":"RESOLVE","summary":"x","alertKey":"b"}`)
	ilert.expect(t, append(want, "RESOLVE b by env:DOORS_KEY")...)
}

// No message causes the end by silence, so its dead letter holds the notice of the alert.
func TestADeadLetterOfAnAlertsOwnNoticeKeepsItsSource(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answer = func(_ *http.Request, sent []string) int {
		if len(sent) == 2 {
			return http.StatusBadRequest
		}
		return http.StatusAccepted
	}
	cfg := byRules(t, b, ilert, strings.Replace(twoSources, "ends: {when: not msg.open}", "ends: {silence: 1s}", 1))
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors")
	assert.Equal(t, "env:DOORS_KEY", letters(t, 1)[0].Alert.Integration.String())
	retry(t)
	ilert.expect(t, "ALERT door/1 by doors", "RESOLVE door/1 by doors", "RESOLVE door/1 by doors")
	letters(t, 0)
}

func TestNoTopicFilterIsAWordOfTheStores(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := byRules(t, b, ilert, strings.Replace(doorRules, "topics: door/+", `topics: [door/+, rules, "(an earlier subscription)"]`, 1))
	c := start(t, cfg).ready(t)
	const forged = `{"eventType":"ALERT","summary":"forged","alertKey":"forged","integrationKey":"` + secret + `"}`
	for _, topic := range []string{"rules", "(an earlier subscription)"} {
		publishTo(t, b.Addr(), topic, forged) // has no member "open"
	}
	for _, l := range letters(t, 2) {
		assert.Equal(t, l.Topic, l.Filter)
	}
	retry(t)
	letters(t, 2)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.expect(t, "ALERT door/1")
	c.stop()

	const refused = `"http": what comes by HTTP is counted under this name: write http/#, which matches the topic http, too`
	for name, change := range map[string]func(*consumer.Config){
		"topic":     func(c *consumer.Config) { c.Topics = []string{"http"} },
		"heartbeat": func(c *consumer.Config) { c.HeartbeatTopic = "http" },
		"rules": func(c *consumer.Config) {
			c.RulesFiles = []string{rulesFile(t, strings.Replace(doorRules, "door/+", "http", 1))}
		},
	} {
		bad := cfg
		change(&bad)
		_, err := consumer.New(bad)
		assert.ErrorContains(t, err, refused, name)
	}
	cfg.RulesFiles = []string{rulesFile(t, strings.Replace(doorRules, "door/+", "http/#", 1))}
	start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "http", `{"open":true}`)
	ilert.expect(t, "ALERT door/1", "ALERT http")
}

// Two alert sources, one of which is down: the other hears its own, and no more.
func TestEachSourceHearsItsOwnAfterRestartsAndReloads(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	down := func(*http.Request, []string) int { return http.StatusServiceUnavailable }
	ilert.answer = down
	cfg := byRules(t, b, ilert, twoSources)
	c := start(t, cfg).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	publishTo(t, b.Addr(), "fire/1", `{"on":true}`)
	_, err := c.Post(context.Background(), []byte(`{"integrationKey":"third","eventType":"ALERT","summary":"x","alertKey":"p"}`))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(c.Status(t.Context()).Keys) == 3 }, brokertest.Wait, 5*time.Millisecond)
	require.NoError(t, c.Reload(t.Context()))
	c.stop()
	ilert.mu.Lock()
	for _, one := range ilert.sent {
		assert.Contains(t, []string{"ALERT door/1 by doors", "ALERT fire/1", "ALERT p by third"}, one)
	}
	ilert.sent, ilert.answer = nil, nil
	ilert.mu.Unlock()
	start(t, cfg)
	require.Eventually(t, func() bool {
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		return len(ilert.sent) == 3
	}, brokertest.Wait, 5*time.Millisecond)
	ilert.mu.Lock()
	defer ilert.mu.Unlock()
	assert.ElementsMatch(t, []string{"ALERT door/1 by doors", "ALERT fire/1", "ALERT p by third"}, ilert.sent)
}
