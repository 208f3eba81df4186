package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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

// Rules returns the rules that m is.
func (m Mapping) Rules() Rules { return Rules{decide: m.decide} }

func (m Mapping) decide(message Message) Decision {
	if len(message.Payload) == 0 || !m.mayWant(message.Payload) {
		return Decision{} // without any payload retained messages are cleared
	}
	o, err := parseObject(message.Payload)
	if err != nil {
		return dead("%w", err)
	}
	if !m.wants(o) {
		return Decision{}
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
		return dead("%w", o.wrong)
	case !e.EventType.Valid():
		return dead("%s %.40q: want %s", m.typeKey(), string(e.EventType), m.types())
	case key == "":
		return dead("integrationKey is missing: the message has none, and none is configured")
	}
	var source ilert.IntegrationKey // the configured one, whichever that is when it is sent
	if key != m.OtherKey {
		source = ilert.LiteralKey(key)
	}
	return Decision{Effects: []Effect{Send{IntegrationKey: source, Path: m.Path, Event: e}}, Omitted: omitted}
}

// mayWant reports whether a payload may hold the filter's key, be it whole or broken: most on
// a broker cannot.
func (m Mapping) mayWant(payload []byte) bool {
	last := m.FilterKey[strings.LastIndexByte(m.FilterKey, '.')+1:]
	return m.FilterKey == "" || bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) && (bytes.Contains(payload, []byte(last)) || bytes.IndexByte(payload, '\\') >= 0)
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

// typeOf returns what a value of TypeKey means. A text that is not mapped stands for itself,
// and no other value does.
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

func (m Mapping) details(message Message) json.RawMessage {
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
	if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
		err = errors.New("it is " + ilert.KindOf(bytes.TrimSpace(payload)))
	}
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
	text, err := ilert.Text(raw)
	if err != nil && o.wrong == nil {
		o.wrong = fmt.Errorf("%s: %w", name, err)
	}
	return text
}

// at returns the text at a path, empty if there is none.
func (o *object) at(path string) string {
	return textOf(o.find(path))
}

// find returns what stands at a path, nil if nothing does: under a key of that very
// name, or in nested objects.
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

// textOf is the text of a JSON string, empty for all else.
func textOf(raw json.RawMessage) string {
	var s string
	if raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// scalarOf is the text of a JSON string, of a number, of true and of false, empty for all else.
func scalarOf(raw json.RawMessage) string {
	if len(raw) == 0 || strings.IndexByte(`"[{n`, raw[0]) >= 0 {
		return textOf(raw)
	}
	return string(raw)
}
