// Package ilagent makes a decision of a message as ilert's own ilagent does: each message
// is one event for ilert, sent in the order of arrival. It knows no rules and keeps no
// state: no alert begins or ends by it. A message that cannot be such an event is dead, and
// the reason never shows a key that the message may hold.
package ilagent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/redact"
)

// Mapping is the rule of ilert's own ilagent: each message is one event for ilert,
// in the order of arrival. Its parts stand under ilert's names (integrationKey or
// apiKey, eventType, summary and the optional ones of ilert.Event) or where the Mapping says. A key of a Mapping may be a path through
// nested objects, such as data.message. Whatever is empty changes nothing.
type Mapping struct {
	redact.All
	IntegrationKey string // instead of the message's own
	OtherKey       string // of messages that have none: the configured one

	TypeKey, AlertKey, SummaryKey string // where these stand
	Alert, Accept, Resolve        string // values that mean ALERT, ACCEPT and RESOLVE

	FilterKey   string // messages without it are ignored
	FilterValue string // and those that have another text there

	ForwardPayload bool // the custom details are the whole message, not only the topic

	Path string // where the events go, below ilert's API, with {key} for the integration key
}

// Decide says what a message means. It never fails: one that cannot be understood is dead,
// with the reason.
func (m Mapping) Decide(message decision.Message) decision.Decision {
	if !m.mayWant(message.Payload) {
		return decision.Decision{}
	}
	o, err := parseObject(message.Payload)
	if err != nil {
		return decision.NewDead("%w", err)
	}
	if !m.wants(o) {
		return decision.Decision{}
	}
	key := cmp.Or(m.IntegrationKey, o.text("integrationKey"), o.text("apiKey"), m.OtherKey)
	var e ilert.Event
	omitted := e.SetOptional(o.members)
	if e.EventType = ilert.Type(m.typeOf(o.at(m.typeKey()))); e.EventType == "" {
		e.EventType = ilert.Type(cmp.Or(o.text("eventType"), "ALERT"))
	}
	if e.Summary = o.at(m.SummaryKey); e.Summary == "" {
		e.Summary = o.text("summary")
	}
	e.AlertKey = cmp.Or(o.at(m.AlertKey), e.AlertKey)
	if e.Summary == "" && e.EventType == ilert.Alert {
		e.Summary = "New alert from " + message.Topic
	}
	if e.CustomDetails == nil {
		e.CustomDetails = m.details(message)
	}
	switch {
	case o.wrong != nil:
		return decision.NewDead("%w", o.wrong)
	case !e.EventType.Valid():
		return decision.NewDead("%s %.40q: want %s", m.typeKey(), string(e.EventType), m.types())
	case key == "":
		return decision.NewDead("integrationKey is missing: the message has none, and none is configured")
	}
	var source ilert.IntegrationKey // the configured one, whichever that is when it is sent
	if key != m.OtherKey {
		source = ilert.LiteralKey(key)
	}
	return decision.Decision{Effects: []decision.Effect{decision.Send{IntegrationKey: source, Path: m.Path, Event: e}}, Omitted: omitted}
}

// mayWant reports whether a payload may hold the filter's key, be it whole or broken: most on
// a broker cannot.
func (m Mapping) mayWant(payload []byte) bool {
	last := m.FilterKey[strings.LastIndexByte(m.FilterKey, '.')+1:]
	return m.FilterKey == "" || bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) && (bytes.Contains(payload, []byte(last)) || bytes.Contains(payload, []byte(`\u`)))
}

func (m Mapping) wants(o *object) bool {
	if m.FilterKey == "" {
		return true
	}
	raw := o.find(m.FilterKey)
	return raw != nil && (m.FilterValue == "" || textOf(raw) == m.FilterValue)
}

func (m Mapping) typeKey() string { return cmp.Or(m.TypeKey, "eventType") }

// types are the values that may stand at TypeKey.
func (m Mapping) types() string {
	all := []string{m.Alert, m.Accept, m.Resolve, "ALERT", "ACCEPT", "RESOLVE", "COMMENT"}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	return strings.Join(all, ", ")
}

// typeOf is what a value of TypeKey means; one that is not mapped stands for itself.
func (m Mapping) typeOf(value string) string {
	switch value {
	case "":
		return ""
	case m.Resolve:
		return "RESOLVE"
	case m.Accept:
		return "ACCEPT"
	case m.Alert:
		return "ALERT"
	default:
		return value
	}
}

func (m Mapping) details(message decision.Message) json.RawMessage {
	if m.ForwardPayload {
		return bytes.Clone(message.Payload)
	}
	details, err := json.Marshal(map[string]string{"topic": message.Topic})
	if err != nil {
		panic(err) // strings cannot fail
	}
	return details
}

// object is a JSON object of which nothing is known.
type object struct {
	members map[string]json.RawMessage
	wrong   error // the first member that was not what it should be
}

func parseObject(payload []byte) (*object, error) {
	var o object
	if !utf8.Valid(payload) {
		return nil, errors.New("the payload is not valid UTF-8")
	}
	err := json.Unmarshal(payload, &o.members)
	if err == nil && o.members == nil {
		err = errors.New("it is null")
	}
	if err != nil {
		// Its bytes, which may hold a key, are in the letter; this goes to the log.
		return nil, fmt.Errorf("the payload is not a JSON object: %w", err)
	}
	return &o, nil
}

// text returns the text of a member, empty if there is none.
func (o *object) text(name string) string {
	raw := o.members[name]
	if raw == nil {
		return ""
	}
	var s *string // null is none
	if err := json.Unmarshal(raw, &s); err != nil && o.wrong == nil {
		o.wrong = fmt.Errorf("%s: want a text, have %s", name, kindOf(raw))
	}
	if s == nil {
		return ""
	}
	return *s
}

// kindOf says what a value is, which is no secret.
func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	default:
		return "a number"
	}
}

// at returns the text at a path, empty if there is none.
func (o *object) at(path string) string {
	if path == "" {
		return ""
	}
	return textOf(o.find(path))
}

// find returns what stands at a path, nil if nothing does: under a key of that very
// name, or in nested objects.
func (o *object) find(path string) json.RawMessage {
	if raw := o.members[path]; raw != nil {
		return raw
	}
	key, rest, nested := strings.Cut(path, ".")
	if !nested || o.members[key] == nil {
		return nil
	}
	inner, err := parseObject(o.members[key])
	if err != nil {
		return nil
	}
	return inner.find(rest)
}

// textOf is the text of a JSON string, empty for all else.
func textOf(raw json.RawMessage) string {
	var s string
	if raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
