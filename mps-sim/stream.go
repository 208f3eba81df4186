package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// stream is what any MQTT client sees at the broker, for those who look at the
// page. It listens by itself, so that the page shows what has really arrived.
type stream struct {
	conn *mqttconn.Conn

	mu        sync.Mutex
	connected bool
	watchers  map[chan []byte]struct{}
	recent    [][]byte // the newest, oldest first, for a page that is opened later
}

const (
	mostRecent  = 50
	mostWaiting = 256 // a page that is slower than this misses some
)

// seen is a message as the page gets it.
type seen struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
	Outcome string `json:"outcome,omitempty"`
}

func openStream(b mqttconn.Broker, filter string) (*stream, error) {
	servers, err := mqttconn.ParseAddress(b.Address)
	if err != nil {
		return nil, fmt.Errorf("MPS_MQTT_ADDRESS: %w", err)
	}
	s := &stream{watchers: map[chan []byte]struct{}{}}
	s.conn, err = mqttconn.Open(mqttconn.Config{
		Servers: servers, TLS: b.TLS, Username: b.Username, Password: b.Password,
		ClientID:      mqttconn.RandomClientID("mps-sim-page"),
		Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 0}},
		Handlers: mqttconn.Handlers{
			Subscribed: func() { s.set(true) },
			Down:       func(*mqttconn.Link, mqttconn.Ending) { s.set(false) },
			Message:    s.pass,
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stream) close(ctx context.Context) error {
	return s.conn.Close(ctx)
}

func (s *stream) set(connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = connected
}

func (s *stream) isConnected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

func (s *stream) pass(_ *mqttconn.Link, p *packets.Publish) {
	m := seen{Topic: p.Topic, Payload: string(p.Payload)}
	if p.Properties != nil {
		for _, user := range p.Properties.User {
			if user.Key == "outcome" {
				m.Outcome = user.Value
			}
		}
	}
	line, err := json.Marshal(m)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent = append(s.recent, line)
	if len(s.recent) > mostRecent {
		s.recent = s.recent[1:]
	}
	for watcher := range s.watchers {
		select {
		case watcher <- line:
		default:
		}
	}
}

// watch returns the messages from now on, after the newest before, until ctx ends.
func (s *stream) watch(ctx context.Context) <-chan []byte {
	watcher := make(chan []byte, mostWaiting)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.recent {
		watcher <- line
	}
	s.watchers[watcher] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, watcher)
	})
	return watcher
}
