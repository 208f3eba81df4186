package days

import (
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// action is a call that people make.
type action struct {
	verb, path string
	weight     int // how often it is made
	// What Node's MPS publishes of the call: the events "request" and "success", and the fail event of a device
	// that refuses, which has the guid. Without the last one a refusal is an exception.
	asks, succeeds, refuses bool
}

// actions are the calls that people make.
var actions = []action{
	{"GET", "/api/v1/amt/power/state/:guid", 30, true, false, true},
	{"GET", "/api/v1/amt/features/:guid", 15, true, true, false},
	{"POST", "/api/v1/amt/power/action/:guid", 14, false, true, false},
	{"GET", "/api/v1/amt/generalSettings/:guid", 10, true, true, true},
	{"GET", "/api/v1/amt/hardwareInfo/:guid", 10, true, true, true},
	{"GET", "/api/v1/amt/log/audit/:guid", 8, true, false, false},
	{"GET", "/api/v1/amt/log/event/:guid", 5, true, true, true},
	{"GET", "/api/v1/amt/userConsentCode/:guid", 4, false, true, true},
	{"POST", "/api/v1/amt/userConsentCode/:guid", 4, false, true, true},
}

// failure is a way in which a call fails.
type failure struct {
	status  int // of HTTP
	outcome event.Outcome
}

var (
	refused      = &failure{400, event.OutcomeDevice}
	mistake      = &failure{400, event.OutcomeClient}
	broken       = &failure{500, event.OutcomeServer}
	notThere     = &failure{404, event.OutcomeUnreachable}
	timedOut     = &failure{504, event.OutcomeUnreachable}
	unauthorized = &failure{401, event.OutcomeClient}
)

// form is the words of an event with the calls that make it.
type form openamt.Words

// event returns an event with these words.
func (f form) event(t event.Type, guid string) event.Event {
	if !f.GUID {
		guid = ""
	}
	return event.Event{Type: t, Message: f.Message, Methods: []string{f.Method}, GUID: guid}
}

// forms are the words of the events of a call.
type forms struct{ Request, Success, Fail, Error form }

// words returns the words in which the publisher of the day publishes a call.
func (w *world) words(verb, path string) forms {
	if known, ok := w.known[verb+path]; ok {
		return known
	}
	route, _ := openamt.Lookup(verb, path)
	c := route.Words()
	if w.day.Publisher == Node {
		c = route.MPSWords()
	}
	all := forms{form(c.Request), form(c.Success), form(c.Fail), form(c.Error)}
	w.known[verb+path] = all
	return all
}

// call makes a random call to a random device, mostly one that is connected.
func (w *world) call() {
	d := w.devices[w.rng.IntN(len(w.devices))]
	for tries := 0; d.server == nil && tries < 30 && w.chance(0.95); tries++ {
		d = w.devices[w.rng.IntN(len(w.devices))]
	}
	if !d.gone {
		w.callDevice(d)
	}
}

// callDevice makes a random call to a device.
func (w *world) callDevice(d *device) {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := w.rng.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			w.make(a, d)
			return
		}
	}
}

// make makes a call to a device.
func (w *world) make(a action, d *device) {
	s := d.server
	if s == nil {
		s = w.anyServer()
	}
	if s == nil {
		return
	}
	words := w.words(a.verb, a.path)
	node := w.day.Publisher == Node
	if (!node || a.asks) && (!node || d.server != nil) { // Node's MPS looks first whether the device is there
		w.publish(s, words.Request.event(event.Request, d.guid))
	}
	fails := w.failureOf(d, s)
	w.in(w.between(200*time.Millisecond, 3*time.Second), func() {
		switch {
		case fails == nil && node && !a.succeeds:
		case fails == nil:
			e := words.Success.event(event.Success, d.guid)
			e.Outcome = event.OutcomeOK
			w.publish(s, e)
			w.redirect(a, d, s)
		default:
			w.publish(s, w.failed(a, words, fails, d.guid))
		}
	})
}

// redirect publishes the screen session that may follow a consent.
func (w *world) redirect(a action, d *device, s *server) {
	if a.verb != "POST" || a.path != "/api/v1/amt/userConsentCode/:guid" {
		return
	}
	guid := d.guid
	if w.day.Publisher == Node {
		guid = ""
	}
	w.publish(s, event.RedirectionStarted(guid))
	w.in(w.between(time.Minute, 20*time.Minute), func() { w.publish(s, event.RedirectionEnded(guid)) })
}

// failureOf returns the way in which a call to a device fails, or nil. A few per cent fail on ordinary days.
func (w *world) failureOf(d *device, s *server) *failure {
	if d.server == nil {
		return notThere
	}
	if w.fault != nil {
		if f := w.fault(d, s); f != nil {
			return f
		}
	}
	switch n := w.rng.IntN(1000); {
	case n < 8:
		return broken
	case n < 18:
		return refused
	case n < 24:
		return mistake
	case n < 28:
		return timedOut
	}
	return nil
}

// failed returns the fail event of a call.
func (w *world) failed(a action, words forms, f *failure, guid string) event.Event {
	form := words.Fail
	switch {
	case f == notThere:
		form = notFound
	case f.status >= 500, w.day.Publisher == Node && !a.refuses:
		form = words.Error
	}
	e := form.event(event.Fail, guid)
	e.Outcome, e.HTTPStatus = f.outcome, f.status
	return e
}

// notFound is the words of a call whose device is not connected.
var notFound = form(openamt.DeviceNotFound)

// load makes calls at an interval, beside those of ordinary life.
func (w *world) load(from, until time.Time, interval time.Duration) {
	w.every(from, until, interval, w.call)
}

// failHealth publishes that the health check of a server has failed.
func (w *world) failHealth(s *server) {
	words := w.words("GET", "/api/v1/health")
	e := words.Fail.event(event.Fail, "")
	e.Outcome, e.HTTPStatus = event.OutcomeServer, 503
	if w.day.Publisher == Middleware {
		w.publish(s, words.Request.event(event.Request, ""))
	}
	w.publish(s, e)
}

// signInInVain publishes that somebody signs in with a wrong password.
func (w *world) signInInVain(s *server) {
	words := w.words("POST", "/api/v1/authorize")
	w.publish(s, words.Request.event(event.Request, ""))
	e := words.Fail.event(event.Fail, "")
	e.Outcome, e.HTTPStatus = unauthorized.outcome, unauthorized.status
	w.publish(s, e)
}
