package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var truthTests = []test{
	testIlertEndsWithTheTruth,
	testIlertThatLosesEventsShowsTheTruthAfterALook,
}

// The engine sends notices to a model of ilert, which gives every kind of answer in random order. At the end, after
// the dead letters are retried, each alert source of the model shows what is true.
func testIlertEndsWithTheTruth(t *testing.T, open opener) {
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(open(t), seed)
			for range 300 {
				w.step()
			}
			w.settleDust()
			w.compare()
		})
	}
}

func newWorld(b *book, seed uint64) *world {
	return &world{
		book: b, r: rand.New(rand.NewPCG(seed, 0)), facts: map[string]*fact{},
		open: map[string]bool{}, accepted: map[string]bool{}, named: map[string]bool{}, listed: map[string]bool{},
	}
}

// world is the truth about each alert, beside what the model of ilert shows.
type world struct {
	*book
	r        *rand.Rand
	facts    map[string]*fact
	underWay []alerting.Notice

	open, accepted map[string]bool
	named          map[string]bool // members of the site that the alert reports
	listed         map[string]bool // alerts that an open storm reports
	loses          bool            // the model drops events, and people close alerts
	refused        bool            // the model has refused an acceptance or an end, so an alert that has begun since may be accepted there
}

// fact is the true state of an alert.
type fact struct {
	open, accepted bool
	began, ends    time.Time
	hits           []time.Time          // of the storm
	members        map[string]time.Time // of the site
	others         map[string]time.Time // that have hit and are no members
	peak           int
}

var (
	drops = []string{"drop1", "drop2", "drop3", "drop4", "drop5", "drop6"}
	plain = map[string]decision.Raise{
		"drop1": {Rule: "drop"}, "drop2": {Rule: "drop"}, "drop3": {Rule: "drop"}, "drop4": {Rule: "drop"},
		"drop5": {Rule: "drop", Silence: 30 * minute}, "drop6": {Rule: "drop", For: 5 * minute},
		"one": {Rule: "pair"}, "two": {Rule: "pair"}, "lasting": {For: 5 * minute}, "silent": {Silence: 30 * minute}, "aged": {Age: 2 * time.Hour},
	}
	stormy = window(decision.Window{Rule: "storm", Condition: decision.Condition{Length: 10 * minute, AtLeast: 3}, Clear: 20 * minute})
	gone   = window(decision.Window{Rule: "site", Condition: decision.Condition{Length: 10 * minute, Distinct: 2}, Held: true, Left: 0.5})
)

func newFact() *fact { return &fact{members: map[string]time.Time{}, others: map[string]time.Time{}} }

func (w *world) fact(key string) *fact {
	f := w.facts[key]
	if f == nil {
		f = newFact()
		w.facts[key] = f
	}
	return f
}

func (w *world) step() {
	w.later(time.Duration(w.r.IntN(10)) * minute)
	w.time()
	if w.loses && w.r.IntN(10) == 0 {
		w.closeSomething()
	}
	switch w.r.IntN(10) {
	case 0, 1, 2:
		w.something()
	case 9:
		w.drop()
	case 3:
		w.does(decision.EndAll{Rule: "pair"})
		w.over("one")
		w.over("two")
	case 4, 5:
		w.underWay = append(w.underWay, w.some()...)
	case 6, 7:
		if len(w.underWay) > 0 {
			n := w.underWay[0]
			w.underWay = w.underWay[1:]
			result := []alerting.Result{alerting.Taken, alerting.Unknown, alerting.NotTaken}[w.r.IntN(3)]
			if w.r.IntN(6) == 0 {
				result = alerting.Refused
				w.refused = w.refused || n.Event.EventType != ilert.Alert
			}
			if result == alerting.Taken || result == alerting.Unknown && w.r.IntN(2) == 0 {
				w.arrive(n)
			}
			w.settle(n, result)
		}
	case 8:
		if w.r.IntN(10) == 0 {
			for _, n := range w.underWay {
				if w.r.IntN(2) == 0 {
					w.arrive(n)
				}
			}
			w.underWay = nil
			w.restart()
		}
	}
}

// some claims what a small budget allows, or sometimes all that is due.
func (w *world) some() []alerting.Notice {
	if w.r.IntN(8) == 0 {
		return w.claim()
	}
	little := alerting.Budget{Any: w.r.IntN(4), Again: w.now.Add(minute), Minute: 3}
	little.Singles = little.Any - 1
	return w.within(1+w.r.IntN(3), map[ilert.IntegrationKey]alerting.Budget{configured: little, doors: little})
}

// drop raises or ends many alerts at once.
func (w *world) drop() {
	var messages []alerting.Message
	over := w.r.IntN(2) == 0
	for _, key := range drops {
		if !over && w.r.IntN(4) == 0 {
			continue
		}
		effect := decision.Effect(decision.End{Key: keyAt(key)})
		if over {
			w.over(key)
		} else {
			effect = w.raise(key)
		}
		messages = append(messages, message(effect))
	}
	w.apply(messages...)
}

// something applies a random message with up to three effects.
func (w *world) something() {
	targets := []string{"one", "two", "lasting", "silent", "aged", "storm", "site", "drop1", "drop2", "drop5", "drop6"}
	w.r.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	var effects []decision.Effect
	for _, key := range targets[:1+w.r.IntN(3)] {
		switch key {
		case "storm":
			effects = append(effects, w.stormy())
		case "site":
			effects = append(effects, w.gone())
		default:
			effects = append(effects, w.plain(key))
		}
	}
	w.does(effects...)
}

// keyAt returns an alert key with the integration key that belongs to it.
func keyAt(alert string) decision.Key {
	k := decision.Key{Alert: alert}
	switch alert {
	case "one", "two", "storm/pair", "silent", "site":
		k.Integration = doors
	}
	return k
}

func (w *world) plain(key string) decision.Effect {
	f := w.fact(key)
	switch w.r.IntN(4) {
	case 0:
		w.over(key)
		return decision.End{Key: keyAt(key)}
	case 1:
		f.accepted = f.open
		return decision.Accept{Key: keyAt(key)}
	}
	return w.raise(key)
}

func (w *world) raise(key string) decision.Effect {
	f := w.fact(key)
	r := plain[key]
	if w.r.IntN(10) == 0 {
		r.Event.Priority = "HIGH"
	}
	r.Key, r.Event.Summary = keyAt(key), key
	if !f.open {
		*f = fact{open: true, began: w.now}
		if r.Age > 0 {
			f.ends = w.now.Add(r.Age)
		}
	}
	if r.Silence > 0 {
		f.ends = w.now.Add(r.Silence)
	}
	return r
}

func (w *world) stormy() decision.Effect {
	f := w.fact("storm")
	switch w.r.IntN(12) {
	case 0:
		w.over("storm")
		return decision.Reset{Rule: "storm", Group: "storm"}
	case 1:
		w.over("storm")
		return ending("storm")
	}
	f.hits = append(slices.DeleteFunc(f.hits, func(t time.Time) bool { return w.now.Sub(t) >= 10*minute }), w.now)
	if n := len(f.hits); n >= 3 {
		f.open, f.ends = true, f.hits[n-3].Add(30*minute)
	}
	return stormy.hit("storm", "")
}

func (w *world) gone() decision.Effect {
	f := w.fact("site")
	name := fmt.Sprint("m", w.r.IntN(5))
	if w.r.IntN(3) == 0 {
		delete(f.members, name)
		delete(f.others, name)
		if f.open && 2*(f.peak-len(f.members)) >= f.peak {
			w.over("site")
			clear(w.named)
		}
		return gone.leave("site", name)
	}
	if _, held := f.members[name]; held {
		f.members[name] = w.now
	} else {
		f.others[name] = w.now
		f.join(w.now)
	}
	hit := gone.hit("site", name)
	hit.Raise.Key, hit.Raise.Event.Summary = keyAt("site"), place("members")
	return hit
}

// join makes those who have hit within the window members, if they are enough with the members who have.
func (f *fact) join(now time.Time) {
	maps.DeleteFunc(f.others, func(_ string, at time.Time) bool { return now.Sub(at) >= 10*minute })
	recent := len(f.others)
	for _, at := range f.members {
		if now.Sub(at) < 10*minute {
			recent++
		}
	}
	if recent < 2 {
		return
	}
	f.open = true
	maps.Copy(f.members, f.others)
	clear(f.others)
	f.peak = max(f.peak, len(f.members))
}

// over makes it true that an alert has ended.
func (w *world) over(key string) { *w.fact(key) = *newFact() }

// time makes it true that the alerts have ended whose time is over.
func (w *world) time() {
	for key, f := range w.facts {
		if f.open && !f.ends.IsZero() && !w.now.Before(f.ends) {
			w.over(key)
		}
	}
}

// arrive does to the model of ilert what a notice asks for.
func (w *world) arrive(n alerting.Notice) {
	if w.loseSomething(n) {
		return
	}
	key := n.Event.AlertKey
	assert.Equal(w.t, keyAt(key).Integration, n.IntegrationKey, key)
	switch n.Event.EventType {
	case ilert.Alert:
		w.open[key] = true
		if strings.HasPrefix(key, "storm/") {
			for _, name := range strings.Split(n.Event.Details, "\n") {
				w.listed[name] = true
			}
		}
	case ilert.Accept:
		assert.True(w.t, w.open[key] || w.loses, "%s accepted before it was sent", key)
		w.accepted[key] = w.open[key]
	case ilert.Resolve:
		w.open[key], w.accepted[key] = false, false
		for name, r := range plain {
			if key == "storm/"+r.Rule {
				delete(w.listed, name)
			}
		}
	}
	if key == "site" && n.Event.EventType == ilert.Alert {
		for _, name := range strings.Split(n.Event.Summary, ", ") {
			w.named[name] = true
		}
	}
}

func (w *world) settleDust() {
	for _, n := range w.underWay {
		w.settle(n, alerting.Unknown)
	}
	w.settleWhatWaits()
	for w.retryAll() {
		w.settleWhatWaits()
	}
	// The engine ends the alert of a window up to one check and one bucket before its time.
	const early = 15 * time.Second
	if f := w.fact("storm"); f.open && f.ends.Sub(w.now) < early {
		w.later(early)
		w.settleWhatWaits()
	}
	w.time()
}

// retryAll takes the dead letters in again, and reports whether that succeeded for some.
func (w *world) retryAll() (some bool) {
	for _, l := range w.letters() {
		some = w.revive(l, alerting.Message{Topic: l.Topic, Payload: l.Payload}) == "" || some
	}
	return some
}

func (w *world) settleWhatWaits() {
	for {
		for _, n := range w.claim() {
			w.arrive(n)
			w.settle(n, alerting.Taken)
		}
		next := w.next()
		if next < 0 || next > 6*minute {
			break
		}
		w.later(next)
	}
}

// compare asserts that the model of ilert shows what is true.
func (w *world) compare() {
	needed := map[string]bool{}
	for key, f := range w.facts {
		if f.open && !w.open[key] {
			assert.True(w.t, w.listed[key], "%s open, alone or in a storm", key)
			needed["storm/"+plain[key].Rule] = true
		}
		if w.open[key] {
			assert.True(w.t, f.open, "%s over", key)
		}
		// What was lost of an acceptance cannot be known.
		if w.open[key] && !w.book.looks && (f.accepted || !w.refused) {
			assert.Equal(w.t, f.accepted, w.accepted[key], "%s accepted", key)
		}
	}
	for key := range w.open {
		if w.open[key] && strings.HasPrefix(key, "storm/") {
			assert.True(w.t, needed[key], "%s over", key)
		}
	}
	if f := w.fact("site"); f.open {
		for name := range f.members {
			assert.True(w.t, w.named[name], "%s named", name)
		}
	}
	tally := w.tally()
	assert.Zero(w.t, tally.Pending)
	assert.NotZero(w.t, tally.Delivered)
}
