package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Notice is one thing to send to ilert: an alert's newest state, or an outbox item. Claim returns it, and the caller
// gives it back with its answer to Settle.
type Notice struct {
	IntegrationKey ilert.IntegrationKey
	Tries          int         // requests before
	TraceParent    string      // of the message that caused it; empty if it had none
	Rule           string      // of the alert; empty if it has none
	Since          time.Time   // since when it waits, or would if it were not delayed
	Path           string      // in ilert's API
	Event          ilert.Event // complete but for the integration key
	Repeat         bool        // ilert has taken the alert before, and nothing has changed since
	Unproven       bool        // a message brought the integration key, and ilert has never taken it

	item     int64 // ID in the outbox; 0 for an alert
	id       AlertID
	version  int64         // of the alert
	told     ilert.Type    // the alert's Told before
	reported []string      // members of its window that this notice reports for the first time
	more     bool          // other members wait for the next notice
	members  []stormMember // of a storm: members that this notice reports for the first time
	names    int           // of a storm: number of members that this notice reports
}

// Answer is the outcome of the request for a Notice.
type Answer struct {
	Notice Notice
	Result Result
	At     time.Time
	Retry  time.Time // for Unknown and NotTaken: when to try again
	Reason string    // for Refused
	Hold   time.Time // until then ilert asks for no request of that integration key; zero if it does not ask
}

// Result is the outcome of a Notice.
type Result int

// The results.
const (
	Taken    Result = iota // ilert took it
	Unknown                // no answer: the notice may or may not have arrived
	NotTaken               // the notice has not arrived, or ilert asks to try again
	Refused                // ilert calls it invalid
)

// noticeOf returns a notice of the alert without an event.
func noticeOf(a *Alert) Notice {
	rule := a.Rule
	if a.Storm == IsStorm {
		rule = a.Group
	}
	return Notice{
		IntegrationKey: a.ID.Integration, Tries: a.Tries, TraceParent: a.Cause.Properties.traceParent(), Path: ilert.EventsPath,
		id: a.ID, version: a.Version, told: a.Told, Rule: rule, Since: a.Cause.ReceivedAt,
	}
}

// claimAlert claims an alert that is due, or its repeat, and returns its notice.
func (w *work) claimAlert(a *Alert, repeat bool, now time.Time) (Notice, error) {
	n := noticeOf(a)
	n.Repeat = repeat
	numbers, first := w.numbers(a, now)
	body := numbers.Fill([]byte(a.Body))
	n.reported, n.more = first.names, first.more
	if err := json.Unmarshal(body, &n.Event); err != nil {
		return n, fmt.Errorf("alerting: the text of alert %s: %w", a.AlertKey, err)
	}
	n.Event.EventType, n.Event.AlertKey, n.Event.Priority = a.next(), a.AlertKey, a.Priority
	if n.Event.EventType == ilert.Resolve {
		a.tellEnd(&n.Event)
	}
	a.markClaimed(&n)
	w.keep(a)
	return n, nil
}

// Settle stores the answers to notices.
func (e *Engine) Settle(ctx context.Context, answers []Answer) error {
	return e.update(ctx, func(w *work) error {
		if err := w.loadAll(keysOfAnswers(answers)); err != nil {
			return err
		}
		for _, answer := range answers { // a copy: if the transaction fails, it is settled again
			w.keepHold(&answer)
			w.settleAnswer(&answer)
		}
		return nil
	})
}

// keysOfAnswers returns the keys of the rows that answers touch.
func keysOfAnswers(answers []Answer) (k Keys) {
	for i := range answers {
		n := &answers[i].Notice
		if n.item == 0 {
			k.Alerts = append(k.Alerts, n.id)
			for _, m := range n.members {
				k.Alerts = append(k.Alerts, m.id)
			}
			continue
		}
		k.Outbox = append(k.Outbox, n.item)
		if _, literal := n.IntegrationKey.Literal(); literal {
			k.Proven = append(k.Proven, n.IntegrationKey)
		}
		if answers[i].Result == Refused {
			k.Behind = append(k.Behind, OutboxRef{n.item, n.id})
		}
	}
	return k
}

// settleAnswer changes the alert or the outbox item of a notice as its answer demands.
func (w *work) settleAnswer(answer *Answer) {
	n := &answer.Notice
	// The answer may change how much may be sent. Other lanes that wait already have their turn before.
	w.holdLane(n.IntegrationKey, LaneHold{answer.At, answer.At})
	if n.item != 0 {
		w.settleItem(answer)
		return
	}
	a := w.alert(n.id)
	if a == nil || !a.Claimed { // settled before
		return
	}
	if a.Storm == IsStorm && n.Event.EventType == ilert.Alert {
		w.settleStorm(a, *answer)
		return
	}
	if answer.Result == Refused && n.Event.EventType == ilert.Resolve && a.Desired == ilert.Alert {
		answer.Result, answer.Retry, n.told = NotTaken, answer.At, Unsure // the alert is sent next
	}
	if answer.Result == Refused && a.Version == n.version {
		cause := a.Cause
		if n.Repeat {
			cause = Cause{} // the message was delivered before
		}
		w.addRefused(cause, a.ID, answer)
	}
	over := a.settle(answer, w.counts)
	if a.Windowed {
		w.settleReported(a, over, answer)
	}
	if over {
		w.drop(a.ID)
	} else {
		w.keep(a)
	}
}

// addRefused adds a dead letter for a notice that ilert called invalid. The letter holds the message that is counted
// with the notice. If there is none, it holds the notice itself, which is counted as if it had been received.
func (w *work) addRefused(cause Cause, id AlertID, answer *Answer) {
	m, n := cause.message(), &answer.Notice
	if m.Filter == nobody {
		m.Filter, m.Topic, m.Payload = FilterRules, n.Path, []byte(textOf(n.Event))
		w.counts.of(FilterRules).Received++
		w.counts.of(FilterRules).Dead++
	}
	m.Tries = n.Tries + 1
	l := m.letter(answer.Reason, answer.At)
	l.Kind, l.Alert, l.EventType = OfAlert, id, n.Event.EventType
	if n.item != 0 {
		l.Kind, l.OvertakenBy = Sent, w.overtakenBy(OutboxRef{n.item, id}, l.EventType)
	}
	w.addLetter(l)
}
