package mqttconn

import (
	"sync"

	"github.com/eclipse/paho.golang/packets"
)

// Ask is WritePackets, but that the broker is asked to say when it has got this far: then
// Handlers.Answered gets done. A broker reads one packet after the other, so by then it has
// read these. If the connection is lost before, nobody calls done.
func (l *Link) Ask(ready []byte, done func()) error {
	l.Lock()
	defer l.Unlock()
	if l.asked.add(done) {
		ready = append(ready, packets.PINGREQ<<4, 0)
	}
	if len(ready) == 0 {
		return nil
	}
	_, err := l.Write(ready)
	return l.note(err)
}

// questions are the pings that the broker has yet to answer, in order.
type questions struct {
	mu       sync.Mutex
	open     []func() // nil for one that only keeps the connection alive
	answered []func() // that the owner has yet to be told of
}

// add notes that the broker will be pinged, unless it owes us too many answers to a done.
func (q *questions) add(done func()) bool {
	const maxOpen = 1000
	q.mu.Lock()
	defer q.mu.Unlock()
	if done != nil && len(q.open) >= maxOpen {
		return false
	}
	q.open = append(q.open, done)
	return true
}

// answer takes note of the broker's answer to the oldest ping, and reports whether the owner
// is to be told.
func (q *questions) answer() bool {
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

// takeAnswered returns what the owner is to be told next, or nil.
func (q *questions) takeAnswered() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.answered) == 0 {
		return nil
	}
	done := q.answered[0]
	q.answered = q.answered[1:]
	return done
}
