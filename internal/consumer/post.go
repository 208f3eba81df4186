package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// HTTPFilter is the name under which the store counts the events that Post takes.
const HTTPFilter = rules.HTTPFilter

// BadEventError is the error of Post for an event that ilert would never take.
type BadEventError struct{ Reason string }

func (e *BadEventError) Error() string { return e.Reason }

// Post stores an event for ilert and returns it as it will be sent. payload is JSON in the form
// of ilert's own POST /api/events. The event is on disk when Post returns; the consumer then
// sends it, in order with others of its integration key, until ilert has taken it. Post may be
// called concurrently. The error is a *BadEventError, or that of the store.
func (c *Consumer) Post(ctx context.Context, payload []byte) ([]byte, error) {
	m, shown, err := c.messageOfPost(payload, time.Now())
	if err != nil {
		return nil, err
	}
	// The event of a caller that hangs up is stored all the same.
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	p := posted{m, make(chan error, 1)}
	select {
	case c.posts <- p:
	case <-c.intakeEnded:
		return nil, errors.New("consumer: stopping")
	case <-ctx.Done():
		return nil, errors.New("consumer: the store does not take what came before")
	}
	if err := <-p.stored; err != nil {
		return nil, err
	}
	return shown, nil
}

// posted is an event of Post that waits to be stored.
type posted struct {
	event  alerting.Message
	stored chan error // holds one
}

// messageOfPost returns the message that the store should apply for an event of Post, and the event as
// the caller sees it.
func (c *Consumer) messageOfPost(payload []byte, at time.Time) (m alerting.Message, shown []byte, err error) {
	e, omitted, err := parseEvent(payload)
	if err != nil {
		return m, nil, err
	}
	c.omitted(ilert.EventsPath, omitted)
	if shown, err = json.Marshal(e); err != nil {
		return m, nil, err
	}
	send := decision.Send{IntegrationKey: c.keyOf(e.IntegrationKey), Path: ilert.EventsPath, Event: e}
	return alerting.Message{
		Filter: HTTPFilter, Topic: ilert.EventsPath, Payload: payload, ReceivedAt: at,
		Decision: decision.Decision{Effects: []decision.Effect{send}},
	}, shown, nil
}

// keyOf returns the integration key for a secret of a message. For the configured secret it
// returns the configured key, so that waiting events are sent by a mended key, and all events of
// a key wait in one lane.
func (c *Consumer) keyOf(secret string) ilert.IntegrationKey {
	if secret == c.config.IntegrationKey {
		return ilert.IntegrationKey{}
	}
	return ilert.LiteralKey(secret)
}

// parseEvent reads an event of Post.
func parseEvent(payload []byte) (e ilert.Event, omitted []ilert.Omission, err error) {
	var members map[string]json.RawMessage
	if !utf8.Valid(payload) {
		return e, nil, &BadEventError{"the body is not valid UTF-8"}
	}
	if err := json.Unmarshal(payload, &members); err != nil {
		kind := new(json.UnmarshalTypeError)
		if errors.As(err, &kind) {
			err = errors.New("it is " + ilert.KindOf(bytes.TrimSpace(payload)))
		}
		return e, nil, &BadEventError{fmt.Sprintf("the body is not the JSON of an event: %v", err)}
	}
	text := func(name string) (text string) {
		if raw := members[name]; raw != nil && err == nil {
			if text, err = ilert.Text(raw); err != nil {
				err = &BadEventError{fmt.Sprintf("%s: %v", name, err)}
			}
		}
		return text
	}
	if e.IntegrationKey = text("integrationKey"); e.IntegrationKey == "" {
		e.IntegrationKey = text("apiKey") // its old name
	}
	e.EventType, e.Summary = ilert.Type(text("eventType")), text("summary")
	switch {
	case err != nil:
		return e, nil, err
	case e.IntegrationKey == "": // not the configured one: a caller must know a key
		return e, nil, &BadEventError{"integrationKey is missing"}
	case !e.EventType.Valid():
		return e, nil, &BadEventError{"Unsupported value for field 'eventType'."}
	case e.EventType == ilert.Alert && e.Summary == "":
		return e, nil, &BadEventError{"summary is missing"}
	}
	return e, e.SetOptional(members), nil
}
