package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/ilertsim"
	"github.com/mps-events/mps-events/internal/store/memory"
)

const apiKey = "il1user-s3cret"

// looking is a consumer that looks at what a stand-in for ilert shows.
type looking struct {
	t      *testing.T
	sim    *ilertsim.Server
	broker interface{ Addr() string }
	config consumer.Config
	log    *journal
	started
}

// eachStore runs a test with the rules of two sources on each kind of store.
func eachStore(t *testing.T, test func(l *looking)) {
	t.Helper()
	t.Setenv("DOORS_KEY", "doors")
	t.Cleanup(consumer.ShowAfter(0))
	t.Cleanup(consumer.ListRate(1 << 20))
	for _, kind := range []string{"SQLite", "memory"} {
		t.Run(kind, func(t *testing.T) {
			sim := ilertsim.New(ilertsim.Config{
				Sources: []ilertsim.Source{{Name: "all", IntegrationKey: secret}, {Name: "doors", IntegrationKey: "doors"}, {Name: "others", IntegrationKey: "others"}},
				APIKeys: map[string]bool{apiKey: true, "no rights": false}, ListLimit: 1 << 20,
			})
			server := httptest.NewServer(sim)
			t.Cleanup(server.Close)
			l := &looking{t: t, sim: sim, broker: brokertest.Start(t, ""), log: new(journal)}
			l.config = consumer.Config{
				Address: "mqtt://" + l.broker.Addr(), ClientID: "test", OpenStore: storeAt(newStorePath(t)),
				IlertURL: server.URL, IntegrationKey: secret, RulesFiles: []string{rulesFile(t, twoSources)}, Rate: -1,
				IlertAPIKey: apiKey, IlertPoll: time.Hour, Logger: slog.New(slog.NewTextHandler(l.log, nil)),
			}
			if kind == "memory" {
				rows := memory.New()
				l.config.OpenStore = func(context.Context) (alerting.Store, error) { return rows, nil }
			}
			l.start()
			test(l)
			assert.NotContains(t, l.log.String(), "s3cret")
		})
	}
}

func (l *looking) start() { l.started = start(l.t, l.config).ready(l.t) }

func (l *looking) say(topic, payload string) { publishTo(l.t, l.broker.Addr(), topic, payload) }

// shows returns the keys of the open alerts of an alert source, sorted.
func (l *looking) shows(integrationKey string) string {
	var all []string
	for _, a := range l.sim.Open(integrationKey) {
		all = append(all, a.AlertKey)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// until waits until something is so, and looks all the time.
func (l *looking) until(what string, is func() bool) {
	l.t.Helper()
	began := time.Now()
	for !is() {
		require.Less(l.t, time.Since(began), brokertest.Wait, "%s; status %+v", what, l.status())
		l.LookSoon()
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *looking) status() consumer.Shown { return l.Status(l.t.Context()).Ilert }

// showsSoon waits until an alert source shows some alerts.
func (l *looking) showsSoon(integrationKey, want string) {
	l.t.Helper()
	l.until("shows "+want, func() bool { return l.shows(integrationKey) == want })
}

// isTrue waits until Status says that what ilert shows is true, with a number of alerts.
func (l *looking) isTrue(desired int) {
	l.t.Helper()
	l.until("true", func() bool {
		s := l.status()
		return s.True == "yes" && s.Desired == desired && s.Shown == desired && s.Differ == 0
	})
}

// looks waits for some looks more that are complete.
func (l *looking) looks(n int) {
	l.t.Helper()
	for range n {
		before := l.status().LookedAt
		l.until("a look", func() bool { return l.status().LookedAt.After(before) })
	}
}

// id returns the ID of an open alert of the configured integration key.
func (l *looking) id(alertKey string) int64 {
	l.t.Helper()
	for _, a := range l.sim.Open(secret) {
		if a.AlertKey == alertKey {
			return a.ID
		}
	}
	require.Fail(l.t, "there is no open alert "+alertKey)
	return 0
}

func TestWhatIsRaisedDuringAMaintenanceIsSentAfterIt(t *testing.T) {
	const said = `"an alert source of ilert makes no alerts`
	eachStore(t, func(l *looking) {
		l.say("fire/1", `{"on":true}`)
		l.isTrue(1)
		l.sim.SetState(ilertsim.Maintenance, secret)
		l.say("fire/2", `{"on":true}`)
		l.say("door/1", `{"open":true}`)
		l.until("nobody will be paged", func() bool { return strings.Contains(l.status().Why, "nobody will be paged") && l.status().Differ == 1 })
		status := l.status()
		assert.Equal(t, "no", status.True)
		assert.Equal(t, "configured all IN_MAINTENANCE false", fmt.Sprint(status.Sources[0].Key, " ", status.Sources[0].Name, " ", status.Sources[0].Status, " ", status.Sources[0].Well))
		assert.Contains(t, status.Sources[0].Note, "nobody will be paged")
		assert.True(t, status.Sources[1].Well)
		l.looks(3)
		assert.Equal(t, "fire/1", l.shows(secret))
		assert.Equal(t, "door/1", l.shows("doors"))
		l.stop()
		l.start()
		l.until("said by the next process", func() bool { return l.log.count(said) == 2 })
		l.sim.SetState(ilertsim.Active, secret)
		l.isTrue(3)
		assert.Equal(t, "fire/1 fire/2", l.shows(secret))
		assert.GreaterOrEqual(t, l.status().Repairs.ToldAgain, uint64(1))
		assert.Equal(t, 2, l.log.count(said), "once by each process")
	})
}

func TestADisabledSourceIsNamed(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.sim.SetState(ilertsim.Disabled, "doors")
		l.say("door/1", `{"open":true}`)
		l.until("disabled", func() bool { return strings.Contains(l.status().Why, "DISABLED") && l.status().Differ == 1 })
		l.sim.SetState(ilertsim.Active, "doors")
		l.showsSoon("doors", "door/1")
	})
}

func TestWhatAFilterOfIlertDropsIsSentAgain(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.sim.SetAnswer(func(r ilertsim.Request) ilertsim.Answer { return ilertsim.Answer{Drop: r.Method == http.MethodPost} })
		l.say("fire/1", `{"on":true}`)
		l.until("told again", func() bool { return l.status().Repairs.ToldAgain >= 2 })
		assert.Equal(t, 1, l.status().Differ)
		l.sim.SetAnswer(nil)
		l.showsSoon(secret, "fire/1")
		l.sim.SetAnswer(func(r ilertsim.Request) ilertsim.Answer { return ilertsim.Answer{Drop: r.Method == http.MethodPost} })
		l.say("fire/1", `{"on":false}`)
		l.until("ended again", func() bool { return l.status().Repairs.Resolved >= 2 })
		l.sim.SetAnswer(nil)
		l.showsSoon(secret, "")
		l.isTrue(0)
	})
}

func TestAnAlertThatAPersonHasClosedOrAcceptedAtIlertIsQuiet(t *testing.T) {
	eachStore(t, func(l *looking) {
		for n := range 3 {
			l.say(fmt.Sprint("fire/", n), `{"on":true}`)
		}
		l.isTrue(3)
		require.NoError(t, l.sim.Accept(l.id("fire/0")))
		require.NoError(t, l.sim.Resolve(l.id("fire/1")))
		l.until("known", func() bool { return l.status().Accepted == 1 && l.status().Closed == 1 })
		l.looks(3)
		assert.Equal(t, "fire/0 fire/2", l.shows(secret))
		assert.Equal(t, 1, l.status().Differ)
		l.stop()
		l.start()
		l.looks(3)
		assert.Equal(t, "fire/0 fire/2", l.shows(secret))
		for n := range 3 {
			l.say(fmt.Sprint("fire/", n), `{"on":false}`)
		}
		l.showsSoon(secret, "")
		l.isTrue(0)
	})
}

// The alert that a person has closed has ended, and begins anew before its end is sent.
func TestAClosedAlertThatBeginsAnewIsSent(t *testing.T) {
	for name, known := range map[string]bool{"closed before a look": false, "known to be closed": true} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(l *looking) {
				l.say("fire/1", `{"on":true}`)
				l.isTrue(1)
				require.NoError(t, l.sim.Resolve(l.id("fire/1")))
				if known {
					l.until("known", func() bool { return l.status().Closed == 1 })
				}
				l.sim.SetAnswer(ilertsim.Always(ilertsim.Answer{Status: 403})) // the key waits
				l.say("fire/2", `{"on":true}`)
				l.failing(t, "403")
				for n, on := range []bool{false, true} {
					l.say("fire/1", fmt.Sprintf(`{"on":%v}`, on))
					l.until("the message has come", func() bool { return l.Status(t.Context()).Messages["fire/+"].Received == uint64(3+n) })
				}
				l.sim.SetAnswer(nil)
				l.stop()
				l.start()
				l.until("both are shown", func() bool { return len(l.sim.Open(secret)) == 2 })
				l.isTrue(2)
			})
		})
	}
}

func TestAnAlertThatIsClosedWhileItsSourceIsNotWellIsSentAgain(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.say("fire/1", `{"on":true}`)
		l.isTrue(1)
		l.sim.SetState(ilertsim.Maintenance, secret)
		l.until("not well", func() bool { return l.status().True == "no" })
		require.NoError(t, l.sim.Resolve(l.id("fire/1")))
		l.looks(2)
		l.sim.SetState(ilertsim.Active, secret)
		l.showsSoon(secret, "fire/1")
	})
}

func TestAnAPIKeyWithoutRightsIsSaidAndRepeatsGoOn(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.say("fire/1", `{"on":true}`)
		l.isTrue(1)
		for key, want := range map[string]string{"wrong": "401 Unauthorized: check the API key", "no rights": "403 Forbidden: the user of the API key"} {
			l.stop()
			l.config.IlertAPIKey, l.config.Repeat = key, time.Second
			l.start()
			l.until("the reason", func() bool { return strings.Contains(l.status().Error, want) })
			assert.Equal(t, "unknown", l.status().True)
			assert.NoError(t, l.Ready())
			l.until("the alert is repeated", func() bool { return l.status().Repairs.Repeated > 0 })
		}
		assert.Equal(t, 2, l.log.count("what ilert shows cannot be looked at"), "once by each process")
		l.stop()
		l.config.IlertAPIKey = apiKey
		l.start()
		l.isTrue(1)
	})
}

func TestAnAnswerThatIsNoListIsSaid(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.isTrue(0)
		for _, c := range []struct {
			answer ilertsim.Answer
			want   string
		}{
			{ilertsim.Answer{Status: 200, Body: "<html>"}, "is no list (no JSON): check --ilert_url"},
			{ilertsim.Answer{Status: 200, Body: `{"error":1}`}, "is no list"},
			{ilertsim.Answer{Status: 500, Body: apiKey}, "500"},
			{ilertsim.Answer{Status: 404}, "404 Not Found: check --ilert_url"},
			{ilertsim.Answer{Status: 429, RetryAfter: 1}, "429"},
			{ilertsim.Answer{Reset: true}, "EOF"},
		} {
			l.sim.SetAnswer(func(r ilertsim.Request) ilertsim.Answer {
				if r.Method == http.MethodGet && strings.Contains(r.Path, "/api/alert") {
					return c.answer
				}
				return ilertsim.Answer{}
			})
			l.until(c.want, func() bool { return strings.Contains(l.status().Error, c.want) })
		}
		l.sim.SetAnswer(nil)
		l.isTrue(0)
		assert.Contains(t, l.log.String(), "what ilert shows can be looked at again")
	})
}

func TestAListOfSeveralPagesIsReadWhole(t *testing.T) {
	eachStore(t, func(l *looking) {
		for n := range 250 {
			l.say(fmt.Sprint("fire/", n), `{"on":true}`)
		}
		l.isTrue(250)
		posted := len(l.sim.Events())
		before := len(l.sim.Requests())
		l.looks(2)
		for _, first := range []int{0, 100, 200} {
			assert.True(t, slices.ContainsFunc(l.sim.Requests()[before:], func(r ilertsim.Request) bool {
				return strings.HasPrefix(r.Path, "/api/alerts?") && strings.Contains(r.Path, fmt.Sprint("start-index=", first, "&"))
			}), "the page from %d", first)
		}
		assert.Len(t, l.sim.Events(), posted, "nothing was missing")
	})
}

func TestAlertsOfOthersStay(t *testing.T) {
	eachStore(t, func(l *looking) {
		post := func(key string) {
			require.NoError(t, ilertClient(t, l.config.IlertURL).Send(t.Context(), "/api/events", alertOf(key), ""))
		}
		post("others")
		l.say("fire/1", `{"on":true}`)
		l.until("seen", func() bool { return l.status().Others == 1 && l.status().Desired == 1 })
		l.looks(3)
		l.say("fire/1", `{"on":false}`)
		l.showsSoon(secret, "others")
		l.looks(3)
		assert.Equal(t, "others", l.shows(secret))
	})
}

func TestAnIntegrationKeyWithoutAnAlertSourceIsSaid(t *testing.T) {
	eachStore(t, func(l *looking) {
		l.stop()
		l.config.IntegrationKey = "unknown"
		l.start()
		l.until("said", func() bool {
			return strings.Contains(l.status().Why, "no alert source in ilert's list has this integration key")
		})
		assert.Equal(t, "unknown", l.status().True)
		assert.Equal(t, 1, l.log.count("the alert source of an integration key cannot be looked at"))
	})
}

func TestWithoutAnAPIKeyStatusSaysThatNobodyLooks(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, config(t, b, ilert)).ready(t)
	shown := c.Status(t.Context()).Ilert
	assert.Equal(t, "unknown", shown.True)
	assert.Contains(t, shown.Why, "set --ilert_api_key")
	assert.Empty(t, shown.Sources)
}

func ilertClient(t *testing.T, address string) *ilert.Client {
	t.Helper()
	client, err := ilert.New(address, address, 1)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdle)
	return client
}

func alertOf(key string) ilert.Event {
	return ilert.Event{IntegrationKey: secret, EventType: ilert.Alert, AlertKey: key, Summary: "of others"}
}
