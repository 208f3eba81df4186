package rehearsal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
)

// Explanation prints what messages do, one after the other.
type Explanation struct {
	play *rehearsal
	show *shower
}

// Explain returns an explanation that prints to out. Briefly it prints only the events for ilert
// and, in the end, the number of dead messages.
func Explain(ctx context.Context, by Setup, out io.Writer, briefly bool) (*Explanation, error) {
	show := &shower{out: out, brief: briefly}
	play, err := rehearse(ctx, by, show)
	if err != nil {
		return nil, err
	}
	return &Explanation{play, show}, nil
}

// Rest prints what ilert would be sent if no message came any more, and what would be open in the
// end.
func (e *Explanation) Rest(ctx context.Context) error { return e.show.rest(ctx, e.play) }

// Close frees the memory of the explanation.
func (e *Explanation) Close() error { return e.play.close() }

// Play plays the messages in a file: JSON values, one after the other. topic is the topic of
// those that name none.
func (e *Explanation) Play(ctx context.Context, name, topic string, in io.Reader) error {
	play := e.play
	decoder := json.NewDecoder(bufio.NewReader(in))
	for n := 1; ; n++ {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: value %d is no JSON: %w (rules are given by --config)", name, n, err)
		}
		change, at, is, err := changeOf(raw)
		if err == nil && is {
			err = e.connect(ctx, change, play.moment(at))
		}
		if err != nil {
			return fmt.Errorf("%s: value %d: %w", name, n, err)
		}
		if is {
			continue
		}
		m, at, err := messageOf(raw, topic)
		if err != nil {
			return fmt.Errorf("%s: value %d: %w", name, n, err)
		}
		if _, err := play.receive(ctx, play.moment(at), m); err != nil {
			return err
		}
	}
}

// moment returns the time of a value in a file: zero if the file does not say it.
func (r *rehearsal) moment(at time.Time) time.Time {
	if at.IsZero() && r.now.IsZero() {
		return time.Now().Truncate(time.Second)
	}
	if at.Before(r.now) {
		return r.now // messages come one after the other
	}
	return at
}

// The changes of the connection that a file may tell of.
const (
	lost     = "lost"
	restored = "restored"
)

// changeOf reads a value of a file that is a change of the connection, such as {"connection":"lost","tst":"..."}. It
// returns false if the value is another one.
func changeOf(raw json.RawMessage) (change string, at time.Time, is bool, err error) {
	var fields map[string]string
	isText := json.Unmarshal(raw, &fields) == nil
	if !isText || fields["connection"] == "" || len(fields) != 2 || fields["tst"]+fields["time"] == "" {
		return "", at, false, nil
	}
	if at, err = timeOf(fields["tst"] + fields["time"]); err != nil {
		return "", at, true, err
	}
	change = fields["connection"]
	if change != lost && change != restored {
		err = fmt.Errorf("connection %q: want %s or %s", change, lost, restored)
	}
	return change, at, true, err
}

// connect plays a change of the connection.
func (e *Explanation) connect(ctx context.Context, change string, at time.Time) error {
	play := e.play.connect
	if change == lost {
		play = e.play.disconnect
	}
	err := play(ctx, at)
	if err == nil && e.show != nil && !e.show.brief {
		e.show.say("\n%s  the connection to the broker is %s\n", e.show.moment(e.play.now), change)
	}
	return err
}

// messageOf reads a value of a file: a message with its topic, or a payload.
func messageOf(raw json.RawMessage, topic string) (decision.Message, time.Time, error) {
	m := decision.Message{Topic: topic, Payload: raw}
	var captured struct {
		Topic      *string         `json:"topic"`
		Payload    json.RawMessage `json:"payload"`
		Tst        string          `json:"tst"` // of mosquitto_sub
		Time       string          `json:"time"`
		Properties json.RawMessage `json:"properties"`
		Retain     json.RawMessage `json:"retain"` // 0 or 1, or as people write it: true or false
	}
	var at time.Time
	if json.Unmarshal(raw, &captured) == nil && captured.Topic != nil && captured.Payload != nil {
		m.Topic, m.Payload = *captured.Topic, captured.Payload
		var text string
		if json.Unmarshal(captured.Payload, &text) == nil {
			m.Payload = []byte(text)
		}
		var err error
		if at, err = timeOf(captured.Tst + captured.Time); err != nil {
			return m, at, err
		}
		m.Properties, m.Retain = propertiesOf(captured.Properties), string(captured.Retain) == "1" || string(captured.Retain) == "true"
	}
	if e, err := event.Parse(m.Payload); at.IsZero() && err == nil && e.Timestamp > 0 {
		at = time.UnixMilli(e.Timestamp)
	}
	return m, at, nil
}

// timeOf reads a time in the form of RFC 3339 or of mosquitto_sub.
func timeOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999Z-0700", "2006-01-02T15:04:05.999999-0700"} {
		if at, err := time.Parse(form, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("tst %q: want a time such as 2026-01-02T15:04:05Z", s)
}

// propertiesOf reads user properties: an object, or mosquitto_sub's form, which may be a list of
// objects below user-properties.
func propertiesOf(raw json.RawMessage) (all []decision.Property) {
	var inner struct {
		User json.RawMessage `json:"user-properties"`
	}
	if json.Unmarshal(raw, &inner) == nil && inner.User != nil {
		raw = inner.User
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var one map[string]json.RawMessage
		_ = json.Unmarshal(raw, &one)
		list = []map[string]json.RawMessage{one}
	}
	for _, one := range list {
		for key, value := range one {
			text := string(value) // a person may have written a number
			_ = json.Unmarshal(value, &text)
			all = append(all, decision.Property{Key: key, Value: text})
		}
	}
	return all
}
