package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// strict is an ilert that answers 400 to each event that names an alert of a topic, and knows
// which alerts it was sent: alone, or in the list of a storm.
type strict struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	refused  int
	known    map[string]int
	empty    int // alerts of storms that list nobody
	open     map[string]bool
}

func beStrict(t *testing.T, culprit string) *strict {
	t.Helper()
	s := &strict{known: map[string]int{}, open: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct{ EventType, Summary, AlertKey, Details string }
		if !assert.NoError(t, json.NewDecoder(r.Body).Decode(&e)) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests++
		names := []string{e.AlertKey}
		if strings.HasPrefix(e.AlertKey, "storm/") && e.EventType == "ALERT" {
			if e.Details == "" {
				s.empty++
			}
			names = strings.Split(e.Details, "\n")
			if last := len(names) - 1; strings.HasPrefix(names[last], "and ") {
				names = names[:last]
			}
		}
		for _, name := range names {
			if name == culprit {
				s.refused++
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		for _, name := range names {
			if e.EventType == "ALERT" && !strings.HasPrefix(name, "storm/") {
				s.known[name]++
			}
		}
		s.open[strings.ToLower(e.AlertKey)] = e.EventType != "RESOLVE"
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	return s
}

// await waits until what is true under the lock.
func (s *strict) await(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return what()
	}, 3*brokertest.Wait, 5*time.Millisecond)
}

// Two rules whose names differ by case are in a storm at once, ilert refuses one alert, and
// the process ends in the middle of the search for it.
func TestOneAlertThatIlertRefusesTakesNoOtherWithIt(t *testing.T) {
	const each = 250
	b, ilert := brokertest.Start(t, ""), beStrict(t, "upper/77")
	cfg := byRules(t, b, &recorder{Server: ilert.Server}, `
rules:
  - {name: Hot, topics: upper/+, when: msg.on, raise: {key: "{topic}", summary: hot}, ends: {when: not msg.on}}
  - {name: hot, topics: lower/+, when: msg.on, raise: {key: "{topic}", summary: hot}, ends: {when: not msg.on}}
`)
	cfg.Rate = 300
	start(t, cfg).ready(t).stop()
	client := brokertest.Connect(t, b.Addr(), nil)
	publishAll := func(payload string) {
		for n := range each {
			for _, rule := range []string{"upper", "lower"} {
				_, err := client.Publish(context.Background(), &paho.Publish{Topic: fmt.Sprintf("%s/%d", rule, n), QoS: 1, Payload: []byte(payload)})
				require.NoError(t, err)
			}
		}
	}
	publishAll(`{"on": true}`)
	first := start(t, cfg)
	ilert.await(t, func() bool { return ilert.refused > 2 })
	first.stop()
	s := beside(t)
	accounted(t, s)
	require.NoError(t, s.Close())
	start(t, cfg)
	dead := letters(t, 1)
	assert.Equal(t, "upper/77", dead[0].Topic)
	ilert.await(t, func() bool { return len(ilert.known) == 2*each-1 })
	publishAll(`{"on": false}`)
	ilert.await(t, func() bool {
		for _, open := range ilert.open {
			if open {
				return false
			}
		}
		return true
	})
	letters(t, 1)
	ilert.mu.Lock()
	defer ilert.mu.Unlock()
	assert.Zero(t, ilert.empty)
	assert.Less(t, ilert.requests, 2*each, "fewer requests than alerts")
	t.Logf("%d requests, %d of them refused", ilert.requests, ilert.refused)
}

// The requests of one integration key hang.
func TestOneKeyDoesNotOccupyAllWorkers(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b := brokertest.Start(t, "")
	goOn, hanging, fires := make(chan struct{}), make(chan struct{}, 1000), make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct{ IntegrationKey, AlertKey string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		if e.IntegrationKey == "doors" {
			hanging <- struct{}{}
			<-goOn
		} else {
			fires <- e.AlertKey
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	cfg := byRules(t, b, &recorder{Server: server}, twoSources)
	start(t, cfg).ready(t)
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	client := brokertest.Connect(t, b.Addr(), nil)
	say := func(topic, payload string) {
		_, err := client.Publish(context.Background(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	for n := range 300 {
		say(fmt.Sprintf("door/%d", n), `{"open": true}`)
	}
	const maxUnderWay = 96
	for n := range maxUnderWay {
		select {
		case <-hanging:
		case <-time.After(brokertest.Wait):
			require.Fail(t, "fewer requests are under way", "%d", n)
		}
	}
	say("fire/1", `{"on": true}`)
	select {
	case key := <-fires:
		assert.Equal(t, "fire/1", key)
	case <-time.After(brokertest.Wait):
		assert.Fail(t, "the other key waits")
	}
	assert.Empty(t, hanging, "no more of them go out before one has come back")
	release()
	for range 300 - maxUnderWay {
		select {
		case <-hanging:
		case <-time.After(brokertest.Wait):
			require.Fail(t, "the rest does not go out")
		}
	}
}
