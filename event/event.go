// Package event is one event of an Open AMT server: what it says and the exact
// bytes by which it is said on MQTT.
//
// The JSON is that of Intel's Management Presence Server (MPS), byte for byte:
// five keys in MPS's order, no guid when there is none, no HTML escaping. What
// MPS never said (the outcome, the HTTP status, the trace, the actor) is kept out of the
// JSON and travels as MQTT 5 user properties, invisible to clients that do not
// ask for it. The package imports only the standard library.
//
// The constructors are the life of a device: connected, activated, removed and so on.
// The calls of which one is the success make it by themselves, through package
// middleware; what no HTTP call shows, such as a CIRA connection or a WebSocket, the
// server publishes: pub.Publish(event.Connected(guid)).
package event

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Event is one thing that happened at an Open AMT server. It is a plain value:
// copying it is cheap, and nothing in this package keeps or changes one.
type Event struct {
	// Type says whether a call was asked for, worked or failed. Required.
	Type Type
	// Message is the sentence that a person reads, such as "Power State requested".
	Message string
	// Methods names what was called, such as "AMT_PowerState". MPS always sends
	// one name, RPS sends two on an activation; none is written as [].
	Methods []string
	// GUID is the device's UUID as the caller wrote it. It is not validated, as
	// MPS does not validate it either; empty leaves the key out of the JSON.
	GUID string
	// Timestamp is the time of the event in Unix milliseconds; 0 means now.
	Timestamp int64

	// Outcome says whose the failure was. It travels as the user property
	// "outcome"; empty sends none.
	Outcome Outcome
	// HTTPStatus is the status of a failed call. It travels as the user property
	// "httpstatus"; 0 sends none.
	HTTPStatus int
	// TraceParent is the W3C trace context of the call. It travels as the user
	// property "traceparent"; empty sends none.
	TraceParent string
	// Actor is the person or client who made the call, by whatever name the server
	// knows them: printable text. It travels as the user property "actor", where all
	// who may read the topic see it; empty sends none.
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

// Outcome says how a call ended and, if it failed, whose the failure was.
type Outcome string

// The outcomes, as the user property "outcome" spells them.
const (
	OutcomeOK          Outcome = "ok"          // the call worked
	OutcomeClient      Outcome = "client"      // the caller made a mistake, or went away
	OutcomeUnreachable Outcome = "unreachable" // the device is not there
	OutcomeDevice      Outcome = "device"      // the device's AMT said no
	OutcomeServer      Outcome = "server"      // the server itself failed
)

// Validate returns an error that names the first field with a value that cannot
// be published, or nil. Message, Methods and GUID may hold any text.
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
		return fmt.Errorf("event: actor %s: want printable text in UTF-8, for brokers cut the connection for control characters", quote(e.Actor))
	}
	if e.Timestamp < 0 {
		return fmt.Errorf("event: timestamp %d: want Unix milliseconds, or 0 for now", e.Timestamp)
	}
	return nil
}

func (t Type) known() bool { return t == Request || t == Success || t == Fail }

// IsTraceParent reports whether s is a traceparent header of version 00 as
// https://www.w3.org/TR/trace-context/#traceparent-header defines it. A header
// comes from the caller, so whoever copies one into an event asks first.
func IsTraceParent(s string) bool {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(s) != len(form) || s[:3] != form[:3] || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, parent, flags := s[3:35], s[36:52], s[53:]
	return hexOnly(trace) && hexOnly(parent) && hexOnly(flags) && trace != form[3:35] && parent != form[36:52]
}

// hexOnly takes eight characters at once, as every call of a server asks for some fifty. The
// highest bit of each byte of a sum is set if that character is not below the one that the sum
// looks for.
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

func isPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0
}

// quote shortens a foreign value so that an error stays one readable line.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
