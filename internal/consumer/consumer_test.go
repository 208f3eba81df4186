package consumer_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "il1api-s3cret"

// recorder is an ilert that records the events that it is sent, with the integration key if that is
// not the configured one. It accepts them, unless a test sets another answer.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	sent   []string
	answer func(r *http.Request, sent []string) int
	open   map[net.Conn]struct{} // the connections to it
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{open: map[net.Conn]struct{}{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var e struct{ IntegrationKey, EventType, Summary, AlertKey, Priority string }
		if !assert.NoError(t, json.NewDecoder(request.Body).Decode(&e)) {
			return
		}
		assert.NotEmpty(t, e.Summary)
		text := e.EventType + " " + e.AlertKey
		if e.IntegrationKey != secret {
			text += " by " + e.IntegrationKey
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent = append(r.sent, text)
		status := http.StatusAccepted
		if r.answer != nil {
			status = r.answer(request, r.sent)
		}
		w.WriteHeader(status)
	}))
	r.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open[conn] = struct{}{}
		if state == http.StateClosed {
			delete(r.open, conn)
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	assert.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Join(r.sent, "\n") == strings.Join(want, "\n")
	}, brokertest.Wait, 5*time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(t, want, r.sent)
}

// started is a running consumer that can be stopped before its test ends.
type started struct {
	*consumer.Consumer
	stop func()
}

func start(t *testing.T, config consumer.Config) started {
	t.Helper()
	c, err := consumer.New(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return started{c, stop}
}

func (s started) ready(t *testing.T) started {
	t.Helper()
	require.Eventually(t, func() bool { return s.Ready() == nil }, brokertest.Wait, 5*time.Millisecond)
	return s
}

// failing waits until the consumer is not ready, for that reason.
func (s started) failing(t *testing.T, reason string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Ready() != nil }, brokertest.Wait, time.Millisecond)
	assert.ErrorContains(t, s.Ready(), reason)
}

func config(t *testing.T, b interface{ Addr() string }, ilert *recorder) consumer.Config {
	t.Helper()
	return consumer.Config{
		Address: "mqtt://" + b.Addr(), ClientID: "test", OpenStore: storeAt(newStorePath(t)),
		IlertURL: ilert.URL, IntegrationKey: secret, Presets: []string{"calls"}, Rate: -1,
	}
}

func publish(t *testing.T, client *paho.Client, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		_, err := client.Publish(context.Background(), &paho.Publish{Topic: "mps/events", QoS: 1, Payload: []byte(payload)})
		require.NoError(t, err)
	}
}

func call(typ event.Type, guid string) string {
	return string(event.Event{Type: typ, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: guid}.AppendJSON(nil))
}

func TestAFailedCallRaisesAndItsSuccessResolves(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	start(t, config(t, b, ilert)).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	publish(t, client, call(event.Request, "1"), call(event.Fail, "1"), call(event.Fail, "1"), "junk")
	ilert.expect(t, "ALERT 1/AMT_PowerState")
	publish(t, client, call(event.Success, "1"), call(event.Success, "2"))
	ilert.expect(t, "ALERT 1/AMT_PowerState", "RESOLVE 1/AMT_PowerState")
}

func TestTheBrokerKeepsWhatComesWhileTheConsumerIsAway(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	start(t, cfg).ready(t).stop()
	client := brokertest.Connect(t, b.Addr(), nil)
	var want []string
	for n := range 2000 { // more than several batches and than one Receive Maximum
		guid, typ := fmt.Sprintf("%04d", n), event.Request
		if n%50 == 0 {
			typ = event.Fail
			want = append(want, "ALERT "+guid+"/AMT_PowerState")
		}
		publish(t, client, call(typ, guid))
	}
	start(t, cfg)
	assert.Eventually(t, func() bool {
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		return len(ilert.sent) >= len(want)
	}, brokertest.Wait, 5*time.Millisecond)
	ilert.mu.Lock()
	defer ilert.mu.Unlock()
	assert.ElementsMatch(t, want, ilert.sent)
}

// The broker has used the packet identifiers by which the consumer will subscribe again.
func TestASessionWithMessagesUnderWayIsSubscribedToAgain(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	start(t, cfg).ready(t).stop()
	client := brokertest.Connect(t, b.Addr(), nil)
	for n := range 10 {
		publish(t, client, call(event.Fail, strconv.Itoa(n)))
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	c.stop()
	assert.NotContains(t, log.String(), "identifier in use")
}

func TestWhatIlertDidNotTakeIsToldByTheNextProcess(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answer = func(*http.Request, []string) int { return http.StatusInternalServerError }
	cfg := config(t, b, ilert)
	first := start(t, cfg).ready(t)
	publish(t, brokertest.Connect(t, b.Addr(), nil), call(event.Fail, "1"))
	first.failing(t, "ilert: ilert answered 500")
	first.stop()

	ilert.mu.Lock()
	ilert.sent, ilert.answer = nil, nil
	ilert.mu.Unlock()
	start(t, cfg)
	ilert.expect(t, "ALERT 1/AMT_PowerState")
}

func TestWithinAnAlertOrderHoldsOverRetries(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	asked := make(chan struct{})
	ended := make(chan struct{})
	var once sync.Once
	ilert.answer = func(_ *http.Request, sent []string) int {
		if len(sent) > 1 {
			return http.StatusAccepted
		}
		once.Do(func() { close(asked) })
		<-ended // the success arrives while the alert is under way
		return http.StatusServiceUnavailable
	}
	start(t, config(t, b, ilert)).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	publish(t, client, call(event.Fail, "1"))
	<-asked
	publish(t, client, call(event.Success, "1"))
	close(ended)
	ilert.expect(t, "ALERT 1/AMT_PowerState", "RESOLVE 1/AMT_PowerState")
}

func TestAWrongKeyThrowsNothingAway(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answer = func(_ *http.Request, sent []string) int {
		if len(sent) < 3 {
			return http.StatusForbidden
		}
		return http.StatusAccepted
	}
	c := start(t, config(t, b, ilert)).ready(t)
	c.ProbeAfter(time.Millisecond)
	publish(t, brokertest.Connect(t, b.Addr(), nil), call(event.Fail, "1"))
	const alert = "ALERT 1/AMT_PowerState"
	ilert.expect(t, alert, alert, alert)
	c.ready(t)
}

func TestAMessageThatIlertCallsInvalidIsKeptWithItsAnswer(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answer = func(_ *http.Request, sent []string) int {
		if len(sent) == 1 {
			return http.StatusUnprocessableEntity
		}
		return http.StatusAccepted
	}
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	invalid := call(event.Fail, "1")
	publish(t, client, invalid)
	ilert.expect(t, "ALERT 1/AMT_PowerState")
	publish(t, client, call(event.Fail, "2"))
	ilert.expect(t, "ALERT 1/AMT_PowerState", "ALERT 2/AMT_PowerState")
	c.stop()
	var topic, payload, reason string
	require.NoError(t, openStore(t).QueryRowContext(t.Context(), `SELECT topic, payload, reason FROM dead_letter`).Scan(&topic, &payload, &reason))
	assert.Equal(t, "mps/events", topic)
	assert.Equal(t, invalid, payload)
	assert.Contains(t, reason, "422 Unprocessable Entity")
}

func TestReadyForgetsAFailureThatNothingWaitsForAnyMore(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answer = func(*http.Request, []string) int { return http.StatusForbidden }
	c := start(t, config(t, b, ilert)).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	publish(t, client, call(event.Fail, "1"))
	c.failing(t, "ilert: ilert answered 403")
	publish(t, client, call(event.Success, "1")) // before anything was sent
	c.ready(t)
}

func TestAnEarlierSubscriptionOfTheSessionCountsForNothing(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	cfg.Topics = []string{"#"}
	start(t, cfg).ready(t).stop()
	cfg.Topics = []string{"mps/events"}
	start(t, cfg).ready(t)
	client := brokertest.Connect(t, b.Addr(), nil)
	_, err := client.Publish(t.Context(), &paho.Publish{Topic: "another/topic", QoS: 1, Payload: []byte(call(event.Fail, "1"))})
	require.NoError(t, err)
	publish(t, client, "", call(event.Fail, "2"))
	ilert.expect(t, "ALERT 2/AMT_PowerState")
}

func TestReadySaysWhatIsInTheWay(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := start(t, cfg).ready(t)
	require.NoError(t, b.Close())
	c.failing(t, "subscription: ")
	brokertest.Start(t, b.Addr())
	c.ready(t)
	c.stop()
	assert.Contains(t, log.String(), "forgotten our session", "this broker saves nothing")
}

func TestReadyForgetsThatAnAnswerCouldNotBeStored(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	cfg := config(t, b, ilert)
	c := start(t, cfg).ready(t)
	repair := breakStore(t, `BEFORE INSERT ON alert WHEN NEW.told = 'ALERT'`)
	publish(t, brokertest.Connect(t, b.Addr(), nil), call(event.Fail, "1"))
	c.failing(t, "store, what ilert answered: store: constraint failed: the disk is full")
	repair()
	c.ready(t)
	ilert.expect(t, "ALERT 1/AMT_PowerState") // once
}

// openStore opens the consumer's store as an administrator might.
func openStore(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", storePath(t)+"?_pragma=busy_timeout(20000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// breakStore makes one kind of change to the store of a running consumer fail,
// until repair is called.
func breakStore(t *testing.T, when string) (repair func()) {
	t.Helper()
	db := openStore(t)
	_, err := db.ExecContext(t.Context(), `CREATE TRIGGER broken `+when+` BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`)
	require.NoError(t, err)
	return func() {
		_, err := db.ExecContext(t.Context(), `DROP TRIGGER broken`)
		require.NoError(t, err)
	}
}

func TestNoConnectionToIlertOutlivesRun(t *testing.T) {
	b, ilert := brokertest.Start(t, ""), record(t)
	c := start(t, config(t, b, ilert)).ready(t)
	publish(t, brokertest.Connect(t, b.Addr(), nil), call(event.Fail, "1"))
	ilert.expect(t, "ALERT 1/AMT_PowerState")
	c.stop()
	assert.Eventually(t, func() bool {
		ilert.mu.Lock()
		defer ilert.mu.Unlock()
		return len(ilert.open) == 0
	}, brokertest.Wait, time.Millisecond)
}

func TestBadConfigurationIsNamed(t *testing.T) {
	good := consumer.Config{Address: "a", ClientID: "c", OpenStore: storeAt(newStorePath(t)), IntegrationKey: secret}
	for want, spoil := range map[string]func(*consumer.Config){
		`Presets "calls": Mapping goes`: func(c *consumer.Config) { c.Presets, c.Mapping = []string{"calls"}, &consumer.Mapping{} },
		`MQTTPath "x"`:                  func(c *consumer.Config) { c.MQTTPath = "x" },
		`ClientID: is required`:         func(c *consumer.Config) { c.ClientID = "" },
		`OpenStore: is required`:        func(c *consumer.Config) { c.OpenStore = nil },
		`IntegrationKey: is required`:   func(c *consumer.Config) { c.IntegrationKey = "" },
		`unknown scheme "http"`:         func(c *consumer.Config) { c.Address = "http://u:" + secret + "@h" },
		`Topics "a/#/b": # may only`:    func(c *consumer.Config) { c.Topics = []string{"a/#/b"} },
		`Topics "a+": + may only`:       func(c *consumer.Config) { c.Topics = []string{"a+"} },
		`there is no preset "x"`:        func(c *consumer.Config) { c.Presets = []string{"x"} },
		`IlertURL: URL "x"`:             func(c *consumer.Config) { c.IlertURL = "x" },
		`store: /nowhere/x`:             func(c *consumer.Config) { c.OpenStore = storeAt("/nowhere/x") },
	} {
		bad := good
		spoil(&bad)
		_, err := consumer.New(bad)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), secret)
	}
}
