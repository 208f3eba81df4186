package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// stream is what any MQTT client sees at the broker, for those who look at the page. It listens
// by itself, so that the page shows what has really arrived.
type stream struct {
	conn *mqttconn.Conn

	mu        sync.Mutex
	connected bool
	messages  uint64 // that have arrived since the start
	recent    []seen // a ring of the newest
	oldest    int    // where it begins
}

// seen is an event that has arrived, as the nth message.
type seen struct {
	n       uint64
	event   event.Event
	outcome string
}

// maxRecent is how many events are kept for a page that is opened later, and the most that a
// page which is slow may lag behind without missing any.
const maxRecent = 2000

// openStream listens to these topics at QoS 1, in a session that outlives a broken connection,
// so that what the broker keeps for others is also counted here.
func openStream(b mqttconn.Broker, filters []string) (*stream, error) {
	servers, err := mqttconn.ParseAddress(b.Address)
	if err != nil {
		return nil, fmt.Errorf("MPS_MQTT_ADDRESS: %w", err)
	}
	var subscriptions []paho.SubscribeOptions
	for _, filter := range filters {
		subscriptions = append(subscriptions, paho.SubscribeOptions{Topic: filter, QoS: 1})
	}
	s := &stream{}
	s.conn, err = mqttconn.Open(mqttconn.Config{
		Servers: servers, TLS: b.TLS, Username: b.Username, Password: b.Password,
		ClientID: mqttconn.RandomClientID("mps-sim-page"), SessionExpiry: time.Minute, EndSession: true,
		Subscriptions: subscriptions,
		Handlers: mqttconn.Handlers{
			Subscribed: func() { s.set(true) },
			Down:       func(*mqttconn.Link, mqttconn.Ending) { s.set(false) },
			Message:    s.take,
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stream) close(ctx context.Context) error { return s.conn.Close(ctx) }

func (s *stream) set(connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = connected
}

// state returns whether the stream is connected, and how many messages have arrived.
func (s *stream) state() (connected bool, messages uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected, s.messages
}

// take takes a message in and acknowledges it. What is no event is counted and not shown.
func (s *stream) take(link *mqttconn.Link, p *packets.Publish) {
	e, err := event.Parse(p.Payload)
	s.mu.Lock()
	s.messages++
	if err == nil {
		m := seen{n: s.messages, event: e}
		if p.Properties != nil {
			for _, user := range p.Properties.User {
				if user.Key == "outcome" {
					m.outcome = user.Value
				}
			}
		}
		s.keep(m)
	}
	s.mu.Unlock()
	if ack := mqttconn.AppendAck(nil, p); len(ack) > 0 {
		link.Lock()
		defer link.Unlock()
		_, _ = link.Write(ack) // if the connection is gone the message comes again
	}
}

func (s *stream) keep(m seen) {
	if len(s.recent) < maxRecent {
		s.recent = append(s.recent, m)
		return
	}
	s.recent[s.oldest] = m
	s.oldest = (s.oldest + 1) % maxRecent
}

// after returns the events that arrived after message n, the newest limit of them, oldest first;
// how many of them are left out because of limit; and the number of the newest message.
func (s *stream) after(n uint64, limit int) (events []seen, leftOut int, newest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.recent {
		if m := s.recent[(s.oldest+i)%len(s.recent)]; m.n > n {
			events = append(events, m)
		}
	}
	if cut := len(events) - limit; cut > 0 {
		events = events[cut:]
	}
	if n > 0 {
		leftOut = int(s.messages-n) - len(events)
	}
	return events, leftOut, s.messages
}
