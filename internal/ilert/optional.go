package ilert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// OptionalFields holds ilert's names of the fields that SetOptional sets.
var OptionalFields = []string{
	"alertKey", "comments", "customDetails", "details", "images", "labels", "links", "priority", "routingKey", "services", "severity",
}

// Omission is an optional field that was left out of an event, because ilert would refuse the
// event with it.
type Omission struct {
	Field  string // ilert's name of the field
	Reason string // reason why ilert would refuse the value
}

// String returns the field and the reason.
func (o Omission) String() string { return o.Field + ": " + o.Reason }

// SetOptional sets the optional fields of e, including alertKey, from the members of a JSON
// object with ilert's names. It converts values to the types of ilert's schema; it leaves out
// those that it cannot convert, and returns them. It ignores null and empty texts.
func (e *Event) SetOptional(members map[string]json.RawMessage) (omitted []Omission) {
	for _, field := range slices.Sorted(maps.Keys(members)) {
		raw := bytes.TrimSpace(members[field])
		if len(raw) == 0 || isNull(raw) {
			continue
		}
		for _, reason := range e.setOptional(field, raw) {
			omitted = append(omitted, Omission{field, reason})
		}
	}
	return omitted
}

// setOptional sets one field, and returns the reasons why values were left out.
func (e *Event) setOptional(field string, raw json.RawMessage) (wrong []string) {
	text := func(to *string) {
		s, ok := scalarText(raw)
		if *to = s; !ok {
			wrong = append(wrong, "want a text, have "+KindOf(raw))
		}
	}
	switch field {
	case "alertKey":
		text(&e.AlertKey)
	case "details":
		e.Details = anyText(raw)
	case "priority":
		s, ok := scalarText(raw)
		if s = strings.ToUpper(strings.TrimSpace(s)); !ok || s != "" && s != High && s != Low {
			return []string{fmt.Sprintf("%.40s: want HIGH or LOW", raw)}
		}
		e.Priority = s
	case "severity":
		s, _ := scalarText(raw)
		s = strings.TrimSpace(s)
		n, err := strconv.ParseFloat(s, 64)
		switch {
		case s == "" && raw[0] == '"':
		case err == nil && n >= 1 && n <= 5 && n == float64(int(n)):
			e.Severity = json.RawMessage(strconv.Itoa(int(n)))
		default:
			wrong = append(wrong, fmt.Sprintf("%.40s: want a number from 1 to 5", raw))
		}
	case "routingKey":
		var key string
		if text(&key); key != "" {
			e.RoutingKey = encode(key)
		}
	case "labels":
		e.Labels, wrong = labels(raw)
	case "links":
		e.Links, wrong = objects(raw, "href", "text")
	case "images":
		e.Images, wrong = objects(raw, "src", "href", "alt")
	case "comments":
		e.Comments, wrong = objects(raw, "content", "creator")
	case "services":
		e.Services, wrong = objects(raw, "")
	case "customDetails":
		e.CustomDetails = raw
	}
	return wrong
}

// These are ilert's two priorities of an alert.
const (
	High = "HIGH"
	Low  = "LOW"
)

// labels returns an object with its values as texts.
func labels(raw json.RawMessage) (json.RawMessage, []string) {
	if raw[0] != '{' {
		return nil, []string{"want an object of texts, have " + KindOf(raw)}
	}
	all := map[string]string{}
	for name, value := range membersOf(raw) {
		if !isNull(value) {
			all[name] = anyText(value)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return encode(all), nil
}

// objects returns the objects of a list that have the required field, and reasons why others were
// left out. It converts the required field and others to texts, and leaves out members that are
// null or cannot be converted.
func objects(raw json.RawMessage, required string, others ...string) (json.RawMessage, []string) {
	if raw[0] != '[' {
		return nil, []string{"want a list of objects, have " + KindOf(raw)}
	}
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list) // cannot fail: raw is a list
	var all []map[string]json.RawMessage
	var wrong []string
	for _, one := range list {
		if one[0] != '{' {
			wrong = append(wrong, "want a list of objects, have "+KindOf(one)+" in it")
			continue
		}
		object := membersOf(one)
		for name, value := range object {
			text, ok := scalarText(value)
			switch {
			case isNull(value):
				delete(object, name)
			case name != required && !slices.Contains(others, name):
			case !ok, name == required && strings.TrimSpace(text) == "":
				delete(object, name)
			default:
				object[name] = encode(text)
			}
		}
		if len(object) == 0 && required == "" {
			wrong = append(wrong, "one is empty")
			continue
		}
		if required != "" && object[required] == nil {
			wrong = append(wrong, "one has no "+required)
			continue
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		return nil, wrong
	}
	return encode(all), wrong
}

// membersOf returns the members of an object.
func membersOf(object json.RawMessage) (members map[string]json.RawMessage) {
	_ = json.Unmarshal(object, &members) // cannot fail: it is an object
	return members
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// scalarText returns the text of a value that is a text, a number, true or false.
func scalarText(raw json.RawMessage) (text string, ok bool) {
	switch raw[0] {
	case '{', '[':
		return "", false
	case '"':
		return text, json.Unmarshal(raw, &text) == nil
	default:
		return string(raw), true
	}
}

// Text returns the text of a JSON string; null is an empty text. The error names the kind of
// another value, and does not show the value, which may be a secret.
func Text(raw json.RawMessage) (string, error) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", errors.New("want a text, have " + KindOf(raw))
	}
	if text == nil {
		return "", nil
	}
	return *text, nil
}

// anyText returns a value as a text, which is JSON if the value is an object or a list.
func anyText(raw json.RawMessage) string {
	if text, ok := scalarText(raw); ok {
		return text
	}
	var short bytes.Buffer
	_ = json.Compact(&short, raw) // cannot fail: raw is JSON
	return short.String()
}

// KindOf returns the kind of a value, for errors that must not show the value.
func KindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "true or false"
	default:
		return "a number"
	}
}

// encode returns the JSON of a value that consists of texts and of JSON.
func encode(value any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // texts and JSON have a JSON form
	}
	return bytes.TrimSpace(out.Bytes())
}
