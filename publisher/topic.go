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
	texts        []string // there is one more than placeholders
	placeholders []func(event.Event) string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// placeholders are the functions that return the variable parts of a topic. Their results are
// safe in a topic: one level, without wildcards, and not a text that a caller can choose
// freely.
var placeholders = map[string]func(event.Event) string{
	"{guid}":   func(e event.Event) string { return topicGUID(e.GUID) },
	"{method}": func(e event.Event) string { return topicMethod(e.Methods) },
	"{type}":   func(e event.Event) string { return string(e.Type) },
}

// parseTopic reads the template of Config.Topic.
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

// append appends the topic of e to dst.
func (t *topicTemplate) append(dst []byte, e *event.Event) []byte {
	dst = append(dst, t.texts[0]...)
	for i, fill := range t.placeholders {
		dst = append(dst, fill(*e)...)
		dst = append(dst, t.texts[i+1]...)
	}
	return dst
}

// none is the text in a topic for a value that an event does not have or must not show.
const none = "none"

// topicGUID returns guid if it is a UUID, else none: callers could fill the broker with topics
// by other texts.
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

// topicMethod returns the first name in methods if it has only the characters that names of
// MPS, RPS and Console have, else none.
func topicMethod(methods []string) string {
	const maxLength = 64
	if len(methods) == 0 || methods[0] == "" || len(methods[0]) > maxLength {
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
