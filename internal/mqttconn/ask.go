package mqttconn

import (
	"sync"

	"github.com/eclipse/paho.golang/packets"
)

// Ask writes ready packets like WritePackets, and a ping after them. When the broker answers the
// ping, it has read the packets before it, and Handlers.Answered gets done. If the connection is
// lost before, done is never called.
func (l *Link) Ask(ready []byte, done func()) error {
	l.Lock()
	defer l.Unlock()
	if l.pings.add(done) {
		ready = append(ready, packets.PINGREQ<<4, 0)
	}
	if len(ready) == 0 {
		return nil
	}
	_, err := l.Write(ready)
	return l.note(err)
}

// pings holds the pings of a connection in order.
type pings struct {
	mu       sync.Mutex
	open     []func() // done of each unanswered ping; nil for a ping that only keeps the connection alive
	answered []func() // done of each answered ping that Handlers.Answered has not got yet
}

// add notes that a ping will be written. It returns false if there is a done and the broker has
// already left too many pings unanswered.
func (q *pings) add(done func()) bool {
	const maxOpen = 1000
	q.mu.Lock()
	defer q.mu.Unlock()
	if done != nil && len(q.open) >= maxOpen {
		return false
	}
	q.open = append(q.open, done)
	return true
}

// answer notes that the broker has answered the oldest ping, and reports whether that ping has a
// done.
func (q *pings) answer() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		return false
	}
	done := q.open[0]
	q.open = q.open[1:]
	if done != nil {
		q.answered = append(q.answered, done)
	}
	return done != nil
}

// takeAnswered removes and returns the done of the oldest answered ping, or nil if there is none.
func (q *pings) takeAnswered() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.answered) == 0 {
		return nil
	}
	done := q.answered[0]
	q.answered = q.answered[1:]
	return done
}
