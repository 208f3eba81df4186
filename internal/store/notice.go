package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Notice is one thing to tell ilert: an alert's newest state, or what is to be sent
// just so. It is handed out by Claim and goes back by Settle.
type Notice struct {
	IntegrationKey ilert.IntegrationKey
	Tries          int         // how often ilert was tried before
	TraceParent    string      // of the message that caused it, if it had one
	Path           string      // of ilert's API
	Event          ilert.Event // complete but for the integration key
	Unproven       bool        // a message brought the integration key, and ilert has never taken it

	letter  int64 // in the outbox; 0 for an alert
	key     key   // of the alert
	version int64
	told    ilert.Type // what was told before it was claimed
	listed  []string   // members whose names ilert is told for the first time
	more    bool       // others wait for the next notice
	members []listed   // of a storm: those whom ilert is told for the first time
	names   int        // of a storm: how many members it lists
}

// Answer is what became of a Notice.
type Answer struct {
	Notice Notice
	Result Result
	At     time.Time
	Retry  time.Time // for Unknown and NotTold: when to try again
	Reason string    // for Refused
	Hold   time.Time // before then ilert asks for no request of that integration key; zero: it does not
}

// Result is how a Notice ended.
type Result int

// The results.
const (
	Told    Result = iota // ilert took it
	Unknown               // no answer: it may or may not have arrived
	NotTold               // it has not arrived, try again
	Refused               // ilert calls it invalid
)

// notice returns a notice of the alert that says nothing yet.
func (a *alert) notice() Notice {
	return Notice{
		IntegrationKey: a.key.integration, Tries: a.tries, TraceParent: a.properties.traceParent(), Path: ilert.EventsPath,
		key: a.key, version: a.version, told: a.told,
	}
}

func (c *change) claim(a *alert, now time.Time) (Notice, error) {
	n := a.notice()
	body := []byte(a.body)
	if a.windowed {
		numbers, list, err := c.numbers(a, now)
		if err != nil {
			return n, err
		}
		body, n.listed, n.more = numbers.Fill(body), list.untold, list.more
	}
	if err := json.Unmarshal(body, &n.Event); err != nil {
		return n, err
	}
	n.Event.EventType, n.Event.AlertKey, n.Event.Priority = a.next(), a.alertKey, a.priority
	a.claim(&n)
	c.keep(a)
	return n, nil
}

// claim takes note that a notice goes out.
func (a *alert) claim(n *Notice) {
	a.claimed = true
	switch {
	case n.Event.EventType == ilert.Accept: // whether it arrives or not, the alert is open
		a.told = ilert.Accept
	case isAccepted(a.told):
		a.told = unsureAccepted
	default:
		a.told = unsure
	}
}

// Settle stores what ilert answered.
func (s *Store) Settle(ctx context.Context, answers []Answer) error {
	return s.change(ctx, func(c *change) error {
		var keys []key
		for i := range answers {
			if n := &answers[i].Notice; n.letter == 0 {
				keys = append(keys, n.key)
			}
		}
		if err := c.preload(keys); err != nil {
			return err
		}
		for i := range answers {
			if err := errors.Join(c.keepHold(&answers[i]), c.settle(&answers[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *change) settle(answer *Answer) error {
	n := &answer.Notice
	c.lane(n.IntegrationKey).hold(time.Time{}, time.Time{}) // the answer may change how much may be told
	if n.letter != 0 {
		return c.settleLetter(answer)
	}
	a, err := c.load(n.key)
	if err != nil || a == nil || !a.claimed { // settled before
		return err
	}
	if a.storm == itself && n.Event.EventType == ilert.Alert {
		return c.settleStorm(a, *answer)
	}
	if answer.Result == Refused && n.Event.EventType == ilert.Resolve && a.desired == ilert.Alert {
		answer.Result, answer.Retry, n.told = NotTold, answer.At, unsure // it goes on with the alert
	}
	if answer.Result == Refused && a.version == n.version {
		if err := c.refuse(a.message(), a.key, answer); err != nil {
			return err
		}
	}
	over := a.settle(answer, c.count)
	if a.windowed {
		if err := c.listed(a, over, answer); err != nil {
			return err
		}
	}
	if over {
		c.forget(n.key)
	} else {
		c.keep(a)
	}
	return nil
}

// refuse buries m, whose notice of k ilert called invalid. Of what is nobody's the notice
// is kept, and counted as if it had been received.
func (c *change) refuse(m *Message, k key, answer *Answer) error {
	n := &answer.Notice
	if m.Filter == nobody {
		m.Filter, m.Topic, m.Payload = Rules, n.Path, []byte(textOf(n.Event))
		c.count.of(Rules).Received++
		c.count.of(Rules).Dead++
	}
	m.Tries = n.Tries + 1
	l := m.letter(answer.Reason, answer.At)
	l.Kind, l.IntegrationKey, l.foldedKey, l.EventType = OfAlert, k.integration, k.folded, n.Event.EventType
	if n.letter != 0 {
		l.Kind = Sent
		var err error
		if l.overtakenBy, err = c.overtaken(n.letter, k, l.EventType); err != nil {
			return err
		}
		c.sent = nil
	}
	return c.bury(l)
}
