// Package days makes the messages of days on which rules are judged: ordinary days, outages, and days that
// only look like outages. Each day says which pages are wanted. A day is the same each time for one seed, and
// its messages are made while they are read, so that a month of 5,000 devices needs little memory. Only tests
// import this package.
package days

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// Publisher is the software that publishes the events of a day.
type Publisher string

// The publishers.
const (
	// Node is MPS and RPS for Node: no user properties, no status, and many calls without an event.
	Node Publisher = "node"
	// Middleware is a server that uses the packages middleware and publisher, such as Console.
	Middleware Publisher = "middleware"
)

// Publishers returns all publishers.
func Publishers() []Publisher { return []Publisher{Node, Middleware} }

// Message is one message with the time at which it arrives.
type Message struct {
	At time.Time
	decision.Message
}

// Page is a page that is wanted. A page is an ALERT with a key that is not open.
type Page struct {
	Part     string    // the key contains it; "": any key
	Priority string    // "HIGH" or "LOW"; "": any priority
	From, By time.Time // the page comes in this time
	EndFrom  time.Time // the page does not end before; zero: it may end at any time
	EndBy    time.Time // the page has ended by then
	Optional bool      // the page may be left out
}

// Gap is a time in which the consumer had no connection to the broker.
type Gap struct{ From, Until time.Time }

// Day is a stretch of time, from a few hours to a month, with its messages and the pages that are wanted.
type Day struct {
	Kind       string
	Size       int // number of devices
	Publisher  Publisher
	Start, End time.Time
	Messages   iter.Seq[Message] // in the order of arrival; it may be read again
	Want       []Page            // all other pages are wrong
	Options    map[string]string // for the rules
	Gaps       []Gap
}

// Kind is a kind of days.
type Kind struct {
	Name  string
	About string // what happens, and which pages are wanted

	only Publisher // "": both
	plan func(*world)
}

// By reports whether a publisher can show anything of the days of this kind.
func (k Kind) By(p Publisher) bool { return k.only == "" || k.only == p }

// Kinds returns all kinds.
func Kinds() []Kind { return slices.Concat(quietKinds, outageKinds) }

// Make returns a day. The publisher must be one that can show the kind, and the size at least 20.
func Make(kind string, size int, p Publisher, seed uint64) (Day, error) {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		return Day{}, fmt.Errorf("days: there is no kind %q", kind)
	}
	k := Kinds()[i]
	switch {
	case size < minSize:
		return Day{}, fmt.Errorf("days: size %d: want at least %d devices", size, minSize)
	case !slices.Contains(Publishers(), p):
		return Day{}, fmt.Errorf("days: publisher %q: want %q or %q", p, Node, Middleware)
	case !k.By(p):
		return Day{}, fmt.Errorf("days: publisher %q can show nothing of the kind %q: want %q", p, kind, k.only)
	}
	plan := func() *world {
		w := newWorld(kind, size, p, seed)
		k.plan(w)
		w.begin()
		return w
	}
	w := plan()
	w.day.Messages = func(yield func(Message) bool) { plan().run(yield) }
	return w.day, nil
}

// minSize is the least number of devices: fewer have no three sites.
const minSize = 20

// Local returns a time on the clocks of the sites, which change to summer time as in Central Europe.
func Local(t time.Time) time.Time { return t.In(time.FixedZone("", int(utcOffset(t)/time.Second))) }

// summerTime is the change to summer time. The package does not use the time zones of the machine, which may
// have none.
var summerTime = time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)

// utcOffset returns the offset of the local clocks.
func utcOffset(t time.Time) time.Duration {
	if t.Before(summerTime) {
		return time.Hour
	}
	return 2 * time.Hour
}

// march returns a time of March 2026 on the local clocks. The first of March 2026 is a Sunday.
func march(day, hour, minute int) time.Time {
	t := time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC)
	return t.Add(-utcOffset(t.Add(-time.Hour)))
}
