package consumer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/sources"
)

// Status is the state of a Consumer and the fate of the messages that it received. It names no
// device and contains no secret, and no text of a message or of ilert but the names of servers and
// the little that the reason why a rule failed may quote.
type Status struct {
	Ready  bool     `json:"ready"`
	Parts  []Part   `json:"parts"`
	Broker *Broker  `json:"broker,omitempty"` // nil without a broker
	Topics []string `json:"topics"`           // the topic filters of the session
	Rules  []Rule   `json:"rules"`

	// RulesReadAt is the time at which the present rules were read. RulesError is the reason why
	// the last attempt to read them again failed; it quotes the files.
	RulesReadAt time.Time `json:"rulesReadAt"`
	RulesError  string    `json:"rulesError,omitempty"`

	// Messages counts the messages by topic filter, HTTPFilter among them, since the store was
	// created. If the store cannot be read, it and all other counts of the store are zero, and
	// the store's part has the reason.
	Messages map[string]Tally `json:"messages"`
	Alerts   Alerts           `json:"alerts"`
	// AwaitedGroups counts the groups whose messages are waited for by rules with absent.
	AwaitedGroups uint64 `json:"awaitedGroups"`
	// Silences lists the active silences; mps-ilert silence list shows their patterns.
	Silences []Silence `json:"silences"`
	// DeadLetters is the sum of the dead of all Messages.
	DeadLetters uint64 `json:"deadLetters"`
	// DeadLetterBytes counts the bytes of their topics, payloads and properties; see
	// Config.MaxDeadLetters.
	DeadLetterBytes uint64   `json:"deadLetterBytes"`
	Outbox          Outbox   `json:"outbox"`
	Requests        Requests `json:"requests"`
	// LeftOut counts the optional fields that were left out of events since the start because
	// ilert would not take them, by ilert's names.
	LeftOut map[string]uint64 `json:"leftOut"`
	// Keys lists the integration keys whose last event ilert has not taken.
	Keys []Key `json:"failingKeys"`
	// Unproven counts the messages that wait for integration keys which ilert has never taken.
	Unproven Unproven `json:"unproven"`
	// Behind lists the servers whose clocks are behind ours by more than MaxSkew, the farthest
	// first.
	Behind []sources.Source `json:"behind"`
	// DecisionLog is nil without one.
	DecisionLog *DecisionLog `json:"decisionLog,omitempty"`
}

// Tally counts messages by fate.
type Tally = alerting.Tally

// Part is a part of the work: subscription, store or ilert.
type Part struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"` // the fault
}

// Broker is the MQTT broker.
type Broker struct {
	Address        string    `json:"address,omitempty"` // the last one tried, without user and password
	ConnectedSince time.Time `json:"connectedSince,omitzero"`
}

// Rule is a rule of the present rules.
type Rule struct {
	Name    string `json:"name"`
	Matched uint64 `json:"matched"` // messages; the count ends with the rule
	// Failed counts the messages since the start on which the rule failed. LastFailure is nil if
	// there are none.
	Failed      uint64       `json:"failed"`
	LastFailure *RuleFailure `json:"lastFailure,omitempty"`
}

// Alerts counts alerts by state. An open alert may also wait or be under way, for instance with
// its end.
type Alerts struct {
	Open     uint64 `json:"open"`     // ilert has accepted them
	Waiting  uint64 `json:"waiting"`  // are due, or wait to be sent again
	Delayed  uint64 `json:"delayed"`  // raised, but not for long enough to be sent
	UnderWay uint64 `json:"underWay"` // a request is under way
	Held     uint64 `json:"held"`     // raised, but not sent while another alert is open
	Silenced uint64 `json:"silenced"` // raised, but not sent until a silence ends
	// OldestWaiting is the time since when the oldest waiting alert or event waits; zero if none
	// waits.
	OldestWaiting time.Time `json:"oldestWaiting,omitzero"`
}

// Silence is an active silence.
type Silence struct {
	ID    int64     `json:"id"`
	Until time.Time `json:"until"`
}

// Unproven counts the events that wait for integration keys of messages which ilert has never
// taken. The store keeps at most 10,000 and 64 MiB, none older than a day, and purges the oldest.
type Unproven struct {
	Keys     uint64    `json:"keys"`
	Messages uint64    `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"` // the time since when the oldest waits
}

// Outbox counts the waiting events that are only passed on, those of Unproven among them. Beside
// these the store keeps at most 100,000 and 256 MiB, and purges the oldest.
type Outbox struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// Key is an integration key by which ilert does not take events.
type Key struct {
	// Name is the name in the rules, such as env:TEAM_KEY; "configured" for
	// Config.IntegrationKey; and "message:" with 8 digits of the SHA-256 for a key of a message.
	Name string `json:"name"`
	// Unproven is true for a key of a message that ilert has never taken. It is no reason not to
	// be ready. At most 100 of these are listed.
	Unproven bool   `json:"unproven"`
	Error    string `json:"error"`
}

// Status returns the state of the consumer. It limits how often it reads the store, so that
// anybody may ask: the counts of the store may be some seconds old.
func (c *Consumer) Status(ctx context.Context) Status {
	set := c.rules.Load()
	status := Status{
		Ready: true, Silences: []Silence{}, Broker: c.broker(), Topics: append([]string{}, set.topics...), Rules: []Rule{},
		Requests: c.requests.read(), LeftOut: c.omissions.read(), Keys: c.failingKeys(), Behind: c.clocks.Behind(time.Now()),
		DecisionLog: c.decisions.counts(),
	}
	groups, _ := c.alerts.AwaitedGroups()
	status.AwaitedGroups = uint64(groups)
	status.RulesReadAt, status.RulesError = c.reading.last()
	counts, err := c.counting.read(ctx, c.alerts)
	if err == nil {
		status.count(counts, append(slices.Clone(set.topics), HTTPFilter))
	}
	for _, name := range set.names {
		failed, last := c.failures.of(name)
		status.Rules = append(status.Rules, Rule{name, counts.Matches[name], failed, last})
	}
	for _, one := range c.alerts.ActiveSilences() {
		status.Silences = append(status.Silences, Silence{one.ID, one.EndsAt})
	}
	status.Parts = c.parts(err)
	for _, p := range status.Parts {
		status.Ready = status.Ready && p.Ready
	}
	return status
}

// count sets the counts of the store. The given filters have a count even without messages.
func (s *Status) count(counts alerting.Status, filters []string) {
	s.Messages = maps.Clone(counts.Tallies)
	for _, filter := range filters {
		s.Messages[filter] = counts.Tallies[filter]
	}
	for _, t := range s.Messages {
		s.DeadLetters += t.Dead
	}
	s.Alerts = Alerts{
		Open: counts.Open, Waiting: counts.Waiting, Delayed: counts.Later, UnderWay: counts.Claimed,
		Held: counts.Held, Silenced: counts.Silenced,
		OldestWaiting: counts.Oldest,
	}
	s.DeadLetterBytes, s.Outbox = counts.LetterBytes, Outbox{counts.Outbox, counts.OutboxBytes}
	s.Unproven = Unproven{counts.UnprovenKeys, counts.Unproven, counts.OldestUnproven}
}

// broker returns the state of the connection, or nil without a broker.
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

// parts returns the parts that Ready joins. The faults of the store, that of reading among them,
// are one part.
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

// counting caches the counts of the store: to count a million alerts takes half a second, and
// anybody may ask.
type counting struct {
	mu    sync.Mutex
	last  alerting.Status
	until time.Time
}

// read returns the counts, which may be some seconds old.
func (c *counting) read(ctx context.Context, s *alerting.Engine) (alerting.Status, error) {
	const (
		patience = 5 * time.Second
		share    = 20 // counting takes at most this part of the time
		maxAge   = 5 * time.Second
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
		return alerting.Status{}, err
	}
	now := time.Now()
	c.last, c.until = counts, now.Add(min(share*now.Sub(began), maxAge))
	return counts, nil
}
