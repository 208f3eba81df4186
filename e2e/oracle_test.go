package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// callers is the number of goroutines that publish at a time.
const callers = 4

// An oracle publishes numbered events and checks the fate of each. It compares the events that a
// subscriber of paho.golang, whose session the broker keeps, has got with the publisher's counters,
// which it reads all the time.
type oracle struct {
	t          *testing.T
	pub        *publisher.Publisher
	log        *output
	subscriber *autopaho.ConnectionManager
	downs      chan struct{} // lost connections of the subscriber
	stop       func()        // ends the reading of counters

	accepted [callers]int // number of accepted events of each caller; they are numbered from 0
	rejected int

	mu      sync.Mutex
	arrived [callers][]int    // events in order of their first arrival, each once
	ids     map[string]string // message of each id
	repeats int
	killed  [callers]int // when the broker was killed, only events below this number had arrived
	unsaved uint64       // maximum of events that the killed broker may have lost; 0 if it was not killed
}

// startOracle starts a publisher with a configuration, whose default address is the broker's.
func startOracle(t *testing.T, broker *mosquitto, config publisher.Config) *oracle {
	t.Helper()
	o := &oracle{t: t, log: new(output), downs: make(chan struct{}, 100), ids: map[string]string{}}
	o.subscribe(broker, strings.ReplaceAll(cmp.Or(config.Topic, "mps/events"), "{type}", "+"))
	if config.Address == "" {
		config.Address = broker.Address()
	}
	config.Logger = slog.New(slog.NewTextHandler(o.log, nil))
	// All goroutines that the publisher starts inherit the label.
	pprof.Do(t.Context(), pprof.Labels("publisher", t.Name()), func(context.Context) {
		var err error
		o.pub, err = publisher.New(config)
		require.NoError(t, err)
	})
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = o.pub.Shutdown(now)
		if t.Failed() {
			t.Logf("the publisher: %+v\n%s", o.pub.Stats(), o.log)
		}
	})
	done, stopped := make(chan struct{}), make(chan struct{})
	o.stop = sync.OnceFunc(func() { close(done); <-stopped })
	t.Cleanup(o.stop)
	go func() {
		defer close(stopped)
		o.watchStats(done)
	}()
	return o
}

func (o *oracle) subscribe(broker *mosquitto, filter string) {
	o.t.Helper()
	subscribed := make(chan error, 100)
	var err error
	o.subscriber, err = autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
		ServerUrls:            []*url.URL{{Scheme: "mqtt", Host: broker.HostPort()}},
		KeepAlive:             2,
		SessionExpiryInterval: 3600,
		ReconnectBackoff:      autopaho.NewConstantBackoff(20 * time.Millisecond),
		ConnectTimeout:        2 * time.Second,
		ConnectPacketBuilder: func(connect *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			// Without this limit the broker would send all messages at once, and its answers to pings
			// would come too late after them.
			connect.Properties.ReceiveMaximum = paho.Uint16(50)
			return connect, nil
		},
		OnConnectionUp: func(manager *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() {
				_, err := manager.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}})
				subscribed <- err
			}()
		},
		OnConnectionDown: func() bool {
			o.downs <- struct{}{}
			return true
		},
		ClientConfig: paho.ClientConfig{
			ClientID:          "oracle of " + filter,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){o.receive},
		},
	})
	require.NoError(o.t, err)
	o.t.Cleanup(func() {
		now, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = o.subscriber.Disconnect(now)
	})
	select {
	case err := <-subscribed:
		require.NoError(o.t, err)
	case <-time.After(patience):
		require.FailNow(o.t, "the oracle cannot subscribe")
	}
}

func (o *oracle) receive(p paho.PublishReceived) (bool, error) {
	e, err := event.Parse(p.Packet.Payload)
	id := p.Packet.Properties.User.Get("id")
	var caller, number int
	if err == nil {
		_, err = fmt.Sscanf(e.Message, "%d/%d", &caller, &number)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !assert.NoError(o.t, err, "%s", p.Packet.Payload) || !assert.NotEmpty(o.t, id) {
		return true, nil
	}
	if message, known := o.ids[id]; known {
		o.repeats++
		assert.Equal(o.t, message, e.Message, "two events with the id %s", id)
		return true, nil
	}
	o.ids[id] = e.Message
	o.arrived[caller] = append(o.arrived[caller], number)
	return true, nil
}

// watchStats checks that the counters agree in every snapshot.
func (o *oracle) watchStats(done <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var last publisher.Stats
	for {
		s := o.pub.Stats()
		ok := assert.Equal(o.t, s.Accepted, s.Acknowledged+s.Dropped+s.Pending, "%+v", s) &&
			assert.True(o.t, s.Accepted >= last.Accepted && s.Acknowledged >= last.Acknowledged && s.Dropped >= last.Dropped, "%+v after %+v", s, last)
		if !ok {
			return
		}
		last = s
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// Publish publishes a number of events from each caller, whatever the state of the broker. It
// fails the test if a call blocks.
func (o *oracle) Publish(each int) {
	o.t.Helper()
	o.PublishAs(each, func(int, *event.Event) {})
}

// PublishAs publishes like Publish; change may change each event.
func (o *oracle) PublishAs(each int, change func(number int, e *event.Event)) {
	o.t.Helper()
	var calls sync.WaitGroup
	var rejected [callers]int
	for caller := range callers {
		calls.Go(func() {
			for range each {
				number := o.accepted[caller]
				e := event.Event{Type: event.Success, Message: fmt.Sprintf("%d/%d", caller, number), Methods: []string{}}
				change(number, &e)
				switch err := o.pub.Publish(e); {
				case err == nil:
					o.accepted[caller]++
				case errors.Is(err, publisher.ErrFull):
					rejected[caller]++
				default:
					assert.NoError(o.t, err)
				}
			}
		})
	}
	all := make(chan struct{})
	go func() {
		calls.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(patience):
		require.FailNow(o.t, "Publish blocks")
	}
	for _, n := range rejected {
		o.rejected += n
	}
}

// PublishUntil publishes a number of events from each caller every 10 ms, until the counters are as
// expected.
func (o *oracle) PublishUntil(each int, expected func(publisher.Stats) bool) {
	o.t.Helper()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for begin := time.Now(); !expected(o.pub.Stats()); <-pace.C {
		require.Less(o.t, time.Since(begin), patience, "the counters do not become as expected: %+v", o.pub.Stats())
		o.Publish(each)
	}
}

// AwaitArrivals waits until n events have arrived.
func (o *oracle) AwaitArrivals(n int) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.ids) >= n
	}, patience, time.Millisecond, "events do not arrive")
}

// AwaitLog waits until the publisher has logged a text.
func (o *oracle) AwaitLog(text string) {
	o.t.Helper()
	require.Eventually(o.t, func() bool { return strings.Contains(o.log.String(), text) }, patience, 5*time.Millisecond, "not logged: %s", text)
}

// Lost returns the number of times that the publisher has lost its connection.
func (o *oracle) Lost() int { return strings.Count(o.log.String(), "lost the connection") }

// AwaitLost waits until the publisher has lost its connection a number of times.
func (o *oracle) AwaitLost(times int) {
	o.t.Helper()
	require.Eventually(o.t, func() bool { return o.Lost() >= times }, patience, time.Millisecond, "the publisher does not notice that its connection is lost")
}

// Flush waits until the publisher has delivered or dropped all events.
func (o *oracle) Flush() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	require.NoError(o.t, o.pub.Flush(ctx))
}

// BrokerKilled tells the oracle that the broker was killed and may have lost events that it had
// acknowledged. With that the publisher has lost its connection a number of times.
func (o *oracle) BrokerKilled(times int) {
	o.t.Helper()
	o.AwaitLost(times)
	select {
	case <-o.downs:
	case <-time.After(patience):
		require.FailNow(o.t, "the oracle is still connected to a dead broker")
	}
	o.unsaved = o.pub.Stats().Acknowledged
	o.mu.Lock()
	defer o.mu.Unlock()
	for caller, numbers := range o.arrived {
		if len(numbers) > 0 {
			o.killed[caller] = numbers[len(numbers)-1] + 1
		}
	}
}

// Check shuts the publisher down, checks the fate of every event, and returns the final counters.
func (o *oracle) Check() publisher.Stats {
	o.t.Helper()
	o.Flush()
	o.Publish(1) // when these have arrived, no event before them is still to come
	for caller := range callers {
		require.Eventually(o.t, func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return slices.Contains(o.arrived[caller], o.accepted[caller]-1)
		}, patience, 5*time.Millisecond, "the last event of caller %d does not arrive", caller)
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	require.NoError(o.t, o.pub.Shutdown(ctx))
	o.stop()

	s := o.pub.Stats()
	var accepted, missing, unsaved int
	o.mu.Lock()
	defer o.mu.Unlock()
	for caller, arrived := range o.arrived {
		accepted += o.accepted[caller]
		assert.True(o.t, slices.IsSorted(arrived), "caller %d's events arrived in the order %v", caller, arrived)
		lost := without(o.accepted[caller], arrived)
		if o.unsaved > 0 && len(lost) > 0 && lost[0] >= o.killed[caller] && lost[len(lost)-1]-lost[0] == len(lost)-1 {
			unsaved += len(lost) // consecutive events, after the last arrival before the kill
		} else {
			missing += len(lost)
		}
	}
	assert.LessOrEqual(o.t, uint64(unsaved), o.unsaved, "lost, but not acknowledged by the broker that was killed")
	assert.EqualValues(o.t, s.Dropped, missing, "exactly the events that do not arrive are counted as dropped")
	assert.EqualValues(o.t, accepted, s.Accepted)
	assert.EqualValues(o.t, o.rejected, s.Rejected)
	assert.Zero(o.t, s.Pending)
	require.Eventually(o.t, func() bool { return len(o.goroutines()) == 0 }, patience, 5*time.Millisecond, "goroutines after Shutdown: %v", o.goroutines())
	o.t.Logf("%+v, %d repeats, %d not saved by the broker", s, o.repeats, unsaved)
	return s
}

// goroutines returns the stacks of the goroutines that the publisher has started.
func (o *oracle) goroutines() []string {
	var profile bytes.Buffer
	require.NoError(o.t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	var all []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", "publisher", o.t.Name())) {
			all = append(all, stack)
		}
	}
	return all
}

// without returns the numbers below n that are not in sorted.
func without(n int, sorted []int) []int {
	var missing []int
	for number := range n {
		if len(sorted) > 0 && sorted[0] == number {
			sorted = sorted[1:]
		} else {
			missing = append(missing, number)
		}
	}
	return missing
}
