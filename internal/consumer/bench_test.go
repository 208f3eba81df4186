package consumer

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// These benchmarks are about the whole consumer. Each stands beside its reference in the
// same run, because other work on the machine moves all figures.

// mosquitto starts a broker that drops nothing.
func mosquitto(b *testing.B) (address string) {
	b.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
		if _, err := os.Stat(program); err != nil {
			b.Skip("Mosquitto is not installed")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	address = l.Addr().String()
	require.NoError(b, l.Close())
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(b.TempDir(), "mosquitto.conf")
	config := "listener " + port + " 127.0.0.1\nallow_anonymous true\nlog_type error\nmax_queued_messages 0\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
	require.NoError(b, os.WriteFile(file, []byte(config), 0o600))
	broker := exec.CommandContext(context.Background(), program, "-c", file)
	require.NoError(b, broker.Start())
	b.Cleanup(func() { _ = broker.Process.Kill(); _ = broker.Wait() })
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return address
}

// calls returns the n-th event of an ordinary day: a request and its success each, of a thousand
// devices, and one failure in a hundred calls.
func calls(n int) []byte {
	e := event.Event{Type: event.Request, Message: "Power State Requested", Methods: []string{"AMT_PowerState"}, GUID: guidOf(n / 2 % 1000)}
	if n%2 == 1 {
		if e.Type = event.Success; n%200 == 1 {
			e.Type = event.Fail
		}
	}
	return e.AppendJSON(nil)
}

func guidOf(n int) string { return fmt.Sprintf("d92b3be1-7cd9-4e6d-8f2c-%012d", n) }

func subscribeBare(b *testing.B, address, clientID string) {
	b.Helper()
	c := connectBare(b, address, clientID)
	c.ask(b, &packets.Subscribe{PacketID: 1, Properties: &packets.Properties{}, Subscriptions: []packets.SubOptions{{Topic: "mps/events", QoS: 1}}})
	_, err := (&packets.Disconnect{Properties: &packets.Properties{}}).WriteTo(c)
	require.NoError(b, err)
	_ = c.Close()
}

// quiet starts an ilert that accepts every event after a delay.
func quiet(b *testing.B, latency time.Duration, each func(ilert.Event)) *httptest.Server {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(latency) // is what is simulated
		if each != nil {
			var e ilert.Event
			_ = json.Unmarshal(body, &e)
			each(e)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	b.Cleanup(server.Close)
	return server
}

// working starts a consumer.
func working(b *testing.B, config Config) (c *Consumer, stop func()) {
	b.Helper()
	config.ClientID, config.IntegrationKey, config.Rate = "consumer", "k", -1
	c, err := New(config)
	require.NoError(b, err)
	return c, run(b, c)
}

func run(b *testing.B, c *Consumer) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		require.NoError(b, <-done)
	})
}

// The consumer stores the messages that wait at Mosquitto; the reference is a subscriber that only acknowledges.
func BenchmarkIntake(b *testing.B) {
	const n = 100_000
	for _, presets := range []string{"calls", "mps,rps"} {
		b.Run(presets, func(b *testing.B) {
			address := mosquitto(b)
			server := quiet(b, 0, nil)
			var bareTime, ourTime time.Duration
			for b.Loop() {
				subscribeBare(b, address, "bare")
				subscribeBare(b, address, "consumer")
				publisher := connectBare(b, address, "publisher")
				publisher.publish(b, n, calls)
				_ = publisher.Close()

				begin := time.Now()
				c := connectBare(b, address, "bare")
				c.drain(b, n)
				bareTime += time.Since(begin)
				_ = c.Close()

				begin = time.Now()
				ours, stop := working(b, Config{
					Address: "mqtt://" + address, OpenStore: sqliteAt(filepath.Join(b.TempDir(), "store.db")), IlertURL: server.URL,
					Presets: strings.Split(presets, ","), Topics: []string{"mps/events"},
				})
				awaitReceived(b, ours, n)
				ourTime += time.Since(begin)
				stop()
			}
			b.ReportMetric(float64(b.N*n)/bareTime.Seconds(), "bare/s")
			b.ReportMetric(float64(b.N*n)/ourTime.Seconds(), "events/s")
			b.ReportMetric(100*bareTime.Seconds()/ourTime.Seconds(), "%")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Intake with a decision log beside intake without one: on an ordinary day, and when each message raises an alert.
func BenchmarkDecisionLog(b *testing.B) {
	const n = 20_000
	for name, payload := range map[string]func(int) []byte{
		"ordinary": calls,
		"all-fail": func(i int) []byte {
			return event.Event{Type: event.Fail, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: guidOf(i)}.AppendJSON(nil)
		},
	} {
		b.Run(name, func(b *testing.B) {
			address := mosquitto(b)
			server := quiet(b, time.Second, nil)
			var without, with time.Duration
			var counts DecisionLog
			for i := 0; b.Loop(); i++ {
				logs := []string{"", filepath.Join(b.TempDir(), "log")}
				if i%2 == 1 { // each is first as often as the other
					slices.Reverse(logs)
				}
				for _, log := range logs {
					subscribeBare(b, address, "consumer")
					publisher := connectBare(b, address, "publisher")
					publisher.publish(b, n, payload)
					_ = publisher.Close()
					begin := time.Now()
					c, stop := working(b, Config{
						Address: "mqtt://" + address, OpenStore: sqliteAt(filepath.Join(b.TempDir(), "store.db")), IlertURL: server.URL,
						Presets: []string{"calls"}, Topics: []string{"mps/events"}, DecisionLog: log,
					})
					awaitReceived(b, c, n)
					if took := time.Since(begin); log == "" {
						without += took
					} else {
						with, counts = with+took, *c.decisions.counts()
					}
					stop()
				}
			}
			b.ReportMetric(float64(b.N*n)/without.Seconds(), "without/s")
			b.ReportMetric(float64(b.N*n)/with.Seconds(), "with/s")
			b.ReportMetric(100*without.Seconds()/with.Seconds(), "%")
			b.ReportMetric(float64(counts.Written), "lines")
			b.ReportMetric(float64(counts.Dropped), "lost")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func awaitReceived(b *testing.B, c *Consumer, n uint64) {
	b.Helper()
	require.Eventually(b, func() bool {
		tallies, err := c.alerts.Tallies(context.Background())
		return err == nil && tallies["mps/events"].Received >= n
	}, time.Minute, 5*time.Millisecond)
}

// Alerts with distinct keys are sent to an ilert that answers after 20 ms, beside a client
// with as many requests under way that does nothing else; with few and with many alerts
// that are open already.
func BenchmarkDelivery(b *testing.B) {
	const n = 10_000
	for _, open := range []int{0, 1000, 1_000_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			var bareTime, ourTime time.Duration
			var memory float64
			for b.Loop() {
				arrived, all := new(atomic.Int64), make(chan struct{})
				server := quiet(b, 20*time.Millisecond, func(ilert.Event) {
					if arrived.Add(1) == n {
						close(all)
					}
				})
				bareTime += postBare(b, server.URL, n)
				arrived.Store(0)
				all = make(chan struct{})

				path := filepath.Join(b.TempDir(), "store.db")
				c, err := New(Config{OpenStore: sqliteAt(path), IlertURL: server.URL, IntegrationKey: "k", ClientID: "c", Rate: -1})
				require.NoError(b, err)
				openMany(b, c, path, open)
				raise(b, c, n)
				begin := time.Now()
				stop := run(b, c)
				<-all
				ourTime += time.Since(begin)
				memory = max(memory, resident(b))
				stop()
			}
			b.ReportMetric(float64(b.N*n)/bareTime.Seconds(), "bare/s")
			b.ReportMetric(float64(b.N*n)/ourTime.Seconds(), "deliveries/s")
			b.ReportMetric(100*bareTime.Seconds()/ourTime.Seconds(), "%")
			b.ReportMetric(memory, "MB") // of the whole process, ilert's stand-in included
			b.ReportMetric(0, "ns/op")
		})
	}
}

func postBare(b *testing.B, url string, n int) time.Duration {
	b.Helper()
	client, err := ilert.New(url, url, workers)
	require.NoError(b, err)
	defer client.CloseIdle()
	var requests sync.WaitGroup
	var next atomic.Int64
	begin := time.Now()
	for range workers {
		requests.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_ = client.Send(context.Background(), ilert.EventsPath, eventOf(int(i)), "")
			}
		})
	}
	requests.Wait()
	return time.Since(begin)
}

func eventOf(n int) ilert.Event {
	return ilert.Event{
		IntegrationKey: "k", EventType: ilert.Alert, AlertKey: fmt.Sprint("new-", n), Priority: "LOW",
		Summary: "AMT_PowerState failed on " + guidOf(n) + ": Power State Failed",
	}
}

// raise makes alerts that wait to be sent.
func raise(b *testing.B, c *Consumer, n int) {
	b.Helper()
	var messages []alerting.Message
	for i := range n {
		e := eventOf(i)
		e.IntegrationKey, e.EventType, e.AlertKey = "", "", ""
		messages = append(messages, alerting.Message{
			Filter: "mps/events", Topic: "mps/events", Payload: calls(i), ReceivedAt: time.Now(),
			Decision: decision.Decision{Effects: []decision.Effect{decision.Raise{Rule: ownRule, Key: decision.Key{Alert: fmt.Sprint("new-", i)}, Event: e}}},
		})
	}
	for batch := range slices.Chunk(messages, 1000) {
		require.NoError(b, c.alerts.Apply(context.Background(), batch))
	}
}

// openMany opens a number of alerts, all of them sent.
func openMany(b *testing.B, c *Consumer, path string, n int) {
	b.Helper()
	raise(b, c, 1)
	notices, err := c.alerts.Claim(context.Background(), time.Now(), 1, alerting.Unlimited)
	require.NoError(b, err)
	require.NoError(b, c.alerts.Settle(context.Background(), []alerting.Answer{{Notice: notices[0], Result: alerting.Taken, At: time.Now()}}))
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(20000)")
	require.NoError(b, err)
	defer db.Close()
	var list string
	require.NoError(b, db.QueryRowContext(context.Background(), `SELECT group_concat(name, ', ') FROM pragma_table_info('alert')`).Scan(&list))
	list = strings.Replace(list, "folded_key, alert_key", "'open-' || n, 'open-' || n", 1)
	_, err = db.ExecContext(context.Background(), `
		WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < ?)
		INSERT INTO alert SELECT `+list+` FROM alert, many WHERE folded_key = 'new-0'`, n)
	if n > 0 {
		require.NoError(b, err)
	}
	_, err = db.ExecContext(context.Background(), `DELETE FROM alert WHERE folded_key = 'new-0'; PRAGMA wal_checkpoint(TRUNCATE)`)
	require.NoError(b, err)
}

// resident returns the memory of the process in MB.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	_, after, _ := bytes.Cut(text, []byte("VmRSS:"))
	var kB float64
	_, err = fmt.Sscan(string(after), &kB)
	require.NoError(b, err)
	return kB / 1024
}

// The time from a publish until ilert has the alert, with the store on disk and no `for`.
func BenchmarkLatency(b *testing.B) {
	address := mosquitto(b)
	heard := make(chan string, 1)
	server := quiet(b, 0, func(e ilert.Event) { heard <- e.AlertKey })
	c, stop := working(b, Config{
		Address: "mqtt://" + address, OpenStore: sqliteAt(filepath.Join(b.TempDir(), "store.db")), IlertURL: server.URL, Presets: []string{"calls"},
	})
	defer stop()
	require.Eventually(b, func() bool { return c.Ready() == nil }, 10*time.Second, time.Millisecond)
	publisher := connectBare(b, address, "publisher")
	defer publisher.Close()
	var all []time.Duration
	for n := 0; b.Loop(); n++ {
		payload := event.Event{Type: event.Fail, Message: "x", Methods: []string{"AMT_PowerState"}, GUID: guidOf(n)}.AppendJSON(nil)
		begin := time.Now()
		publisher.ask(b, &packets.Publish{QoS: 1, PacketID: 1, Topic: "mps/events", Properties: &packets.Properties{}, Payload: payload})
		<-heard
		all = append(all, time.Since(begin))
		time.Sleep(rand.N(2 * time.Millisecond)) // outside what is measured: not in step with the loops of the consumer
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-99%")
	b.ReportMetric(0, "ns/op") // would count the pauses
}

// sqliteAt opens the SQLite store at a path.
func sqliteAt(path string) func(context.Context) (alerting.Store, error) {
	return func(ctx context.Context) (alerting.Store, error) { return sqlite.Open(ctx, path) }
}
