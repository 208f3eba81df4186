package main

import (
	"context"
	"sync"
	"time"
)

// numbers holds all numbers of the page. Each part counts its own: the front door the calls, the
// publishers the events, the broker the messages, and the consumer the decisions.
type numbers struct {
	Calls        uint64  `json:"calls"`
	CallRate     float64 `json:"callRate"`     // per second, over the last two seconds
	AnsweredWell float64 `json:"answeredWell"` // the share of such calls in the last ten seconds
	ServersUp    int     `json:"serversUp"`
	Servers      int     `json:"servers"`

	Accepted     uint64 `json:"accepted"`
	Acknowledged uint64 `json:"acknowledged"`
	Waiting      uint64 `json:"waiting"`
	Dropped      uint64 `json:"dropped"`

	Messages    uint64  `json:"messages"`
	MessageRate float64 `json:"messageRate"`
	Listening   int     `json:"listening"` // clients that subscribe; -1: unknown, because the broker is not embedded
	BrokerUp    bool    `json:"brokerUp"`

	decisions

	Pages  uint64    `json:"pages"`  // alerts opened at the stand-in; at the real ilert, requests that it accepted
	Bridge uint64    `json:"bridge"` // alerts that a bridge with one alert per event would have sent
	Ilert  ilertMode `json:"ilert"`

	Connected int    `json:"connected"` // devices
	Devices   int    `json:"devices"`
	Failing   int    `json:"failingDevices"`
	Clock     string `json:"clock"` // the fleet's time of day
}

// events adds up the counts of all publishers. For each publisher accepted is the sum of the other
// three, so this is true of the sums too.
func (s *simulator) events() (accepted, acknowledged, waiting, dropped uint64) {
	for _, v := range s.publishers() {
		stats := v.pub.Stats()
		accepted += stats.Accepted
		acknowledged += stats.Acknowledged
		waiting += stats.Pending
		dropped += stats.Dropped
	}
	return accepted, acknowledged, waiting, dropped
}

// count returns the current numbers.
func (s *simulator) count(ctx context.Context) numbers {
	n := numbers{Servers: len(s.servers), Listening: -1, Ilert: s.ilert.getMode(), Bridge: s.counts.bridge.Load(), Calls: s.counts.calls.Load()}
	for _, v := range s.servers {
		if !v.dead.Load() {
			n.ServersUp++
		}
	}
	n.decisions = s.alerting.countDecisions(ctx, s.options.eventFilters())
	n.BrokerUp, n.Messages = s.stream.state()
	n.Accepted, n.Acknowledged, n.Waiting, n.Dropped = s.events()
	if s.broker != nil {
		n.Listening = s.broker.Listeners()
	}
	n.Pages = n.Delivered
	if s.options.ilertURL == "" {
		opened, open := s.ilert.Count()
		n.Pages, n.Open = uint64(opened), uint64(open)
	}
	n.Devices, n.Connected, n.Failing = s.fleet.Count()
	n.CallRate, n.MessageRate, n.AnsweredWell = s.rates.now()
	clock := s.traffic.clock()
	n.Clock = time.Time{}.Add(clock).Format("15:04")
	return n
}

// rates keeps samples of the counts, from which now computes rates.
type rates struct {
	mu      sync.Mutex
	samples []sample // one each sampleInterval, oldest first
}

// sample holds the counts at one time.
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
		well := s.counts.answeredWell.Load() // read before the calls, so that it is never larger
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

// now returns the calls and messages per second over the last two seconds, and the share of the
// calls of the last ten seconds that were answered well. Without calls the share is 1.
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
