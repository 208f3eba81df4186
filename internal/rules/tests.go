package rules

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// Test is a test that a file of rules holds: what ilert is told, and when, if these
// messages come.
type Test struct {
	Name     string
	File     string
	Line     int
	Messages []TestMessage
	Until    time.Duration // when the test ends
	Want     []Told
}

// TestMessage is a message of a test.
type TestMessage struct {
	At      time.Duration // since the test began
	Message Message
}

// Told is what ilert should be told. Empty fields may be anything.
type Told struct {
	Line     int
	At       time.Duration // since the test began; -1 is any time
	Type     ilert.Type
	Key      string
	Priority string
	Summary  string // a part of it
	Details  string // a part of it
}

// mostMessages bounds what one test sends.
const mostMessages = 100_000

func (l *loader) test(n ast.Node) Test {
	t := Test{File: l.reader.file, Line: lineOf(n)}
	l.object(n, "a test", fields{
		"name":     l.text(&t.Name, "name"),
		"messages": func(n ast.Node) { l.list(n, func(n ast.Node) { l.testMessage(&t, n) }) },
		"until":    l.moment(&t.Until, "until"),
		"want":     func(n ast.Node) { l.list(n, func(n ast.Node) { t.Want = append(t.Want, l.told(n)) }) },
	})
	if t.Name == "" {
		l.fail(n, "a test: want name")
	}
	if len(t.Messages) == 0 {
		l.fail(n, "test %q: want messages", t.Name)
	}
	slices.SortStableFunc(t.Messages, func(a, b TestMessage) int { return int(a.At - b.At) })
	for _, m := range t.Messages {
		t.Until = max(t.Until, m.At)
	}
	for _, w := range t.Want {
		t.Until = max(t.Until, w.At)
	}
	return t
}

// moment reads a duration since the beginning, which may be zero.
func (l *loader) moment(to *time.Duration, what string) func(ast.Node) {
	return func(n ast.Node) {
		if s, ok := l.scalar(n, what); ok && (s == "0" || s == "0s") {
			*to = 0
			return
		}
		l.duration(to, what)(n)
	}
}

// testMessage reads a message, or several that are alike but for {n}, their number.
func (l *loader) testMessage(t *Test, n ast.Node) {
	var at, every time.Duration
	times, topic := 1, mqttconn.DefaultTopic
	var payload *string
	var properties map[string]any
	var eventOf map[string]any
	var msg any
	forms := 0
	l.object(n, "a message", fields{
		"at":    l.moment(&at, "at"),
		"times": l.count(&times, "times"),
		"every": l.duration(&every, "every"),
		"topic": l.text(&topic, "topic"),
		"payload": func(n ast.Node) {
			forms++
			payload = new(string)
			l.text(payload, "payload")(n)
		},
		"event": func(n ast.Node) {
			forms++
			eventOf = map[string]any{}
			l.object(n, "event", fields{
				"type": l.intoMap(eventOf, "type"), "message": l.intoMap(eventOf, "message"), "method": l.intoMap(eventOf, "method"),
				"guid": l.intoMap(eventOf, "guid"), "timestamp": l.intoMap(eventOf, "timestamp"),
			})
		},
		"msg":        func(n ast.Node) { forms++; msg = l.any(n) },
		"properties": func(n ast.Node) { properties, _ = l.any(n).(map[string]any) },
	})
	if forms != 1 {
		l.fail(n, "a message: want one of event, msg and payload")
		return
	}
	if times > mostMessages || len(t.Messages)+times > mostMessages {
		l.fail(n, "test %q: more than %d messages", t.Name, mostMessages)
		return
	}
	for i := range times {
		numbered := strings.NewReplacer("{n}", strconv.Itoa(i))
		m := Message{Topic: numbered.Replace(topic)}
		switch {
		case payload != nil:
			m.Payload = []byte(numbered.Replace(*payload))
		case eventOf != nil:
			m.Payload = testEvent(eventOf, numbered).AppendJSON(nil)
		default:
			text, _ := json.Marshal(msg) // it came from YAML
			m.Payload = []byte(numbered.Replace(string(text)))
		}
		for _, key := range keysOf(properties) {
			value, _ := textOfValue(properties[key])
			m.Properties = append(m.Properties, Property{key, numbered.Replace(value)})
		}
		t.Messages = append(t.Messages, TestMessage{at + time.Duration(i)*every, m})
	}
}

func (l *loader) intoMap(to map[string]any, name string) func(ast.Node) {
	return func(n ast.Node) { to[name] = l.any(n) }
}

// testEvent is an event of a test. Without timestamp it happens when it comes.
func testEvent(of map[string]any, numbered *strings.Replacer) event.Event {
	text := func(name string) string {
		s, _ := textOfValue(of[name])
		return numbered.Replace(s)
	}
	e := event.Event{Type: event.Type(text("type")), Message: text("message"), GUID: text("guid"), Timestamp: farAhead}
	if method := text("method"); method != "" {
		e.Methods = []string{method}
	}
	if ms, ok := of["timestamp"].(int); ok {
		e.Timestamp = int64(ms)
	}
	return e
}

// farAhead is later than every arrival, so that the arrival counts.
const farAhead = 4_102_444_800_000 // the year 2100, Unix milliseconds

func (l *loader) told(n ast.Node) Told {
	w := Told{Line: lineOf(n), At: -1}
	var kind string
	l.object(n, "want", fields{
		"at":       l.moment(&w.At, "at"),
		"type":     l.text(&kind, "type"),
		"key":      l.text(&w.Key, "key"),
		"priority": l.text(&w.Priority, "priority"),
		"summary":  l.text(&w.Summary, "summary"),
		"details":  l.text(&w.Details, "details"),
	})
	w.Type = ilert.Type(kind)
	switch w.Type {
	case ilert.Alert, ilert.Accept, ilert.Resolve:
	default:
		l.fail(n, "want: type %q: want ALERT, ACCEPT or RESOLVE", kind)
	}
	return w
}
