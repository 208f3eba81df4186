package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
)

// isEmpty reports whether the message has no payload. Publishers clear a retained message with
// such a one, so it cannot be misunderstood.
func (w *work) isEmpty() bool { return len(w.message.Payload) == 0 }

// serverOf returns the server that sent a message: the property source, else the topic.
func serverOf(m decision.Message) string {
	for _, p := range m.Properties {
		if p.Key == "source" && p.Value != "" {
			return p.Value
		}
	}
	return m.Topic
}

// deviceOf returns the guid in lower case, because servers write one guid in either
// case. It returns "" for a text that is longer than any guid or that no database can store.
func deviceOf(guid string) string {
	const maxLength = 64
	if len(guid) > maxLength || strings.Contains(guid, "\x00") {
		return ""
	}
	return strings.ToLower(guid)
}

// timeOf returns the time of an event, or the zero time if the timestamp is impossible.
func timeOf(ms int64) time.Time {
	if ms <= 0 || ms > math.MaxInt64/int64(2*time.Millisecond) {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// read reads the message and returns the clauses that it may match.
func (e *engine) read(w *work) ([]*clause, error) {
	w.facts.Topic, w.facts.Server = w.message.Topic, serverOf(w.message)
	if e.onEvents {
		parsed, err := event.Parse(w.message.Payload)
		if err == nil {
			w.isEvent = true
			w.facts.Event = factsOf(&parsed, w.message.Properties)
			m := e.byType[parsed.Type]
			if named, ok := m.byName[w.facts.Event.Method]; ok {
				return named, nil
			}
			return m.other, nil
		}
		if !w.isEmpty() && !slices.ContainsFunc(e.rest, func(c *clause) bool { return c.rule.listensTo(w.message.Topic) }) {
			return nil, err
		}
	}
	return e.rest, w.parse()
}

// factsOf returns the facts of an event and of its user properties.
func factsOf(e *event.Event, properties []decision.Property) eventFacts {
	f := eventFacts{
		Type: string(e.Type), Message: e.Message, Methods: e.Methods, GUID: e.GUID, Timestamp: e.Timestamp,
	}
	if len(e.Methods) > 0 {
		f.Method = e.Methods[0]
	}
	for _, p := range properties {
		switch p.Key {
		case "outcome":
			f.Outcome = p.Value
		case "httpstatus":
			f.HTTPStatus, _ = strconv.Atoi(p.Value)
		}
	}
	return f
}

// parse reads the payload as JSON into msg.
func (w *work) parse() error {
	if w.parsed {
		return nil
	}
	if w.isEmpty() {
		w.parsed = true
		return nil
	}
	if !utf8.Valid(w.message.Payload) {
		return errors.New("the payload is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(w.message.Payload))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return fmt.Errorf("the payload is not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("the payload is not JSON: there is more behind it")
	}
	v, err := plainNumbers(v)
	w.facts.Msg, w.parsed = v, err == nil
	return err
}

// plainNumbers converts whole numbers to int and all others to float64. A whole number that no
// int holds becomes a text, because it is an identifier, of which no digit may be lost.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n, nil
		}
		const maxLength = 64 // of an identifier
		if len(v) <= maxLength && !strings.ContainsAny(string(v), ".eE") {
			return string(v), nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the payload holds the number %.40s, which is too large", v)
		}
		return n, nil
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plainNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
