package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is the JSON object of an event. Its pointers are nil for keys that are missing.
type object struct {
	Type      *Type     `json:"type"`
	Message   *string   `json:"message"`
	Methods   *[]string `json:"methods"`
	GUID      string    `json:"guid"`
	Timestamp *int64    `json:"timestamp"`
}

// Parse reads the JSON of one event as MPS, RPS or this module wrote it. Keys may
// come in any order, and Parse ignores keys that it does not know, so that a
// later server may add some. The error names the field and the value at fault.
// The result shares no memory with payload. User properties are not in the JSON:
// Outcome, HTTPStatus, TraceParent and Actor remain empty.
func Parse(payload []byte) (Event, error) {
	if !utf8.Valid(payload) {
		return Event{}, errors.New("event: the payload is not valid UTF-8")
	}
	if e, ok := parseExact(string(payload)); ok {
		return e, nil
	}
	var wire object
	if err := json.Unmarshal(payload, &wire); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return Event{}, fmt.Errorf("event: %s: got a JSON %.40s, want %s", wrong.Field, wrong.Value, wrong.Type)
		}
		return Event{}, fmt.Errorf("event: the payload %s is not the JSON of an event: %w", quote(string(payload)), err)
	}
	switch {
	case wire.Type == nil:
		return Event{}, errors.New("event: type is missing")
	case !wire.Type.known():
		return Event{}, fmt.Errorf("event: type %s: want request, success or fail", quote(string(*wire.Type)))
	case wire.Message == nil:
		return Event{}, errors.New("event: message is missing")
	case wire.Methods == nil:
		return Event{}, errors.New("event: methods is missing")
	case wire.Timestamp == nil:
		return Event{}, errors.New("event: timestamp is missing")
	}
	return Event{
		Type:      *wire.Type,
		Message:   *wire.Message,
		Methods:   *wire.Methods,
		GUID:      wire.GUID,
		Timestamp: *wire.Timestamp,
	}, nil
}

// parseExact reads an event that is written exactly as servers write it and has no escape in
// its texts. Nearly all events are, and it takes a tenth of the time of encoding/json. For
// every other payload, valid or not, ok is false.
func parseExact(payload string) (e Event, ok bool) {
	r := reader{rest: payload, ok: true}
	e.Type = Type(r.text(`{"type":`))
	e.Message = r.text(`,"message":`)
	e.Methods = []string{r.text(`,"methods":[`)}
	for strings.HasPrefix(r.rest, ",") {
		e.Methods = append(e.Methods, r.text(","))
	}
	if r.literal("]"); strings.HasPrefix(r.rest, `,"guid":`) {
		e.GUID = r.text(`,"guid":`)
	}
	r.literal(`,"timestamp":`)
	digits, end := strings.CutSuffix(r.rest, "}")
	if !r.ok || !end || !e.Type.known() || digits == "" || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' && digits != "0" {
		return Event{}, false
	}
	var err error
	e.Timestamp, err = strconv.ParseInt(digits, 10, 64)
	return e, err == nil
}

// reader reads expected texts from the front of rest. Once something else comes, ok remains
// false.
type reader struct {
	rest string
	ok   bool
}

// literal reads the text want.
func (r *reader) literal(want string) {
	rest, ok := strings.CutPrefix(r.rest, want)
	r.rest, r.ok = rest, r.ok && ok
}

// text reads the literal before and the JSON string that follows it, and returns the string.
func (r *reader) text(before string) string {
	r.literal(before)
	r.literal(`"`)
	i := 0
	for i < len(r.rest) && (plain[r.rest[i]] || r.rest[i] >= utf8.RuneSelf) {
		i++
	}
	text := r.rest[:i]
	r.rest = r.rest[i:]
	r.literal(`"`)
	return text
}
