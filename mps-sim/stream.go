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

// stream is an MQTT client that collects the events for the page. It subscribes as any client does,
// so the page shows the events that have really arrived at the broker.
type stream struct {
	conn *mqttconn.Conn

	mu        sync.Mutex
	connected bool
	messages  uint64         // received since the start
	recent    []arrivedEvent // a ring with the newest events
	oldest    int            // the index of the oldest event in recent
}

// arrivedEvent is an event that has arrived, with the number n of its message.
type arrivedEvent struct {
	n       uint64
	event   event.Event
	outcome string
}

// maxRecentEvents is the number of events that the stream keeps for pages that are opened later or
// read slowly.
const maxRecentEvents = 2000

// openStream subscribes to these topics at QoS 1. Its session outlives a broken connection, so that
// the stream also counts messages that the broker keeps in the meantime.
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

// set sets whether the stream is subscribed.
func (s *stream) set(connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = connected
}

// state returns whether the stream is subscribed, and the number of messages that have arrived.
func (s *stream) state() (connected bool, messages uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected, s.messages
}

// take counts a message, keeps it if it is an event, and acknowledges it.
func (s *stream) take(link *mqttconn.Link, p *packets.Publish) {
	e, err := event.Parse(p.Payload)
	s.mu.Lock()
	s.messages++
	if err == nil {
		m := arrivedEvent{n: s.messages, event: e}
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
		_, _ = link.Write(ack) // if the connection is lost, the broker sends the message again
	}
}

// keep adds an event to the ring. The caller holds the lock.
func (s *stream) keep(m arrivedEvent) {
	if len(s.recent) < maxRecentEvents {
		s.recent = append(s.recent, m)
		return
	}
	s.recent[s.oldest] = m
	s.oldest = (s.oldest + 1) % maxRecentEvents
}

// after returns the events that arrived after message n, oldest first and at most limit; the number of
// messages that it leaves out; and the number of the newest message.
func (s *stream) after(n uint64, limit int) (events []arrivedEvent, leftOut int, newest uint64) {
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
