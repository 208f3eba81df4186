package consumer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/store"
)

// Status is how a Consumer is and what became of what it received. It names no device and
// holds no secret, nor anything that a message or an answer of ilert's said, but for the
// names by which servers call themselves.
type Status struct {
	Ready  bool     `json:"ready"`
	Parts  []Part   `json:"parts"`
	Broker *Broker  `json:"broker,omitempty"` // nil without one
	Topics []string `json:"topics"`           // what is subscribed to
	Rules  []Rule   `json:"rules"`

	// RulesReadAt is when the rules in force were read. RulesError says why the last attempt
	// to read them again failed, if it did; it quotes the files.
	RulesReadAt time.Time `json:"rulesReadAt"`
	RulesError  string    `json:"rulesError,omitempty"`

	// Messages are counted for each topic filter, HTTPFilter among them, since the store
	// was made. It is nil, and so is all else that the store holds, if the store cannot be
	// read; its part says why.
	Messages map[string]Tally `json:"messages"`
	Alerts   Alerts           `json:"alerts"`
	// DeadLetters are the dead of all Messages.
	DeadLetters uint64 `json:"deadLetters"`
	// DeadLetterBytes are those of their topics, payloads and properties; see
	// Config.MaxDeadLetters.
	DeadLetterBytes uint64   `json:"deadLetterBytes"`
	Outbox          Outbox   `json:"outbox"`
	Requests        Requests `json:"requests"`
	// LeftOut counts, since the start, the optional fields that alerts and events went out
	// without because ilert would not take them, by ilert's names.
	LeftOut map[string]uint64 `json:"leftOut"`
	// Keys are the integration keys by which ilert has not taken the last event.
	Keys []Key `json:"failingKeys"`
	// Unproven counts the messages that wait for integration keys which ilert has never taken.
	Unproven Unproven `json:"unproven"`
	// Behind are the servers whose clocks are behind ours by more than MaxSkew, the
	// farthest first.
	Behind []Source `json:"behind"`
}

// Tally counts messages by what became of them.
type Tally = store.Tally

// Part is a part of the work: subscription, store or ilert.
type Part struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"` // what is in the way
}

// Broker is the MQTT broker.
type Broker struct {
	Address        string    `json:"address,omitempty"` // the last that was tried, without user and password
	ConnectedSince time.Time `json:"connectedSince,omitzero"`
}

// Rule is one rule in force.
type Rule struct {
	Name    string `json:"name"`
	Matched uint64 `json:"matched"` // how many messages; forgotten when the rule is taken away
}

// Alerts counts alerts by where they stand. An open one may also wait or be under way, with
// its end for instance.
type Alerts struct {
	Open     uint64 `json:"open"`     // ilert has said that it knows them
	Waiting  uint64 `json:"waiting"`  // to be told, now or again
	Delayed  uint64 `json:"delayed"`  // wait for their time: it must have been so for a while before ilert is told
	UnderWay uint64 `json:"underWay"` // a request is
	// OldestWaiting is since when what waits longest has waited, be it an alert or an event
	// that is only passed on; zero if nothing waits.
	OldestWaiting time.Time `json:"oldestWaiting,omitzero"`
}

// Unproven counts the events that wait for integration keys which messages brought and ilert
// has never taken. There are 10,000 at most and 64 MiB, none older than a day: the oldest are
// purged.
type Unproven struct {
	Keys     uint64    `json:"keys"`
	Messages uint64    `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"` // since when the oldest waits
}

// Outbox counts the events that are only passed on and wait, those of Unproven among them.
// Beside these there are 100,000 at most and 256 MiB: the oldest are purged.
type Outbox struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// Key is an integration key that ilert does not take events by.
type Key struct {
	// Name is as the rules have it, such as env:TEAM_KEY; "configured" for
	// Config.IntegrationKey; and "message:" and 8 digits of its SHA-256 for one that a
	// message brought.
	Name string `json:"name"`
	// Unproven says that a message brought it and that ilert has never taken it: it is no
	// reason not to be ready. At most 100 of these are listed.
	Unproven bool   `json:"unproven"`
	Error    string `json:"error"`
}

// Status says how the consumer is. It reads the store beside the work, and at most so often
// that this costs little: what it says of the store may be some seconds old.
func (c *Consumer) Status(ctx context.Context) Status {
	set := c.rules.Load()
	status := Status{
		Ready: true, Broker: c.broker(), Topics: append([]string{}, set.topics...), Rules: []Rule{},
		Requests: c.requests.read(), LeftOut: c.omissions.read(), Keys: c.failingKeys(), Behind: c.skew.read(time.Now()),
	}
	status.RulesReadAt, status.RulesError = c.reading.last()
	counts, err := c.counting.read(ctx, c.store)
	if err == nil {
		status.count(counts, append(slices.Clone(set.topics), HTTPFilter))
	}
	for _, name := range set.names {
		status.Rules = append(status.Rules, Rule{name, counts.Matches[name]})
	}
	status.Parts = c.parts(err)
	for _, p := range status.Parts {
		status.Ready = status.Ready && p.Ready
	}
	return status
}

// count takes in what the store has counted. These filters without messages have counted
// none; what no message causes is counted under a name that only who sees it asks for.
func (s *Status) count(counts store.Status, filters []string) {
	s.Messages = maps.Clone(counts.Tallies)
	for _, filter := range filters {
		s.Messages[filter] = counts.Tallies[filter]
	}
	for _, t := range s.Messages {
		s.DeadLetters += t.Dead
	}
	s.Alerts = Alerts{
		Open: counts.Open, Waiting: counts.Waiting, Delayed: counts.Later, UnderWay: counts.Claimed,
		OldestWaiting: counts.Oldest,
	}
	s.DeadLetterBytes, s.Outbox = counts.LetterBytes, Outbox{counts.Outbox, counts.OutboxBytes}
	s.Unproven = Unproven{counts.UnprovenKeys, counts.Unproven, counts.OldestUnproven}
}

func (c *Consumer) broker() *Broker {
	if c.config.Address == "" {
		return nil
	}
	c.mu.Lock()
	conn, since := c.conn, c.since
	c.mu.Unlock()
	b := &Broker{ConnectedSince: since}
	if conn != nil {
		b.Address = conn.Address()
	}
	return b
}

// parts are what Ready is made of. The three of the store are one to who looks from
// outside, and reading is among it.
func (c *Consumer) parts(reading error) []Part {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := func(errs ...error) string {
		for _, err := range errs {
			if err != nil {
				return brief(err)
			}
		}
		return ""
	}
	all := []Part{
		{Name: string(subscription), Error: first(c.faults[subscription])},
		{Name: string(storing), Error: first(c.faults[storing], c.faults[claiming], c.faults[settling], reading)},
		{Name: string(delivering), Error: first(c.faults[delivering], c.faults[reaching])},
	}
	for i := range all {
		all[i].Ready = all[i].Error == ""
	}
	return all
}

// counting keeps what the store has counted for a while: of a million alerts that takes half
// a second, and anybody may ask.
type counting struct {
	mu    sync.Mutex
	last  store.Status
	until time.Time
}

func (c *counting) read(ctx context.Context, s *store.Store) (store.Status, error) {
	const (
		patience = 5 * time.Second
		share    = 20 // of the time is spent on counting, at most
		longest  = 5 * time.Second
	)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	if began.Before(c.until) {
		return c.last, nil
	}
	counts, err := s.Status(ctx, began)
	if err != nil {
		return store.Status{}, err
	}
	now := time.Now()
	c.last, c.until = counts, now.Add(min(share*now.Sub(began), longest))
	return counts, nil
}
