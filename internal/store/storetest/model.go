package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Model plays the same random messages, claims, answers, restarts and commands on two stores, and compares after each
// step all that an engine or a person can see. A failure names the seed and the step.
func Model(t *testing.T, seed uint64, reference, subject Backend) {
	t.Helper()
	const steps = 250
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 0))}
	for i, backend := range []Backend{reference, subject} {
		m.books[i] = openBook(t, backend)
		m.books[i].bound(func(l *alerting.Bounds) {
			l.Letters, l.LetterBytes, l.Waiting, l.Devices, l.Awaited, l.AwaitedBytes = 30, 4000, 20, 5, 5, 300
		})
		m.books[i].useSession("s")
	}
	for step := range steps {
		m.name = fmt.Sprintf("seed %d, step %d", seed, step)
		m.step()
		m.compare()
		if t.Failed() {
			t.FailNow()
		}
	}
}

// model is a pair of engines that get the same messages and commands.
type model struct {
	t        *testing.T
	r        *rand.Rand
	books    [2]*book // the reference, the subject
	name     string   // of the step
	underWay [][2]alerting.Notice
	printed  uint64
	packet   uint16
}

var (
	modelKeys    = []ilert.IntegrationKey{configured, doors, third, ilert.LiteralKey("fourth")}
	modelRules   = []string{"r", "R", "s"}
	modelWindows = []*decision.Window{
		{Rule: "counts", Condition: decision.Condition{Length: 10 * time.Minute, AtLeast: 3}, Clear: 5 * time.Minute},
		{Rule: "holds", Condition: decision.Condition{Length: 10 * time.Minute, Distinct: 2}, Held: true, Left: 0.6},
		{Rule: "shares", Condition: decision.Condition{Length: 5 * time.Minute, AtLeast: 2, Ratio: 0.5}},
		{Rule: "fleet", Condition: decision.Condition{Length: 20 * time.Minute, Distinct: 2, Ratio: 0.4}, Fleet: true, Held: true, Clear: time.Hour},
		{
			Rule: "either", Condition: decision.Condition{Length: 5 * time.Minute, AtLeast: 3, Ratio: 0.6},
			Or: decision.Condition{Length: 40 * time.Minute, AtLeast: 4, Ratio: 0.3}, Healthy: 0.25,
		},
		{
			Rule: "crowds", Condition: decision.Condition{Length: 4 * time.Minute, Distinct: 2},
			Or: decision.Condition{Length: 30 * time.Minute, Distinct: 3}, Held: true, Left: 0.6, Clear: 10 * time.Minute,
		},
		{Rule: "rows", Condition: decision.Condition{Length: 10 * time.Minute, InARow: 2}, Clear: 2 * time.Minute},
	}
)

// pick returns one of some values.
func pick[T any](m *model, all ...T) T { return all[m.r.IntN(len(all))] }

// same calls do on both engines, and compares what it returns.
func same[T any](m *model, what string, do func(b *book) (T, error)) (both [2]T) {
	m.t.Helper()
	for i, b := range m.books {
		var err error
		both[i], err = do(b)
		require.NoError(m.t, err, "%s: %s", m.name, what)
	}
	assert.Equal(m.t, both[0], both[1], "%s: %s", m.name, what)
	return both
}

// each calls do on both engines.
func (m *model) each(what string, do func(b *book) error) {
	m.t.Helper()
	m.name += ", " + what
	for _, b := range m.books {
		require.NoError(m.t, do(b), m.name)
	}
}

func (m *model) now() time.Time { return m.books[0].now }

func (m *model) step() {
	m.t.Helper()
	switch m.r.IntN(21) {
	default:
		m.messages()
	case 0, 1, 2, 3:
		m.claims()
	case 4, 5, 6, 7:
		m.answers()
	case 8, 9:
		m.passes()
	case 10:
		m.commands()
	case 11:
		m.remembers()
	case 12:
		m.waits()
	case 13:
		m.orders()
	}
}

// messages applies a random batch of messages.
func (m *model) messages() {
	m.t.Helper()
	batch := make([]alerting.Message, 1+m.r.IntN(12))
	for i := range batch {
		batch[i] = m.message()
	}
	m.each("messages", func(b *book) error { return b.Apply(b.t.Context(), slices.Clone(batch)) })
}

func (m *model) message() alerting.Message {
	a := alerting.Message{
		Filter: pick(m, filter, "http"), Topic: pick(m, "t", "u"), Payload: []byte(pick(m, "", "x", "yy")),
		ReceivedAt: m.now().Add(time.Duration(m.r.IntN(999)) * time.Microsecond), Source: pick(m, "", "one", "two"), MaxSkew: pick(m, 0, time.Minute),
	}
	if m.r.IntN(10) == 0 {
		a.Decision.Dead = pick(m, "no JSON", "no rule")
		return a
	}
	if m.r.IntN(3) == 0 {
		a.Decision.At = m.now().Add(-time.Duration(m.r.IntN(300)) * time.Second)
	}
	if m.r.IntN(3) == 0 {
		a.Decision.Device = fmt.Sprint("device ", m.r.IntN(8))
	}
	if m.r.IntN(3) == 0 {
		a.Properties = []decision.Property{{Key: "traceparent", Value: fmt.Sprint("00-", m.r.IntN(9))}, {Key: "<k>", Value: "v"}}
	}
	if m.r.IntN(8) == 0 {
		m.printed = max(m.printed+uint64(m.r.IntN(2)), 1)
		a.Fingerprint = m.printed
	}
	if m.r.IntN(8) == 0 {
		m.packet = max((m.packet+uint16(m.r.IntN(2)))%9, 1)
		a.Delivery = alerting.Delivery{Link: 1, PacketID: m.packet, Subscription: uint32(1 + m.r.IntN(2)), Print: uint64(1 + m.r.IntN(2)), Again: m.r.IntN(2) == 0}
	}
	for range m.r.IntN(4) {
		a.Decision.Effects = append(a.Decision.Effects, m.effect())
		a.Decision.Matched = append(a.Decision.Matched, pick(m, modelRules...))
	}
	return a
}

// seen returns the exported fields of a notice as text.
func seen(n alerting.Notice) string {
	event, err := json.Marshal(n.Event)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return fmt.Sprintf("%v %d %s %s %v %s", n.IntegrationKey, n.Tries, n.TraceParent, n.Path, n.Unproven, event)
}

// claims claims notices within small random budgets.
func (m *model) claims() {
	m.t.Helper()
	m.name += ", claim"
	limit, budgets := 1+m.r.IntN(8), map[ilert.IntegrationKey]alerting.Budget{}
	for _, k := range modelKeys {
		b := alerting.Budget{Any: m.r.IntN(6), Minute: pick(m, 0, 2, 3), Kept: m.r.IntN(2) == 0}
		b.Singles = max(b.Any-m.r.IntN(2), 0)
		if m.r.IntN(3) > 0 {
			b.Again = m.now().Add(time.Duration(m.r.IntN(60)) * time.Second)
		}
		budgets[k] = b
	}
	var claimed [2][]alerting.Notice
	same(m, "notices", func(b *book) (all []string, err error) {
		notices, err := b.Claim(b.t.Context(), b.now, limit, func(k ilert.IntegrationKey) alerting.Budget { return budgets[k] })
		for _, n := range notices {
			all = append(all, seen(n))
		}
		claimed[m.indexOf(b)] = notices
		return all, err
	})
	if m.t.Failed() {
		return // the notices of the two engines differ
	}
	for i, n := range claimed[0] {
		m.underWay = append(m.underWay, [2]alerting.Notice{n, claimed[1][i]})
	}
}

func (m *model) indexOf(b *book) int { return slices.Index(m.books[:], b) }

// answers settles some of the notices that are under way, and sometimes one of them twice.
func (m *model) answers() {
	m.t.Helper()
	var both [2][]alerting.Answer
	for range min(1+m.r.IntN(5), len(m.underWay)) {
		i := m.r.IntN(len(m.underWay))
		a := alerting.Answer{
			Result: pick(m, alerting.Taken, alerting.Taken, alerting.Taken, alerting.Unknown, alerting.NotTaken, alerting.Refused),
			At:     m.now(), Retry: m.now().Add(time.Duration(m.r.IntN(180)) * time.Second), Reason: "no",
		}
		if m.r.IntN(8) == 0 {
			a.Hold = m.now().Add(time.Minute)
		}
		for side := range both {
			a.Notice = m.underWay[i][side]
			both[side] = append(both[side], a)
		}
		if m.r.IntN(12) > 0 {
			m.underWay = slices.Delete(m.underWay, i, i+1)
		}
	}
	m.each("answers", func(b *book) error { return b.Settle(b.t.Context(), both[m.indexOf(b)]) })
}

// passes moves the clocks forward, or restarts the engines.
func (m *model) passes() {
	m.t.Helper()
	d := time.Duration(m.r.IntN(600)) * time.Second
	switch m.r.IntN(6) {
	case 0:
		m.underWay = nil
		m.each("restart", func(b *book) error {
			b.restart()
			b.useSession("s")
			return nil
		})
		return
	case 1:
		d = max(min(m.books[0].next(), time.Hour), 0)
	case 2:
		d = time.Hour
	}
	m.each(fmt.Sprint(d, " later"), func(b *book) error {
		b.later(d)
		return nil
	})
	if m.r.IntN(3) > 0 {
		same(m, "listened", func(b *book) (bool, error) { return b.Listened(b.t.Context(), b.now) })
	}
}

func (m *model) query() (which alerting.LetterQuery) {
	switch m.r.IntN(8) {
	case 0:
		which.IDs = []int64{int64(m.r.IntN(50)), int64(m.r.IntN(50))}
	case 1:
		which.Topic = "t"
	case 2:
		which.Filter, which.Limit = filter, 1+m.r.IntN(3)
	case 3:
		which.Reason = "JSON"
	case 4:
		which.Before = m.now().Add(-time.Hour)
	case 5:
		which.Keys = []string{third.String()}
	case 6:
		which.Limit = 2
	}
	return which
}

// commands runs a random command of an operator.
func (m *model) commands() {
	m.t.Helper()
	which := m.query()
	switch m.r.IntN(5) {
	case 0:
		m.name += fmt.Sprintf(", purge %+v", which)
		same(m, "purged", func(b *book) (alerting.Purged, error) { return b.Purge(b.t.Context(), which) })
	case 1:
		m.name += fmt.Sprintf(", ask to retry %+v", which)
		same(m, "asked", func(b *book) (int64, error) { return b.AskToRetry(b.t.Context(), which) })
		m.revives()
	case 2:
		rules := map[string]ilert.IntegrationKey{}
		for _, rule := range append([]string{"counts", "holds", "shares", "fleet", "either", "crowds", "rows"}, modelRules...) {
			if m.r.IntN(4) > 0 {
				rules[rule] = pick(m, configured, configured, doors)
			}
		}
		m.name += ", retain"
		same(m, "retained", func(b *book) (alerting.Retained, error) { return b.Retain(b.t.Context(), b.now, rules) })
	case 3:
		m.name += ", tidy"
		same(m, "more to tidy", func(b *book) (bool, error) { return b.Tidy(b.t.Context(), b.now) })
	default:
		effect := m.effect()
		m.each("do", func(b *book) error { return b.Do(b.t.Context(), b.now, effect) })
	}
}

// revives takes those dead letters in again that somebody has asked for.
func (m *model) revives() {
	m.t.Helper()
	again := m.message()
	same(m, "revived", func(b *book) (keeps []string, err error) {
		letters, err := b.ToRetry(b.t.Context(), 3)
		if err != nil {
			return nil, err
		}
		var all []alerting.Revival
		for _, l := range letters {
			message := again
			message.ReceivedAt = l.ReceivedAt
			all = append(all, alerting.Revival{Letter: l, Message: message})
		}
		err = b.Revive(b.t.Context(), b.now, all)
		for _, one := range all {
			keeps = append(keeps, one.Keep)
		}
		return keeps, err
	})
}

// remembers keeps clocks and subscriptions for the next process.
func (m *model) remembers() {
	m.t.Helper()
	clock := alerting.Clock{Source: pick(m, "one", "two", "three"), Behind: time.Duration(m.r.IntN(3)) * time.Minute, HeardAt: m.now()}
	filters := []string{pick(m, "f", "g"), pick(m, "f", "h")}
	m.each("remember", func(b *book) error { return b.KeepClocks(b.t.Context(), []alerting.Clock{clock}) })
	same(m, "subscribed already", func(b *book) ([]string, error) { return b.Subscribing(b.t.Context(), "c", filters) })
	if m.r.IntN(2) == 0 {
		m.each("subscribed", func(b *book) error { return b.Subscribed(b.t.Context(), "c", filters[:1]) })
	}
}

// compare asserts that all exported methods which only read return the same on both engines.
func (m *model) compare() {
	m.t.Helper()
	ctx := m.t.Context()
	same(m, "status", func(b *book) (alerting.Status, error) { return b.Status(ctx, b.now) })
	same(m, "alerts", func(b *book) ([]alerting.AlertState, error) { return b.Alerts(ctx, b.now, "", 1000) })
	same(m, "silences", func(b *book) ([]alerting.Silence, error) { return b.Silences(ctx) })
	same(m, "next due", func(b *book) (time.Duration, error) { return b.next(), nil })
	same(m, "letters", func(b *book) ([]alerting.Letter, error) { return b.DeadLetters(ctx, alerting.LetterQuery{}) })
	same(m, "waiting keys", func(b *book) ([]alerting.WaitingKey, error) { return b.WaitingKeys(ctx, alerting.LetterQuery{}) })
	same(m, "paces", func(b *book) (map[ilert.IntegrationKey]alerting.Pace, error) { return b.Paces(b.now), nil })
	same(m, "clocks", func(b *book) ([]alerting.Clock, error) { return b.Clocks(), nil })
	same(m, "idle keys", func(b *book) ([]ilert.IntegrationKey, error) { return b.Idle(ctx, modelKeys) })
	same(m, "overflow", func(b *book) (alerting.Purged, error) { return b.Overflow(), nil })
	for _, w := range modelWindows {
		same(m, "counted", func(b *book) (alerting.Counted, error) {
			n, _, err := b.Counted(ctx, w.Rule, "g")
			return n, err
		})
	}
	same(m, "awaited", func(b *book) (int, error) { return b.groups(), nil })
	same(m, "needs listening", func(b *book) (bool, error) { return b.NeedsListening(), nil })
	same(m, "next listened", func(b *book) (time.Time, error) {
		at, _ := b.NextListened()
		return at.Round(0), nil
	})
	for _, a := range modelAbsent {
		same(m, "awaited until", func(b *book) (time.Time, error) {
			at, _ := b.AwaitedUntil(a.Rule, "g")
			return at.Round(0), nil
		})
	}
	for _, b := range m.books {
		b.check()
	}
}
