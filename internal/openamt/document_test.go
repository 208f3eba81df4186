package openamt_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// update is the flag -update, with which the test writes docs/events.md; go generate sets it.
var update = flag.Bool("update", false, "write docs/events.md")

func TestTheDocumentIsThatOfTheTable(t *testing.T) {
	const name = "../../docs/events.md"
	want := document(t)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(want), 0o600))
	}
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "run go generate ./internal/openamt")
}

const exampleGUID = "4c4c4544-004b-4210-8033-b6c04f504633"

// life holds the events in the life of a device in their usual order.
var life = []struct {
	what  string
	event event.Event
	code  string // the call of the constructor
	route string // the call whose success makes the event; empty: the server publishes it by itself
}{
	{"added (its record)", event.Added(exampleGUID), "event.Added(guid)", "POST /api/v1/devices"},
	{"activated", event.Activated(exampleGUID, "admin control mode"), "event.Activated(guid, mode)", ""},
	{"not activated, because that failed", event.ActivationFailed(exampleGUID, "wrong password"), "event.ActivationFailed(guid, reason)", ""},
	{"connected (CIRA)", event.Connected(exampleGUID), "event.Connected(guid)", ""},
	{"disconnected (CIRA)", event.Disconnected(exampleGUID, "keep-alive timed out"), "event.Disconnected(guid, reason)", ""},
	{"switched on, off or into another power state", event.PowerChanged(exampleGUID), "event.PowerChanged(guid)", "POST /api/v1/amt/power/action/:guid"},
	{"taken over: KVM, SOL or IDER", event.RedirectionStarted(exampleGUID), "event.RedirectionStarted(guid)", ""},
	{"given back", event.RedirectionEnded(exampleGUID), "event.RedirectionEnded(guid)", ""},
	{"**deactivated**", event.Deactivated(exampleGUID), "event.Deactivated(guid)", "DELETE /api/v1/amt/deactivate/:guid"},
	{"removed (its record)", event.Removed(exampleGUID), "event.Removed(guid)", "DELETE /api/v1/devices/:guid"},
}

func TestTheLifeOfADeviceIsTheSuccessOfItsRoutes(t *testing.T) {
	for _, l := range life {
		if l.route == "" {
			continue
		}
		httpMethod, path, _ := strings.Cut(l.route, " ")
		success := rowOf(t, httpMethod, path).Words().Success
		assert.Equal(t, openamt.Words{Method: strings.Join(l.event.Methods, " "), Message: l.event.Message, GUID: true}, success, l.code)
		assert.Equal(t, event.Success, l.event.Type, l.code)
	}
}

func document(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Events\n\n<!-- Written by go generate ./internal/openamt from the table there: do not edit. -->\n\n")
	writeLife(&b)
	b.WriteString(everyCall)
	for _, group := range groups {
		writeGroup(t, &b, group)
	}
	writeMistakes(&b)
	return b.String()
}

func writeLife(b *strings.Builder) {
	b.WriteString("## The life of a device\n\n| a device was | `type` | `methods` | `message` | published by | as |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, l := range life {
		by := "your server"
		if l.route != "" {
			by = "the middleware, when `" + l.route + "` succeeds"
		}
		fmt.Fprintf(b, "| %s | `%s` | `%s` | `%s` | %s | `%s` |\n", l.what, l.event.Type, strings.Join(l.event.Methods, "`, `"), l.event.Message, by, l.code)
	}
	b.WriteString("\nOn the topic, `mps/events` unless configured otherwise, a deactivated device is:\n\n```json\n")
	e := event.Deactivated(exampleGUID)
	e.Timestamp = 1795321902892
	fmt.Fprintf(b, "%s\n```\n\n", e.AppendJSON(nil))
	b.WriteString(`Adding or removing a record activates and deactivates nothing. The guid of an added device is in the
request's body, which the middleware does not read: the handler sets it with ` + "`middleware.SetGUID`" + `. The event of
a call that failed has the same ` + "`methods`" + ` and the type ` + "`fail`" + `. Your server publishes some events by itself, because
no HTTP call shows them; one line is enough: ` + "`pub.Publish(event.Connected(guid))`" + `. Console has no call that deactivates a
device: a server that learns of a deactivation in another way publishes ` + "`event.Deactivated(guid)`" + `.

`)
}

const everyCall = `## Every call

A call of a route of the API makes one event of the type ` + "`request`" + ` when it begins and exactly one of the type
` + "`success` or `fail`" + ` when it ends; HEAD and OPTIONS make none. The event has the guid if the path has
one. Braces in a message stand for values in the path. A message that ends with a space ends before a value that MPS
or RPS takes from the request's body. The middleware does not read the body, but handlers can call
` + "`middleware.SetMessage`" + `. The user property ` + "`outcome`" + ` tells how the call ended, and whose failure it was;
` + "`httpstatus`" + ` is the status of a failed call; ` + "`actor`" + ` names the caller, if the server sets it with
` + "`middleware.WithActor`" + ` or ` + "`middleware.SetActor`" + `. A guid of more than 256 bytes and a message of more than 512 are
shortened and end with ` + "`…`" + `.

| HTTP status | ` + "`outcome`, `type`" + ` | ` + "`message`" + ` |
| --- | --- | --- |
| below 400 | ` + "`ok`, `success`" + ` | success |
| 4xx: the caller made a mistake or, with 408 and 499, went away | ` + "`client`, `fail`" + ` | fail |
| 404 where the call needs a connected device (●) | ` + "`unreachable`, `fail`" + ` | ` + "`Device Not Found`, and `CIRA_Connection` in `methods`" + ` |
| 503, 504 | ` + "`unreachable`, `fail`" + ` | ` + "`Internal Service Error`" + `, or that of fail if the call is marked with † |
| other 5xx, and a panic | ` + "`server`, `fail`" + ` | ` + "`Internal Service Error`" + `, or that of fail if the call is marked with † |
| any, after ` + "`middleware.SetOutcome(c, event.OutcomeDevice)`" + ` | ` + "`device`, `fail`" + ` | depends on the status; below 400 that of fail |

Calls of API routes that are not listed get names of the same form: ` + "`GET /api/v1/amt/bootOrder/:guid`" + `
has ` + "`AMT_BootOrder`" + `, "Boot Order requested", "Boot Order received" and "Boot Order request failed".

`

// groups holds the tables of the document, by the first segments after the version.
var groups = []struct{ title, prefix string }{
	{"AMT on a device", "amt/"},
	{"Records of devices", "devices"},
	{"Signing in, and the server itself", ""},
	{"Activation profiles and their settings (RPS)", "admin"},
}

func writeGroup(t *testing.T, b *strings.Builder, group struct{ title, prefix string }) {
	t.Helper()
	servers := serversOf(t)
	fmt.Fprintf(b, "### %s\n\n| call | of | `methods` | request | success | fail |\n| --- | --- | --- | --- | --- | --- |\n", group.title)
	for r := range openamt.Routes() {
		_, rest, _ := strings.Cut(r.Path[len("/api/"):], "/")
		first := slices.IndexFunc(groups, func(g struct{ title, prefix string }) bool {
			return g.prefix != "" && strings.HasPrefix(rest, g.prefix)
		})
		if first < 0 && group.prefix != "" || first >= 0 && groups[first] != group {
			continue
		}
		call := r.HTTPMethod + " " + r.Path
		marks := ""
		if r.NeedsDevice {
			marks += " ●"
		}
		if r.Error == "" {
			marks += " †"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | `%s` | `%s` | `%s` | `%s` |\n",
			call, marks, strings.Join(servers[call], ", "), r.Method, r.Request, r.Success, r.Fail)
	}
	b.WriteString("\n")
}

// serversOf returns the servers that have each call.
func serversOf(t *testing.T) map[string][]string {
	t.Helper()
	servers := map[string][]string{}
	for _, s := range [][2]string{{"mps-events", "MPS"}, {"rps-events", "RPS"}, {"console-routes", "Console"}} {
		for _, f := range facts(t, s[0]) {
			call := f.Method + " " + f.Route
			if _, same, found := strings.Cut(f.SameAs, " "); found {
				call = same
			}
			servers[call] = append(servers[call], s[1])
		}
	}
	return servers
}

// writeMistakes writes the list of events that differ in MPS and RPS.
func writeMistakes(b *strings.Builder) {
	b.WriteString(`## Differences from MPS and RPS

The tables above correct some mistakes of MPS and RPS. ` + "`middleware.WithMPSWords()`" + ` makes the events of MPS and RPS instead:

| call | event | here | MPS |
| --- | --- | --- | --- |
`)
	var withoutGUID, underPath []string // too many for a table
	for r := range openamt.Routes() {
		ours, theirs := r.Words(), r.MPSWords()
		call := "`" + r.HTTPMethod + " " + r.Path + "`"
		for _, e := range []struct {
			name         string
			ours, theirs openamt.Words
		}{
			{"request", ours.Request, theirs.Request},
			{"success", ours.Success, theirs.Success},
			{"fail", ours.Fail, theirs.Fail},
			{"fail, 5xx", ours.Error, theirs.Error},
		} {
			switch {
			case e.ours == e.theirs:
			case e.name == "fail, 5xx" && !e.theirs.GUID:
				withoutGUID = append(withoutGUID, call)
				e.theirs.GUID = true
			case strings.HasPrefix(e.theirs.Method, "/api/"):
				if e.name == "fail" {
					underPath = append(underPath, call)
				}
				continue
			}
			if e.ours != e.theirs {
				fmt.Fprintf(b, "| %s | %s | %s | %s |\n", call, e.name, phrase(e.ours), phrase(e.theirs))
			}
		}
	}
	fmt.Fprintf(b, "\nMPS leaves the guid out when these calls fail with a 5xx: %s.\n", strings.Join(withoutGUID, ", "))
	fmt.Fprintf(b, "\nWhen these calls fail, RPS puts the path without its parameters, such as `/api/v1/admin/domains`, into `methods`\ninstead of the name: %s.\n", strings.Join(underPath, ", "))
}

func phrase(w openamt.Words) string {
	guid := "with `guid`"
	if !w.GUID {
		guid = "no `guid`"
	}
	return fmt.Sprintf("`%s`, `%s`, %s", w.Method, w.Message, guid)
}
