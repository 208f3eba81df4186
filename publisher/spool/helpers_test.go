package spool_test

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher/internal/journal"
	"github.com/mps-events/mps-events/publisher/spool"
)

// reader is a subscriber at a broker, which gets all messages from the start of the broker.
type reader struct {
	t        *testing.T
	messages <-chan *paho.Publish
	ids      map[string]bool
	order    []string // the ids in the order in which they came
	n        int      // number of events that have come
}

// next receives events until one has not come before, and returns its number.
func (r *reader) next() int {
	r.t.Helper()
	for {
		m := brokertest.Receive(r.t, r.messages)
		id := m.Properties.User.Get("id")
		if r.ids[id] {
			continue
		}
		r.ids[id] = true
		r.order = append(r.order, id)
		r.n++
		e, err := event.Parse(m.Payload)
		require.NoError(r.t, err)
		n, err := strconv.Atoi(e.Message)
		require.NoError(r.t, err)
		return n
	}
}

// inOrder receives until n events have come, each after the one before it.
func (r *reader) inOrder(n int) {
	r.t.Helper()
	for r.n < n {
		want := r.n
		require.Equal(r.t, want, r.next())
	}
}

// comeUp starts a broker and connects a reader to it before it opens addr to the publisher.
func comeUp(t *testing.T, addr string) *reader {
	t.Helper()
	b := brokertest.Start(t, "")
	r := &reader{t: t, messages: brokertest.Subscribe(t, b.Addr(), "mps/events"), ids: map[string]bool{}}
	listener, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	brokertest.Forward(t, listener, b.Addr())
	return r
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// counting is a spool that counts the records written to it.
type counting struct {
	*spool.Spool
	journal.Holder // of the journal that counts
	*counted
}

func count(s *spool.Spool) *counting {
	c := &counted{Journal: journal.Of(s)}
	return &counting{Spool: s, Holder: journal.Hold(c), counted: c}
}

type counted struct {
	journal.Journal
	written atomic.Int64
}

func (c *counted) Commit(step journal.Step) (uint64, error) {
	dropped, err := c.Journal.Commit(step)
	if err == nil {
		c.written.Add(int64(len(step.Add)))
	}
	return dropped, err
}
