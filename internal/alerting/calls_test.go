package alerting_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules/rulestest"
	"github.com/mps-events/mps-events/internal/store/memory"
)

// maxCalls is the number of calls of the store that one transaction of a batch, a claim or a settlement may make. Each
// call is a round trip to a database behind a network.
const maxCalls = 6

// counting is a store that counts the calls of each transaction, and keeps the highest count.
type counting struct {
	alerting.Store
	calls int
}

func (c *counting) Update(ctx context.Context, do func(alerting.Tx) error) error {
	calls := 0
	err := c.Store.Update(ctx, func(tx alerting.Tx) error { return do(countingTx{tx, &calls}) })
	c.calls = max(c.calls, calls)
	return err
}

type countingTx struct {
	alerting.Tx
	calls *int
}

func (t countingTx) Load(ctx context.Context, keys alerting.Keys, rows *alerting.Rows) error {
	*t.calls++
	return t.Tx.Load(ctx, keys, rows)
}

func (t countingTx) Save(ctx context.Context, changes *alerting.Changes) error {
	*t.calls++
	return t.Tx.Save(ctx, changes)
}

func (t countingTx) FindDue(ctx context.Context, now time.Time, listened time.Duration, maxEnds, maxLanes int) (alerting.Due, error) {
	*t.calls++
	return t.Tx.FindDue(ctx, now, listened, maxEnds, maxLanes)
}

func (t countingTx) FindWork(ctx context.Context, now time.Time, lanes []alerting.LaneQuery) ([]alerting.LaneWork, error) {
	*t.calls++
	return t.Tx.FindWork(ctx, now, lanes)
}

func (t countingTx) JoinStorms(ctx context.Context, now time.Time, joins []alerting.StormJoin) ([]int, error) {
	*t.calls++
	return t.Tx.JoinStorms(ctx, now, joins)
}

func (t countingTx) FindRules(ctx context.Context) ([]alerting.RuleCount, error) {
	*t.calls++
	return t.Tx.FindRules(ctx)
}

func (t countingTx) FindLetters(ctx context.Context, which alerting.LetterQuery) ([]alerting.Stored, error) {
	*t.calls++
	return t.Tx.FindLetters(ctx, which)
}

func (t countingTx) FindOutbox(ctx context.Context, which alerting.OutboxQuery) ([]alerting.Stored, error) {
	*t.calls++
	return t.Tx.FindOutbox(ctx, which)
}

func (t countingTx) FindDevices(ctx context.Context, before time.Time, limit int) ([]string, int, error) {
	*t.calls++
	return t.Tx.FindDevices(ctx, before, limit)
}

// counted is an engine on a counting store, with a clock and the highest count of calls for each kind of work.
type counted struct {
	t       *testing.T
	engine  *alerting.Engine
	store   *counting
	now     time.Time
	highest map[string]int
}

func (c *counted) do(what string, do func() error) {
	c.t.Helper()
	c.store.calls = 0
	require.NoError(c.t, do())
	c.highest[what] = max(c.highest[what], c.store.calls)
}

// apply stores a batch of messages.
func (c *counted) apply(batch []alerting.Message) {
	c.t.Helper()
	c.do("batch", func() error { return c.engine.Apply(c.t.Context(), batch) })
}

// send claims and settles what is due for a minute, and returns the notices.
func (c *counted) send(limits alerting.Limits, result alerting.Result) (sent []alerting.Notice) {
	c.t.Helper()
	for end := c.now.Add(time.Minute); c.now.Before(end); c.now = c.now.Add(5 * time.Second) {
		var notices []alerting.Notice
		c.do("claim", func() (err error) {
			notices, err = c.engine.Claim(c.t.Context(), c.now, 128, limits)
			return err
		})
		answers := make([]alerting.Answer, len(notices))
		for i, n := range notices {
			answers[i] = alerting.Answer{Notice: n, Result: result, At: c.now, Retry: c.now.Add(time.Second), Reason: "no"}
		}
		c.do("settlement", func() error { return c.engine.Settle(c.t.Context(), answers) })
		sent = append(sent, notices...)
	}
	return sent
}

// paced returns a budget like that of the consumer by default.
func paced(ilert.IntegrationKey) alerting.Budget {
	return alerting.Budget{Any: 10, Singles: 7, Minute: 48, Kept: true}
}

// ordinaryDay returns calls of which one in a hundred fails.
func ordinaryDay(i int) decision.Message {
	kind, message := "success", "Performed power action"
	if i%100 == 0 {
		kind, message = "fail", "Exception in power action"
	}
	return rulestest.Say("mps/events", kind, "AMT_PowerAction", fmt.Sprintf("guid-%d", i%300), message)
}

func connects(i int) decision.Message {
	return rulestest.Say("mps/events", "success", "CIRA_Connected", fmt.Sprintf("guid-%d", i), "Device connected")
}

func disconnects(i int) decision.Message {
	return rulestest.Say("mps/events", "success", "CIRA_Disconnected", fmt.Sprintf("guid-%d", i), "Device disconnected")
}

func failures(i int) decision.Message {
	m := rulestest.Say("mps/events", "fail", "AMT_PowerAction", fmt.Sprintf("guid-%d", i%3000), "Exception in power action")
	m.Properties = []decision.Property{{Key: "outcome", Value: "server"}}
	return m
}

func TestWorkMakesFewCallsOfTheStore(t *testing.T) {
	t.Cleanup(alerting.StrictPlans())
	for name, day := range map[string]struct {
		presets []string
		of      func(int) decision.Message
		result  alerting.Result
		silent  bool
	}{
		"an ordinary day":     {[]string{"mps", "rps"}, ordinaryDay, alerting.Taken, true},
		"a disconnect storm":  {[]string{"mps", "rps"}, disconnects, alerting.Taken, false},
		"all calls fail":      {[]string{"mps", "rps"}, failures, alerting.Taken, false},
		"an alert for each":   {[]string{"calls"}, failures, alerting.Taken, false},
		"ilert refuses all":   {[]string{"calls"}, failures, alerting.Refused, false},
		"ilert takes nothing": {[]string{"calls"}, failures, alerting.NotTaken, false},
	} {
		for limit, limits := range map[string]alerting.Limits{"paced": paced, "unlimited": alerting.Unlimited} {
			t.Run(name+", "+limit, func(t *testing.T) {
				set := rulestest.Preset(t, day.presets...).Rules
				store := &counting{Store: memory.New()}
				c := &counted{t: t, engine: open(t, store, alerting.DefaultBounds), store: store, now: start, highest: map[string]int{}}
				play := func(batch int, of func(int) decision.Message) {
					messages := make([]alerting.Message, 1024)
					for i := range messages {
						m := of(batch*len(messages) + i)
						d := set.Decide(m)
						d.At = time.Time{} // it happens now
						messages[i] = alerting.Message{Filter: "f", Topic: m.Topic, Payload: m.Payload, ReceivedAt: c.now, Decision: d}
					}
					c.apply(messages)
				}
				for batch := range 10 {
					play(batch, connects)
				}
				c.now = c.now.Add(time.Hour) // the fleet is whole
				sent := 0
				for batch := range 10 { // minutes: longer than the rules wait for
					play(batch, day.of)
					sent += len(c.send(limits, day.result))
				}
				assert.Equal(t, day.silent, sent == 0, "%d notices", sent)
				for what, calls := range c.highest {
					assert.LessOrEqual(t, calls, maxCalls, what)
				}
			})
		}
	}
}

func TestANoticeWithManyNamesMakesFewCallsOfTheStore(t *testing.T) {
	t.Cleanup(alerting.StrictPlans())
	store := &counting{Store: memory.New()}
	c := &counted{t: t, engine: open(t, store, alerting.DefaultBounds), store: store, now: start, highest: map[string]int{}}
	w := &decision.Window{Rule: "site", Condition: decision.Condition{Length: 10 * time.Minute, Distinct: 100}, Held: true}
	messages := make([]alerting.Message, 1000)
	for i := range messages {
		messages[i] = message(
			decision.Hit{Window: w, Member: fmt.Sprint("device ", i), Raise: decision.Raise{Key: decision.Key{Alert: "site"}, Event: ilert.Event{Summary: "gone"}}},
			raise(doors, fmt.Sprint("door ", i)))
	}
	c.apply(messages)
	named := 0
	for _, n := range c.send(paced, alerting.Taken) {
		named = max(named, n.Named())
	}
	assert.Equal(t, 200, named)
	for what, calls := range c.highest {
		assert.LessOrEqual(t, calls, maxCalls, what)
	}
}

func TestABatchOfMessagesMakesFewCallsOfItsStore(t *testing.T) {
	store := &counting{Store: memory.New()}
	bounds := alerting.DefaultBounds
	bounds.Letters = 1000
	e := open(t, store, bounds)
	window := &decision.Window{Rule: "w", Condition: decision.Condition{Length: time.Hour, AtLeast: 2, Ratio: 0.01}, Fleet: true}
	batch := make([]alerting.Message, 1024)
	for again := range 3 {
		for i := range batch {
			name := fmt.Sprint(i)
			m := message(raise(doors, name), decision.Hit{Window: window, Group: fmt.Sprint(i % 100), Member: name, Raise: raise(doors, "w"+fmt.Sprint(i%100))},
				send(ilert.LiteralKey(fmt.Sprint(i%50)), name), decision.Leave{Rule: "w", Group: fmt.Sprint(i % 7), Member: "nobody"},
				decision.Break{Rule: "w", Group: fmt.Sprint(i % 11)}, decision.EndPrefix{Key: decision.Key{Integration: doors, Alert: fmt.Sprint(i % 300)}})
			m.Decision.Device, m.Fingerprint = name, uint64(1024*again+i+1)
			if i%2 == 0 {
				m.Decision = decision.Decision{Dead: "no JSON"}
			}
			batch[i] = m
		}
		store.calls = 0
		require.NoError(t, e.Apply(t.Context(), batch))
		assert.LessOrEqual(t, store.calls, maxCalls)
	}
	assert.Positive(t, e.Overflow().Letters, "also when the bounds are exceeded")
}

func TestMessagesOfAwaitedGroupsReadNoRows(t *testing.T) {
	t.Cleanup(alerting.StrictPlans())
	store := &counting{Store: memory.New()}
	c := &counted{t: t, engine: open(t, store, alerting.DefaultBounds), store: store, now: start, highest: map[string]int{}}
	c.engine.Listen(c.now)
	absence := &decision.Absence{Rule: "silent", After: time.Hour}
	for range 3 {
		messages := make([]alerting.Message, 1024)
		for i := range messages {
			key := decision.Key{Alert: fmt.Sprint(i % 300)}
			messages[i] = message(decision.Heard{Absence: absence, Group: key.Alert, Raise: decision.Raise{Rule: "silent", Key: key}})
		}
		c.apply(messages)
	}
	assert.LessOrEqual(t, c.highest["batch"], maxCalls)
	store.calls = 0
	c.apply([]alerting.Message{message(decision.Heard{Absence: absence, Group: "7", Raise: decision.Raise{Rule: "silent", Key: decision.Key{Alert: "7"}}})})
	assert.Equal(t, 1, store.calls, "the counters are saved, and nothing is loaded")

	c.now = c.now.Add(time.Hour)
	_, err := c.engine.Listened(t.Context(), c.now)
	require.NoError(t, err)
	assert.NotEmpty(t, c.send(paced, alerting.Taken))
	assert.LessOrEqual(t, c.highest["claim"], maxCalls)
}

// reading is a store that records the rules of which pages are read.
type reading struct {
	alerting.Store
	rules []string
}

func (r *reading) Update(ctx context.Context, do func(alerting.Tx) error) error {
	return r.Store.Update(ctx, func(tx alerting.Tx) error { return do(readingTx{tx, r}) })
}

type readingTx struct {
	alerting.Tx
	store *reading
}

func (t readingTx) Load(ctx context.Context, keys alerting.Keys, rows *alerting.Rows) error {
	for _, q := range keys.Rules {
		t.store.rules = append(t.store.rules, q.Rule)
	}
	return t.Tx.Load(ctx, keys, rows)
}

// A page is 2,000 alerts, and each message of a batch may end its rule.
func TestARuleThatABatchEndsOftenIsReadOnce(t *testing.T) {
	store := &reading{Store: memory.New()}
	e := open(t, store, alerting.DefaultBounds)
	batch := make([]alerting.Message, 1024)
	for i := range batch {
		batch[i] = message(decision.EndAll{Rule: "r"}, decision.EndAll{Rule: "q"})
	}
	require.NoError(t, e.Apply(t.Context(), batch))
	assert.Equal(t, []string{"r", "q"}, store.rules)
}
