package publisher

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// topicTemplate is a topic with placeholders: text, placeholder, text, and so on.
type topicTemplate struct {
	texts        []string // one more than placeholders
	placeholders []func(event.Event) string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// placeholders are the variable parts of a topic. Whatever they return is safe in a
// topic: a level of its own, with no wildcard and nothing that a caller could
// choose at will.
var placeholders = map[string]func(event.Event) string{
	"{guid}":   func(e event.Event) string { return topicGUID(e.GUID) },
	"{method}": func(e event.Event) string { return topicMethod(e.Methods) },
	"{type}":   func(e event.Event) string { return string(e.Type) },
}

func parseTopic(topic string) (topicTemplate, error) {
	var t topicTemplate
	rest := topic
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			break
		}
		fill, known := placeholders[rest[at[0]:at[1]]]
		if !known {
			return t, fmt.Errorf("unknown placeholder %s: want {guid}, {method} or {type}", rest[at[0]:at[1]])
		}
		t.texts = append(t.texts, rest[:at[0]])
		t.placeholders = append(t.placeholders, fill)
		rest = rest[at[1]:]
	}
	t.texts = append(t.texts, rest)
	return t, mqtttopic.CheckTopic(strings.Join(t.texts, "x"))
}

// append appends the topic of e.
func (t *topicTemplate) append(dst []byte, e *event.Event) []byte {
	dst = append(dst, t.texts[0]...)
	for i, fill := range t.placeholders {
		dst = append(dst, fill(*e)...)
		dst = append(dst, t.texts[i+1]...)
	}
	return dst
}

// none stands in a topic for what an event does not have, or should not show.
const none = "none"

// topicGUID is a guid that is a UUID. Anything else was written by a caller, who
// could fill the broker with topics.
func topicGUID(guid string) string {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(guid) != len(form) {
		return none
	}
	for i := range len(guid) {
		c := guid[i]
		isHex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if isHex == (form[i] == '-') || !isHex && c != '-' {
			return none
		}
	}
	return guid
}

// topicMethod is the first method's name if it is a plain one, as all names of
// MPS, RPS and Console are.
func topicMethod(methods []string) string {
	const longest = 64
	if len(methods) == 0 || methods[0] == "" || len(methods[0]) > longest {
		return none
	}
	for i := range len(methods[0]) {
		c := methods[0][i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' && c != '.' {
			return none
		}
	}
	return methods[0]
}
