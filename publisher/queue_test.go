package publisher

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// underWayWithAHole returns a queue with three events under way, of which the broker has
// acknowledged only the second. No real broker does that on demand.
func underWayWithAHole(t *testing.T) *queue {
	t.Helper()
	q := newQueue(100, math.MaxInt, false)
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s"}, topic)
	q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2}, 1)
	for range 3 {
		p, e := new(packet), event.Connected("1")
		s.encode(p, &e)
		require.NoError(t, q.add(p))
	}
	_, _, n := q.takeBatch(nil)
	require.Equal(t, 3, n)
	q.acknowledge(q.link, []mqttconn.Puback{{ID: 2}})
	q.disconnected(q.link, mqttconn.Ending{})
	return q
}

// At QoS 0 a write to a connection that is lost delivers nothing.
func TestWhatWasWrittenToALostConnectionCountsForNothing(t *testing.T) {
	q := underWayWithAHole(t)
	lost, next := new(mqttconn.Link), new(mqttconn.Link)
	q.connected(lost, mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 0}, 1)
	_, _, n := q.takeBatch(nil)
	require.Equal(t, 2, n)
	q.disconnected(lost, mqttconn.Ending{})
	q.connected(next, mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 0}, 1)
	q.written(lost)
	q.acknowledge(lost, []mqttconn.Puback{{ID: 1}})
	assert.Equal(t, Stats{Accepted: 3, Acknowledged: 1, Pending: 2}, q.snapshot())
}

// More events than there are packet identifiers have expired while the broker was away. The only
// one that has not expired goes out with the first write.
func TestExpiredEventsDelayNoOther(t *testing.T) {
	q := newQueue(200_000, math.MaxInt, false)
	topic, err := parseTopic("t")
	require.NoError(t, err)
	s := newEncoder(Config{Source: "s", MessageExpiry: time.Hour}, topic)
	const expired = 70_000
	for n := range expired + 1 {
		p, e := new(packet), event.Connected("1")
		s.encode(p, &e)
		if n < expired {
			p.deadline = time.Now()
		}
		require.NoError(t, q.add(p))
	}
	q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2}, 1)
	_, _, n := q.takeBatch(nil)
	assert.Equal(t, 1, n)
	assert.Equal(t, Stats{Accepted: expired + 1, Dropped: expired, DroppedBy: Drops{Expired: expired}, Pending: 1}, q.snapshot())
}

func TestAHoleIsPassedWhenOneAtATimeIsAllowed(t *testing.T) {
	q := underWayWithAHole(t)
	q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 1, MaximumQoS: 2}, 1)
	for _, id := range []uint16{1, 3} {
		_, _, n := q.takeBatch(nil)
		require.Equal(t, 1, n)
		q.acknowledge(q.link, []mqttconn.Puback{{ID: id}})
	}
	assert.Equal(t, Stats{Accepted: 3, Acknowledged: 3}, q.snapshot())
}

func TestAHoleIsCountedOnceWhenTheBrokerTurnsToQoS0(t *testing.T) {
	q := underWayWithAHole(t)
	link := new(mqttconn.Link)
	q.connected(link, mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 0}, 1)
	_, _, n := q.takeBatch(nil)
	require.Equal(t, 2, n)
	q.acknowledge(q.link, []mqttconn.Puback{{ID: 1}}) // a broker's mistake
	q.written(link)
	assert.Equal(t, Stats{Accepted: 3, Acknowledged: 3}, q.snapshot())
}

func TestWhatIsUnderWayMayBeTooLargeForTheNextBroker(t *testing.T) {
	q := underWayWithAHole(t)
	q.connected(new(mqttconn.Link), mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2, MaximumPacketSize: 50}, 1)
	_, _, n := q.takeBatch(nil)
	assert.Zero(t, n)
	assert.Equal(t, Stats{Accepted: 3, Acknowledged: 1, Dropped: 2, DroppedBy: Drops{TooLarge: 2}}, q.snapshot())
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The log names a broker after a minute in which it answered pings but acknowledged nothing. It
// names no other broker.
func TestABrokerThatAcknowledgesNothingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedLog
		q := newQueue(100, math.MaxInt, false)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { newReporter(q, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}).run(ctx) })
		topic, err := parseTopic("t")
		require.NoError(t, err)
		s := newEncoder(Config{Source: "s"}, topic)
		add := func() {
			p, e := new(packet), event.Connected("1")
			e.Timestamp = time.Now().UnixMilli()
			s.encode(p, &e)
			require.NoError(t, q.add(p))
			q.takeBatch(nil)
		}
		logged := func() int {
			synctest.Wait()
			return strings.Count(log.String(), "acknowledges nothing")
		}

		add()
		time.Sleep(time.Hour)
		assert.Zero(t, logged(), "without a connection it cannot")
		link := new(mqttconn.Link)
		q.connected(link, mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2}, 1)
		q.takeBatch(nil)
		for id := range uint16(10) {
			time.Sleep(50 * time.Second)
			add()
			q.acknowledge(link, []mqttconn.Puback{{ID: id + 1}})
		}
		assert.Zero(t, logged(), "a slow one does")
		time.Sleep(80 * time.Second)
		assert.Equal(t, 1, logged())
		assert.Contains(t, log.String(), "unacknowledged=1 pending=1 oldest_pending=1m10s")
		time.Sleep(10 * time.Minute)
		assert.InDelta(t, 11, logged(), 1, "once a minute")
		assert.Equal(t, 11*time.Minute+20*time.Second, q.snapshot().OldestPending)
		before := logged()
		q.disconnected(link, mqttconn.Ending{})
		time.Sleep(time.Hour)
		assert.Equal(t, before, logged(), "without a connection it cannot")
		q.connected(link, mqttconn.Limits{ReceiveMaximum: 10, MaximumQoS: 2}, 1)
		q.takeBatch(nil)
		q.acknowledge(link, []mqttconn.Puback{{ID: 11}})
		time.Sleep(time.Hour)
		assert.Equal(t, before, logged(), "nothing is under way")
		stop()
		running.Wait()
	})
}
