// Package event defines one event of an Open AMT server: its fields, and the exact bytes
// that it has on MQTT.
//
// The JSON is that of Intel's Management Presence Server (MPS), byte for byte:
// five keys in MPS's order, no guid when there is none, no HTML escaping. Fields that
// MPS does not have (the outcome, the HTTP status, the trace, the actor) are not in the
// JSON: they travel as MQTT 5 user properties, which clients that do not read them never see.
// The package imports only the standard library.
//
// The constructors make the events in the life of a device: connected, activated, removed and
// so on. Package middleware makes some of them when an HTTP call succeeds. A server publishes
// the others by itself, because no HTTP call shows a CIRA connection or a WebSocket:
// pub.Publish(event.Connected(guid)).
package event

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Event is one thing that happened at an Open AMT server. It is a plain value that is cheap to
// copy; no function of this package keeps or changes one.
type Event struct {
	// Type is the kind of the event: a call has begun, worked or failed. It is required.
	Type Type
	// Message is the sentence that a person reads, such as "Power State requested".
	Message string
	// Methods holds the names of what was called, such as "AMT_PowerState". MPS always sends
	// one name, RPS sends two for an activation; the JSON of none is [].
	Methods []string
	// GUID is the device's UUID as the caller wrote it. Like MPS, this module does not
	// validate it; an empty one leaves the key out of the JSON.
	GUID string
	// Timestamp is the time of the event in Unix milliseconds; 0 means now.
	Timestamp int64

	// Outcome is the way in which the call ended, and whose failure it was. It travels as the
	// user property "outcome"; empty sends none.
	Outcome Outcome
	// HTTPStatus is the status of a failed call. It travels as the user property
	// "httpstatus"; 0 sends none.
	HTTPStatus int
	// TraceParent is the W3C trace context of the call. It travels as the user
	// property "traceparent"; empty sends none.
	TraceParent string
	// Actor is the name of the person or client who made the call, as the server knows them:
	// printable text. It travels as the user property "actor", which everyone who may read the
	// topic sees; empty sends none.
	Actor string
}

// Type is the kind of an event, the JSON key "type".
type Type string

// The three types that MPS publishes.
const (
	Request Type = "request" // a call has begun
	Success Type = "success" // a call has worked, or a fact about a device
	Fail    Type = "fail"    // a call has failed
)

// Outcome is the way in which a call ended: it worked, or whose failure it was.
type Outcome string

// The outcomes, as the user property "outcome" spells them.
const (
	OutcomeOK          Outcome = "ok"          // the call worked
	OutcomeClient      Outcome = "client"      // the caller made a mistake or closed the connection
	OutcomeUnreachable Outcome = "unreachable" // the server could not reach the device
	OutcomeDevice      Outcome = "device"      // the device's AMT refused the call
	OutcomeServer      Outcome = "server"      // the server itself failed
)

// Validate returns nil if e can be published, else an error that names the first field at
// fault. Message, Methods and GUID may hold any text.
func (e Event) Validate() error {
	if !e.Type.known() {
		return fmt.Errorf("event: type %s: want request, success or fail", quote(string(e.Type)))
	}
	switch e.Outcome {
	case "", OutcomeOK, OutcomeClient, OutcomeUnreachable, OutcomeDevice, OutcomeServer:
	default:
		return fmt.Errorf("event: outcome %s: want ok, client, unreachable, device or server", quote(string(e.Outcome)))
	}
	if e.HTTPStatus != 0 && (e.HTTPStatus < 100 || e.HTTPStatus > 599) {
		return fmt.Errorf("event: httpstatus %d: want 100 to 599, or 0 for none", e.HTTPStatus)
	}
	if e.TraceParent != "" && !IsTraceParent(e.TraceParent) {
		return fmt.Errorf("event: traceparent %s: want the form of W3C Trace Context, such as 00-<32 hex>-<16 hex>-01", quote(e.TraceParent))
	}
	if !isPrintable(e.Actor) {
		return fmt.Errorf("event: actor %s: want printable text in UTF-8: brokers end the connection when they get a control character", quote(e.Actor))
	}
	if e.Timestamp < 0 {
		return fmt.Errorf("event: timestamp %d: want Unix milliseconds, or 0 for now", e.Timestamp)
	}
	return nil
}

func (t Type) known() bool { return t == Request || t == Success || t == Fail }

// IsTraceParent reports whether s is a traceparent header of version 00 as
// https://www.w3.org/TR/trace-context/#traceparent-header defines it. Check a header with it
// before you copy it into an event: the caller may have sent anything.
func IsTraceParent(s string) bool {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(s) != len(form) || s[:3] != form[:3] || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, parent, flags := s[3:35], s[36:52], s[53:]
	return hexOnly(trace) && hexOnly(parent) && hexOnly(flags) && trace != form[3:35] && parent != form[36:52]
}

// hexOnly reports whether s has only lower-case hexadecimal digits. It looks at eight characters
// at once, because it runs in every HTTP call: each sum sets the highest bit of a byte if the
// character in that byte is at least the character that the sum tests for.
func hexOnly(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		digits := (w + (0x80-'0')*ones) &^ (w + (0x80-'9'-1)*ones)
		letters := (w + (0x80-'a')*ones) &^ (w + (0x80-'f'-1)*ones)
		if w&highs != 0 || (digits|letters)&highs != highs {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isPrintable reports whether s is UTF-8 without control characters.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0
}

// quote returns s in quotes, shortened so that an error remains one readable line.
func quote(s string) string {
	const maxLength = 40
	if len(s) > maxLength {
		return strconv.Quote(s[:maxLength]) + "..."
	}
	return strconv.Quote(s)
}
