package rulefile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
)

// Test is a test of rules: if these messages come, ilert should be sent these events.
type Test struct {
	Name     string
	File     string
	Line     int
	Messages []TestMessage
	Until    time.Duration // the end of the test
	Want     []Notice
}

// TestMessage is a message of a test.
type TestMessage struct {
	At      time.Duration // since the test began
	Message decision.Message
}

// Notice is an event that ilert should be sent, or was sent. In a wanted one empty fields match
// anything.
type Notice struct {
	Line     int
	At       time.Duration // since the test began; -1: any time
	Type     ilert.Type
	Key      string
	Priority string
	Summary  string // a part of the summary
	Details  string // a part of the details
}

// These limits keep the tests of a file short.
const (
	maxMessages  = 100_000
	maxTestBytes = 64 << 20
)

// test reads a test.
func (l *loader) test(n ast.Node) Test {
	before := len(l.mistakes)
	t := Test{File: l.reader.file, Line: l.place(n).Line}
	if _, isObject := l.pairs(n); !isObject {
		l.fail(n, "a test: want a mapping that begins with - name:")
		return t
	}
	l.object(n, "a test", fields{
		"name":     l.text(&t.Name, "name"),
		"messages": func(n ast.Node) { l.list(n, func(n ast.Node) { l.testMessage(&t, n) }) },
		"until":    l.moment(&t.Until, "until"),
		"want":     func(n ast.Node) { l.list(n, func(n ast.Node) { t.Want = append(t.Want, l.notice(n)) }) },
	})
	if t.Name == "" {
		l.fail(n, "a test: want name")
	}
	if len(t.Messages) == 0 && len(l.mistakes) == before {
		l.fail(n, "test %q: want messages", t.Name)
	}
	slices.SortStableFunc(t.Messages, func(a, b TestMessage) int { return cmp.Compare(a.At, b.At) })
	for _, m := range t.Messages {
		t.Until = max(t.Until, m.At)
	}
	for _, w := range t.Want {
		t.Until = max(t.Until, w.At)
	}
	return t
}

// moment reads a time since the beginning of the test, which may be zero.
func (l *loader) moment(to *time.Duration, what string) func(ast.Node) {
	return func(n ast.Node) {
		if s, ok := l.scalar(n, what); ok && (s == "0" || s == "0s") {
			*to = 0
			return
		}
		l.duration(to, what)(n)
	}
}

// testMessage is a message as the file has it. It stands for several messages that differ in {n},
// their number.
type testMessage struct {
	at, every  time.Duration
	times      int
	topic      string
	payload    *string
	event      *event.Event
	msg        any
	properties map[string]any
	retain     bool
}

// testMessage reads an entry of messages.
func (l *loader) testMessage(t *Test, n ast.Node) {
	m := testMessage{times: 1, topic: mqtttopic.DefaultTopic}
	before, forms := len(l.mistakes), 0
	form := func(read func(ast.Node)) func(ast.Node) {
		return func(n ast.Node) { forms++; read(n) }
	}
	l.object(n, "a message", fields{
		"at":      l.moment(&m.at, "at"),
		"times":   l.count(&m.times, "times"),
		"every":   l.duration(&m.every, "every"),
		"topic":   l.text(&m.topic, "topic"),
		"retain":  l.boolean(&m.retain, "retain"),
		"payload": form(func(n ast.Node) { m.payload = new(string); l.text(m.payload, "payload")(n) }),
		"event":   form(func(n ast.Node) { m.event = l.testEvent(n) }),
		"msg":     form(func(n ast.Node) { m.msg = l.any(n) }),
		"properties": func(n ast.Node) {
			var isObject bool
			if m.properties, isObject = l.any(n).(map[string]any); !isObject {
				l.fail(n, "properties: want a mapping of names to texts")
			}
		},
	})
	switch {
	case len(l.mistakes) > before:
	case forms != 1:
		l.fail(n, "a message: want one of event, msg and payload")
	case time.Duration(m.times)*(m.every/time.Second) > maxDuration/time.Second:
		l.fail(n, "every: %d messages every %s take longer than a year", m.times, m.every)
	default:
		l.send(t, n, &m)
	}
}

// send adds the messages to the test, unless the file has too many.
func (l *loader) send(t *Test, n ast.Node, m *testMessage) {
	for i := range m.times {
		message := m.number(i)
		l.sent++
		l.sentBytes += len(message.Payload) + len(message.Topic)
		if l.sent > maxMessages || l.sentBytes > maxTestBytes {
			l.fail(n, "the tests of a file may send %d messages and %d MB", maxMessages, maxTestBytes>>20)
			return
		}
		t.Messages = append(t.Messages, TestMessage{m.at + time.Duration(i)*m.every, message})
	}
}

// number returns the n-th of the messages.
func (m *testMessage) number(n int) decision.Message {
	numbered := strings.NewReplacer("{n}", strconv.Itoa(n))
	message := decision.Message{Topic: numbered.Replace(m.topic), Retain: m.retain}
	switch {
	case m.payload != nil:
		message.Payload = []byte(numbered.Replace(*m.payload))
	case m.event != nil:
		e := event.Event{
			Type: m.event.Type, Message: numbered.Replace(m.event.Message),
			GUID: numbered.Replace(m.event.GUID), Timestamp: m.event.Timestamp,
		}
		for _, method := range m.event.Methods {
			e.Methods = append(e.Methods, numbered.Replace(method))
		}
		message.Payload = e.AppendJSON(nil)
	default:
		text, _ := rules.Encode(m.msg) // a value from YAML has a JSON form
		message.Payload = []byte(numbered.Replace(string(text)))
	}
	for _, key := range slices.Sorted(maps.Keys(m.properties)) {
		value, _ := rules.TextOf(m.properties[key])
		message.Properties = append(message.Properties, decision.Property{Key: key, Value: numbered.Replace(value)})
	}
	return message
}

// testEvent reads an event of a test. An event without timestamp happens when it comes.
func (l *loader) testEvent(n ast.Node) *event.Event {
	e := event.Event{Timestamp: farAhead}
	l.object(n, "event", fields{
		"type":    l.text((*string)(&e.Type), "type"),
		"message": l.text(&e.Message, "message"),
		"method":  l.texts(&e.Methods, "method"),
		"methods": l.texts(&e.Methods, "methods"),
		"guid":    l.text(&e.GUID, "guid"),
		"timestamp": func(n ast.Node) {
			ms, isNumber := l.any(n).(int)
			if e.Timestamp = int64(ms); !isNumber {
				l.fail(n, "timestamp: want Unix milliseconds")
			}
		},
	})
	if types := []string{"request", "success", "fail"}; !slices.Contains(types, string(e.Type)) {
		l.fail(n, "event: type %.40q: want one of %s%s", e.Type, strings.Join(types, ", "), rules.Suggestion(string(e.Type), types))
	}
	return &e
}

// farAhead is a timestamp later than every arrival, so that the time of arrival counts.
const farAhead = 4_102_444_800_000 // the year 2100, Unix milliseconds

// notice reads an entry of want.
func (l *loader) notice(n ast.Node) Notice {
	w := Notice{Line: l.place(n).Line, At: -1}
	if _, isObject := l.pairs(n); !isObject {
		l.fail(n, "want: want a mapping, such as {type: ALERT, at: 5m, key: door-7}")
		return w
	}
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
		l.fail(n, "want: type %.40q: want ALERT, ACCEPT or RESOLVE", kind)
	}
	return w
}
