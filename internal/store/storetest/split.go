package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var splitTests = []test{
	testANoticeOfAStormThatIlertRefusesIsSentInHalvesUntilTheCulpritIsFound,
	testAnAlertThatOnlyAListCannotHoldIsSentAlone,
	testAlertsWhoseStormIlertRefusesAreSentAlone,
	testAStormChangesWhileItsNoticeIsHalved,
	testAMessageThatWaitsWithAStormOutlivesTheHalves,
	testALetterOfACulpritCanBeRetried,
	testAnAnswerIsLeftAsItIs,
	testStormsEndWellWhateverHappens,
}

func testANoticeOfAStormThatIlertRefusesIsSentInHalvesUntilTheCulpritIsFound(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		alerts      int
		culprit     func(n int) bool
		maxRequests int
	}{
		"the first of 200":  {200, func(n int) bool { return n == 0 }, 20},
		"the last of 200":   {200, func(n int) bool { return n == 199 }, 20},
		"one of 99":         {99, func(n int) bool { return n == 42 }, 20},
		"two of 450":        {450, func(n int) bool { return n == 17 || n == 333 }, 50},
		"every tenth of 90": {90, func(n int) bool { return n%10 == 9 }, 100},
		"all of 30":         {30, func(int) bool { return true }, 30 + 30 + 5},
	} {
		for fault, breaks := range map[string]func(int) (alerting.Result, bool){
			"":                nil,
			", with restarts": func(request int) (alerting.Result, bool) { return alerting.Taken, request%3 == 1 },
			", without answers": func(request int) (alerting.Result, bool) {
				return []alerting.Result{alerting.Unknown, alerting.Taken}[request%2], false
			},
			", out of order": func(request int) (alerting.Result, bool) {
				return []alerting.Result{alerting.NotTaken, alerting.Taken}[request%2], false
			},
		} {
			if fault != "" && c.alerts > 100 {
				continue // a large storm shows nothing that a small one does not, and takes longer
			}
			t.Run(name+fault, func(t *testing.T) {
				b := open(t)
				all := b.fails("r", 0, c.alerts)
				var culprits, innocent []string
				for n, name := range all {
					if c.culprit(n) {
						culprits = append(culprits, name)
					} else {
						innocent = append(innocent, name)
					}
				}
				p := &picky{dislikes: naming(culprits...), breaks: breaks}
				b.sends(p)
				var dead []string
				for _, l := range b.letters() {
					assert.Equal(t, alerting.OfAlert, l.Kind)
					dead = append(dead, string(l.Payload))
				}
				slices.Sort(dead)
				assert.Equal(t, culprits, dead)
				for _, name := range innocent {
					assert.Positive(t, p.listed[name], name)
					if fault == "" {
						assert.Equal(t, 1, p.listed[name], name)
					}
				}
				if fault != "" {
					c.maxRequests *= 2
				}
				assert.LessOrEqual(t, p.requests, c.maxRequests)
				assert.Equal(t, alerting.Tally{Received: uint64(len(all)), Delivered: uint64(len(innocent)), Dead: uint64(len(culprits))}, b.tally())

				// All alerts end, and the storm with the last of them.
				for _, name := range all {
					b.does(ending(name))
				}
				var ends []string
				for some := b.passes(); len(some) > 0; some = b.passes() {
					ends = append(ends, some...)
				}
				if len(innocent) > 0 {
					assert.Contains(t, ends, "RESOLVE LOW storm/r all alerts of rule r have ended")
				}
				if fault == "" { // with faults ilert may know culprits, too
					assert.Len(t, ends, min(len(innocent), 1))
				}
				assert.Zero(t, b.tally().Pending)
				assert.Equal(t, time.Duration(-1), b.next())
			})
		}
	}
}

// ilert may take an alert alone whose name it refuses in the notice of a storm. The alert stays out of the storm.
func testAnAlertThatOnlyAListCannotHoldIsSentAlone(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20)
	culprit := naming("r0007")
	p := &picky{dislikes: func(e ilert.Event) bool { return inStorm(e) && culprit(e) }}
	b.sends(p)
	assert.Equal(t, []string{"r0007"}, p.singles)
	assert.Len(t, p.listed, 19)
	assert.Empty(t, b.letters())
	requests := p.requests
	b.fails("r", 20, 40)
	b.fails("r", 7, 8)
	b.sends(p)
	assert.Len(t, p.listed, 39)
	assert.LessOrEqual(t, p.requests, requests+2, "it does not join the storm again")
	b.does(ending("r0007"))
	assert.Equal(t, []string{"RESOLVE LOW r0007 r0007 failed"}, b.passes())
	assert.Equal(t, alerting.Tally{Received: 42, Delivered: 41, Merged: 1}, b.tally())
}

// If ilert refuses each notice of a storm, the engine sends each alert alone.
func testAlertsWhoseStormIlertRefusesAreSentAlone(t *testing.T, open opener) {
	b := open(t)
	all := b.fails("r", 0, 50)
	p := &picky{dislikes: inStorm}
	b.sends(p)
	assert.ElementsMatch(t, all, p.singles)
	assert.LessOrEqual(t, p.requests, 2*50+10)
	assert.Equal(t, alerting.Tally{Received: 50, Delivered: 50}, b.tally())
	assert.Equal(t, time.Duration(-1), b.next())
}

// Members join and leave the storm while the engine looks for the culprit.
func testAStormChangesWhileItsNoticeIsHalved(t *testing.T, open opener) {
	b := open(t)
	all := b.fails("r", 0, 100)
	p := &picky{listed: map[string]int{}, dislikes: naming("r0042")}
	ended, come := map[string]bool{}, 100
	for step := 0; ; step++ {
		due := b.narrowly()
		if len(due) == 0 {
			break
		}
		for _, n := range due {
			if step < 20 { // the members change while the request is under way
				gone := all[step*4%len(all)]
				b.does(ending(gone))
				ended[gone] = true
				all = append(all, b.fails("r", come, come+3)...)
				come += 3
			}
			p.answer(b, n)
		}
	}
	for _, name := range all {
		if name != "r0042" && !ended[name] {
			assert.Equal(t, 1, p.listed[name]+count(p.singles, name), name)
		}
	}
	require.Len(t, b.letters(), 1)
	assert.Equal(t, "r0042", string(b.letters()[0].Payload))
	assert.Zero(t, b.tally().Pending)
	for _, name := range all {
		b.does(ending(name))
	}
	b.passes()
	assert.Zero(t, b.tally().Pending)
	assert.Equal(t, time.Duration(-1), b.next())
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// A message that raises the priority of a storm, or reminds of it, waits with the storm and not with a member.
func testAMessageThatWaitsWithAStormOutlivesTheHalves(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20)
	b.passes()
	r := raising("r0003")
	r.Event.Priority = "HIGH"
	b.does(r)
	b.fails("r", 20, 40)
	p := &picky{dislikes: naming("r0033")}
	b.sends(p)
	assert.Equal(t, alerting.Tally{Received: 41, Delivered: 40, Dead: 1}, b.tally())
	assert.Equal(t, "r0033", string(b.letters()[0].Payload))

	b.later(time.Hour)
	b.does(r)
	p = &picky{dislikes: naming("r0004")}
	b.sends(p)
	assert.Equal(t, alerting.Tally{Received: 42, Delivered: 41, Dead: 1}, b.tally(), "a reminder needs no culprit")
	b.later(time.Hour)
	b.does(r)
	b.sends(&picky{dislikes: inStorm})
	assert.Equal(t, alerting.Tally{Received: 43, Delivered: 41, Dead: 2}, b.tally())
}

func testALetterOfACulpritCanBeRetried(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20)
	p := &picky{dislikes: naming("r0007")}
	b.sends(p)
	requests := p.requests
	b.fails("r", 20, 40)
	require.Empty(t, b.revive(b.letters()[0], raise("r0007")))
	b.sends(p)
	assert.LessOrEqual(t, p.requests, requests+3, "it does not join the storm again")
	assert.Len(t, b.letters(), 1)
	require.Empty(t, b.revive(b.letters()[0], raise("r0007")))
	b.sends(&picky{dislikes: naming()})
	assert.Equal(t, alerting.Tally{Received: 40, Delivered: 40}, b.tally())
}

// If a transaction fails, the consumer settles the same answers again. So Settle must not change them.
func testAnAnswerIsLeftAsItIs(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 20)
	answers := []alerting.Answer{{Notice: b.narrowly()[0], Result: alerting.Refused, At: b.now}}
	require.NoError(t, b.Settle(t.Context(), answers))
	assert.Equal(t, alerting.Refused, answers[0].Result)

	b = open(t)
	b.does(raising("a"))
	b.taken()
	b.does(accepting("a"))
	b.taken()
	b.does(ending("a"))
	end := b.claim()
	b.does(raising("a"))
	answers = []alerting.Answer{{Notice: end[0], Result: alerting.Refused, At: b.now}}
	before := answers[0]
	require.NoError(t, b.Settle(t.Context(), answers))
	assert.Equal(t, before, answers[0])
}

// Two rules whose names differ by case have storms, with two alerts that ilert refuses. Messages, answers and
// restarts come in random order.
func testStormsEndWellWhateverHappens(t *testing.T, open opener) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 4))
			b := open(t)
			isOpen, culprits := map[string]bool{}, []string{"R7", "r57"}
			refused, halves := naming(culprits...), 0
			answer := func(n alerting.Notice, result alerting.Result) {
				key := strings.ToLower(n.Event.AlertKey)
				switch {
				case n.Event.EventType == ilert.Alert && refused(n.Event):
					result = alerting.Refused
					if len(names(n.Event)) > 1 {
						halves++
					}
				case result == alerting.Taken, result == alerting.Unknown && random.IntN(2) == 0:
					isOpen[key] = n.Event.EventType != ilert.Resolve
				}
				b.settle(n, result)
			}
			var underWay []alerting.Notice
			for range 400 {
				rule, n := []string{"R", "r"}[random.IntN(2)], random.IntN(40)
				switch random.IntN(8) {
				case 0, 1:
					m := raising(fmt.Sprint(rule, n+[]int{0, 40}[strings.Index("Rr", rule)]))
					m.Rule, m.Event.Priority = rule, []string{"LOW", "HIGH"}[random.IntN(2)]
					b.does(m)
				case 2:
					b.fails(rule, 1000+n, 1012+n)
				case 3:
					b.does(ending(fmt.Sprintf("%s%04d", rule, 1000+n)), ending(fmt.Sprint(rule, n)))
				case 4:
					underWay = append(underWay, b.narrowly()...)
				case 5, 6:
					if len(underWay) > 0 {
						i := random.IntN(len(underWay))
						answer(underWay[i], []alerting.Result{alerting.Taken, alerting.Taken, alerting.Unknown, alerting.NotTaken}[random.IntN(4)])
						underWay = slices.Delete(underWay, i, i+1)
					}
				default:
					b.later(time.Minute)
					if random.IntN(5) == 0 {
						b.restart()
						for _, n := range underWay { // ilert may have taken them
							if random.IntN(2) == 0 && !refused(n.Event) {
								isOpen[strings.ToLower(n.Event.AlertKey)] = n.Event.EventType != ilert.Resolve
							}
						}
						underWay = nil
					}
				}
			}
			drain := func() {
				for ; len(underWay) > 0; underWay = b.narrowly() {
					for _, n := range underWay {
						answer(n, alerting.Taken)
					}
				}
			}
			underWay = append(underWay, b.narrowly()...)
			drain()
			assert.Zero(t, b.tally().Pending)
			b.does(decision.EndAll{Rule: "R"})
			b.does(decision.EndAll{Rule: "r"})
			underWay = b.narrowly()
			drain()
			for key, open := range isOpen {
				assert.False(t, open, key)
			}
			assert.Zero(t, b.tally().Pending)
			for _, l := range b.letters() {
				assert.Empty(t, l.Payload, "it is innocent") // only the messages of culprits have a payload
			}
			assert.Equal(t, time.Duration(-1), b.next())
			t.Logf("%d lists were refused, %d letters", halves, len(b.letters()))
		})
	}
}
