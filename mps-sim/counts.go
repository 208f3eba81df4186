package main

import (
	"context"
	"sync"
	"time"

	"github.com/mps-events/mps-events/mps-sim/internal/ilertsim"
)

// numbers is all that the page counts. Each is read where it is made: the calls at the front
// door, the events at the publishers, the messages at the broker, the decisions at the consumer.
type numbers struct {
	Calls        uint64  `json:"calls"`
	CallRate     float64 `json:"callRate"`     // a second, over the last seconds
	AnsweredWell float64 `json:"answeredWell"` // the share of the calls of the last ten seconds
	ServersUp    int     `json:"serversUp"`
	Servers      int     `json:"servers"`

	Accepted     uint64 `json:"accepted"`
	Acknowledged uint64 `json:"acknowledged"`
	Waiting      uint64 `json:"waiting"`
	Dropped      uint64 `json:"dropped"`

	Messages    uint64  `json:"messages"`
	MessageRate float64 `json:"messageRate"`
	Listening   int     `json:"listening"` // clients; -1: the broker is not ours to ask
	BrokerUp    bool    `json:"brokerUp"`

	decisions

	Pages  uint64        `json:"pages"`  // alerts that were opened at ilert
	Bridge uint64        `json:"bridge"` // what a bridge that maps one to one would have sent
	Ilert  ilertsim.Mode `json:"ilert"`

	Connected int    `json:"connected"` // devices
	Devices   int    `json:"devices"`
	Failing   int    `json:"failingDevices"`
	Clock     string `json:"clock"` // of the fleet
}

// events adds up what the publishers count. In every snapshot of a publisher accepted is the sum
// of the other three, and so it is of the sums.
func (s *simulator) events() (accepted, acknowledged, waiting, dropped uint64) {
	for _, v := range s.speakers() {
		stats := v.pub.Stats()
		accepted += stats.Accepted
		acknowledged += stats.Acknowledged
		waiting += stats.Pending
		dropped += stats.Dropped
	}
	return accepted, acknowledged, waiting, dropped
}

// count returns the numbers of now.
func (s *simulator) count(ctx context.Context) numbers {
	n := numbers{Servers: len(s.servers), Listening: -1, Ilert: s.ilert.Mode(), Bridge: s.counts.bridge.Load(), Calls: s.counts.calls.Load()}
	for _, v := range s.servers {
		if !v.dead.Load() {
			n.ServersUp++
		}
	}
	n.decisions = s.alerting.decided(ctx, s.options.eventFilters())
	n.BrokerUp, n.Messages = s.stream.state()
	n.Accepted, n.Acknowledged, n.Waiting, n.Dropped = s.events()
	if s.broker != nil {
		n.Listening = s.broker.Listeners()
	}
	n.Pages = n.Delivered
	if s.options.ilertURL == "" {
		opened, open := s.ilert.Count()
		n.Pages, n.Open = opened, uint64(open)
	}
	n.Devices, n.Connected, n.Failing = s.fleet.Count()
	n.CallRate, n.MessageRate, n.AnsweredWell = s.rates.now()
	clock := s.traffic.clock()
	n.Clock = time.Time{}.Add(clock).Format("15:04")
	return n
}

// rates remembers the counts of the last seconds.
type rates struct {
	mu      sync.Mutex
	samples []sample // one each sampleInterval, oldest first
}

type sample struct {
	at                    time.Time
	calls, well, messages uint64
}

const (
	sampleInterval = 500 * time.Millisecond
	rateSamples    = 4  // two seconds
	maxSamples     = 20 // ten seconds
)

// measure takes samples until ctx ends.
func (s *simulator) measure(ctx context.Context) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		_, messages := s.stream.state()
		well := s.counts.answeredWell.Load() // before the calls, of which it is a part
		s.rates.add(sample{time.Now(), s.counts.calls.Load(), well, messages})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *rates) add(now sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, now)
	if len(r.samples) > maxSamples+1 {
		r.samples = r.samples[1:]
	}
}

// now returns calls and messages a second over two seconds, and the share of the calls of ten
// seconds that were answered well; 1 if there were none.
func (r *rates) now() (calls, messages, well float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) < 2 {
		return 0, 0, 1
	}
	newest, first := r.samples[len(r.samples)-1], r.samples[0]
	lately := r.samples[max(0, len(r.samples)-1-rateSamples)]
	if seconds := newest.at.Sub(lately.at).Seconds(); seconds > 0 {
		calls = float64(newest.calls-lately.calls) / seconds
		messages = float64(newest.messages-lately.messages) / seconds
	}
	well = 1
	if all := newest.calls - first.calls; all > 0 {
		well = float64(newest.well-first.well) / float64(all)
	}
	return calls, messages, well
}
