// Package ilagent decides about messages as ilert's own ilagent does: each message is one event
// for ilert, which is sent in the order of arrival. It knows no rules, keeps no state, and begins
// and ends no alert. A message that cannot be such an event is dead, and the reason never shows a
// key that the message may contain.
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

// Mapping names the keys of a message that hold the fields of an event for ilert. Where it names
// none, the field stands under ilert's name: integrationKey or apiKey, eventType, summary, and the
// optional fields of ilert.Event. A key may be a path through nested objects, such as
// data.message. An empty field of the Mapping changes nothing.
type Mapping struct {
	redact.All
	IntegrationKey string // overrides that of the message
	OtherKey       string // the configured one, for messages that have none

	TypeKey, AlertKey, SummaryKey string // the keys of event type, alert key and summary
	Alert, Accept, Resolve        string // the values that mean ALERT, ACCEPT and RESOLVE

	FilterKey   string // messages without this key are ignored
	FilterValue string // and so are messages with another text under it

	ForwardPayload bool // the custom details are the whole message, not only the topic

	Path string // the path of ilert's API, with {key} for the integration key
}

// Decide returns the decision about a message. It never fails: a message that cannot be understood
// is dead. A message without a payload, with which publishers clear a retained message, has no effect.
func (m Mapping) Decide(message decision.Message) decision.Decision {
	if len(message.Payload) == 0 || !m.mayWant(message.Payload) {
		return decision.Decision{}
	}
	o, err := parseObject(message.Payload)
	if err != nil {
		return decision.NewDead("%w", err)
	}
	if !m.wants(o) {
		return decision.Decision{}
	}
	key := m.IntegrationKey
	for _, name := range []string{"integrationKey", "apiKey"} {
		if key == "" {
			key = o.text(name)
		}
	}
	key = cmp.Or(key, m.OtherKey)
	var e ilert.Event
	omitted := e.SetOptional(o.members)
	if e.EventType = ilert.Type(m.typeOf(o.find(m.typeKey()))); e.EventType == "" {
		e.EventType = ilert.Type(cmp.Or(o.text("eventType"), "ALERT"))
	}
	if e.Summary = o.at(m.SummaryKey); e.Summary == "" {
		e.Summary = o.text("summary")
	}
	e.AlertKey = cmp.Or(scalarOf(o.find(m.AlertKey)), e.AlertKey)
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

// mayWant reports whether a payload may contain the filter's key. It spares the parsing of most
// messages on a broker.
func (m Mapping) mayWant(payload []byte) bool {
	last := m.FilterKey[strings.LastIndexByte(m.FilterKey, '.')+1:]
	return m.FilterKey == "" || bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) && (bytes.Contains(payload, []byte(last)) || bytes.IndexByte(payload, '\\') >= 0)
}

// wants reports whether the filter lets a message pass.
func (m Mapping) wants(o *object) bool {
	if m.FilterKey == "" {
		return true
	}
	raw := o.find(m.FilterKey)
	return raw != nil && (m.FilterValue == "" || textOf(raw) == m.FilterValue)
}

// typeKey returns the key that holds the event type.
func (m Mapping) typeKey() string { return cmp.Or(m.TypeKey, "eventType") }

// types lists the values that may stand at TypeKey.
func (m Mapping) types() string {
	all := []string{m.Alert, m.Accept, m.Resolve, "ALERT", "ACCEPT", "RESOLVE", "COMMENT"}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	return strings.Join(all, ", ")
}

// typeOf returns the event type that a value of TypeKey means. A text that is not mapped stands
// for itself, and no other value does.
func (m Mapping) typeOf(raw json.RawMessage) string {
	switch scalarOf(raw) {
	case "":
		return ""
	case m.Resolve:
		return "RESOLVE"
	case m.Accept:
		return "ACCEPT"
	case m.Alert:
		return "ALERT"
	default:
		return textOf(raw)
	}
}

// details returns the custom details for a message that has none.
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

// object is a JSON object with any members.
type object struct {
	members map[string]json.RawMessage
	wrong   error // names the first member that has the wrong kind
}

// parseObject reads a payload that must be a JSON object.
func parseObject(payload []byte) (*object, error) {
	var o object
	if !utf8.Valid(payload) {
		return nil, errors.New("the payload is not valid UTF-8")
	}
	err := json.Unmarshal(payload, &o.members)
	if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
		err = errors.New("it is " + ilert.KindOf(bytes.TrimSpace(payload)))
	}
	if err == nil && o.members == nil {
		err = errors.New("it is null")
	}
	if err != nil {
		// The dead letter holds the bytes, which may contain a key; this reason is logged.
		return nil, fmt.Errorf("the payload is not a JSON object: %w", err)
	}
	return &o, nil
}

// text returns the text of a member, or "" if there is none.
func (o *object) text(name string) string {
	raw := o.members[name]
	if raw == nil {
		return ""
	}
	text, err := ilert.Text(raw)
	if err != nil && o.wrong == nil {
		o.wrong = fmt.Errorf("%s: %w", name, err)
	}
	return text
}

// at returns the text at a path, or "" if there is none.
func (o *object) at(path string) string {
	return textOf(o.find(path))
}

// find returns the value at a path, or nil: under a key that is the whole path, or in nested
// objects.
func (o *object) find(path string) json.RawMessage {
	if path == "" {
		return nil
	}
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

// textOf returns the text of a JSON string, and "" for every other value.
func textOf(raw json.RawMessage) string {
	var s string
	if raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// scalarOf returns the text of a string, of a number, of true or of false, and "" for all else.
func scalarOf(raw json.RawMessage) string {
	if len(raw) == 0 || strings.IndexByte(`"[{n`, raw[0]) >= 0 {
		return textOf(raw)
	}
	return string(raw)
}
