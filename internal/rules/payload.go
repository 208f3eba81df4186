package rules

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
)

// isEmpty reports whether the message has no payload. Publishers clear a retained message with
// such a one, so it cannot be misunderstood.
func (w *work) isEmpty() bool { return len(w.payload) == 0 }

// textOf returns a payload as valid UTF-8 without what is no part of its text: a byte order mark,
// blanks at both ends, and the NULs with which programs in C end a text.
func textOf(payload []byte) []byte {
	const mark = '\uFEFF'
	payload = bytes.TrimLeftFunc(payload, func(r rune) bool { return r == mark || unicode.IsSpace(r) })
	payload = bytes.TrimRightFunc(payload, func(r rune) bool { return r == 0 || unicode.IsSpace(r) })
	if utf8.Valid(payload) {
		return payload
	}
	return bytes.ToValidUTF8(payload, []byte("\uFFFD"))
}

// serverOf returns the server that sent a message: the property source, else the topic.
func serverOf(m decision.Message) string {
	for _, p := range m.Properties {
		if p.Key == "source" && p.Value != "" {
			return p.Value
		}
	}
	return m.Topic
}

// deviceOf returns a guid, or "" for a text that is longer than any guid or that no database can
// store.
func deviceOf(guid string) string {
	const maxLength = 64
	if len(guid) > maxLength || strings.Contains(guid, "\x00") {
		return ""
	}
	return guid
}

// timeOf returns the time of an event, or the zero time if the timestamp is impossible.
func timeOf(ms int64) time.Time {
	if ms <= 0 || ms > math.MaxInt64/int64(2*time.Millisecond) {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// read reads the message and returns the clauses that it may match. The error is the reason why it
// is no event, if only rules for events listen to it.
func (e *engine) read(w *work) ([]*clause, error) {
	w.payload = textOf(w.message.Payload)
	w.facts.Topic, w.facts.Server, w.facts.Retain = w.message.Topic, serverOf(w.message), w.message.Retain
	if !e.parses {
		return e.rest, nil
	}
	parsed, err := event.Parse(w.payload)
	if err == nil {
		w.isEvent = true
		w.facts.Event = factsOf(&parsed, w.message.Properties)
		w.facts.Age = age(parsed.Timestamp, w.message.ReceivedAt)
		m := e.byType[parsed.Type]
		if named, ok := m.byName[w.facts.Event.Method]; ok {
			return named, nil
		}
		return m.other, nil
	}
	if e.onEvents && !w.isEmpty() && !slices.ContainsFunc(e.rest, func(c *clause) bool { return c.rule.listensTo(w.message.Topic) }) {
		return nil, err
	}
	return e.rest, nil
}

// age returns the seconds between the time of an event and its arrival, or 0 if either is unknown.
func age(timestamp int64, receivedAt time.Time) int {
	at := timeOf(timestamp)
	if at.IsZero() || receivedAt.Before(at) {
		return 0
	}
	return int(receivedAt.Sub(at) / time.Second)
}

// factsOf returns the facts of an event and of its user properties. Its guid is in small letters,
// because servers write one guid in either case.
func factsOf(e *event.Event, properties []decision.Property) eventFacts {
	f := eventFacts{
		Type: string(e.Type), Message: e.Message, Methods: e.Methods, GUID: strings.ToLower(e.GUID), Timestamp: e.Timestamp,
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

// parse reads the payload into msg.
func (w *work) parse() {
	if !w.parsed {
		w.parsed, w.facts.Msg = true, valueOf(w.payload)
	}
}

// valueOf returns the value of a payload: nil if it is empty, a text if it is no JSON.
func valueOf(payload []byte) any {
	if len(payload) == 0 {
		return nil
	}
	if value, isJSON := decodeJSON(payload); isJSON {
		return value
	}
	if value, isJSON := decodeJSON(withoutNaN(payload)); isJSON {
		return value
	}
	return string(payload)
}

// decodeJSON returns the value of a JSON text, and false if it is none.
func decodeJSON(text []byte) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return nil, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, false
	}
	return plainNumbers(v), true
}

// withoutNaN returns a JSON text with null in the place of nan and inf, which are no JSON, although
// sensors without a value publish them.
func withoutNaN(text []byte) []byte {
	isPart := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'
	}
	var replaced []byte
	copied := 0
	for i := 0; i < len(text); i++ {
		if text[i] == '"' {
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			continue
		}
		begin := i
		for i < len(text) && isPart(text[i]) {
			i++
		}
		if begin == i {
			continue
		}
		if isNaN(text[begin:i]) {
			replaced = append(append(replaced, text[copied:begin]...), "null"...)
			copied = i
		}
		i-- // the byte behind the word may begin a text
	}
	return append(replaced, text[copied:]...)
}

// isNaN reports whether a word stands for no number, or for an infinite one.
func isNaN(word []byte) bool {
	const maxLength = len("-infinity")
	if len(word) > maxLength {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(string(word), "+-")) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

// plainNumbers converts whole numbers to int and all others to float64. A whole number that no
// int holds becomes a text, because it is an identifier, of which no digit may be lost. A number
// that no float64 holds becomes nil.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n
		}
		const maxLength = 64 // of an identifier
		if len(v) <= maxLength && !strings.ContainsAny(string(v), ".eE") {
			return string(v)
		}
		n, err := v.Float64()
		if err != nil {
			return nil
		}
		return n
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}
