package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// scenario is a "What if ..." of the page: a failure that lasts a few seconds and is then repaired.
type scenario struct {
	id, title string
	watch     string // what the visitor will see
	seconds   int    // its usual duration
	needs     need
	play      func(*scenarioRun)
}

// usual returns the usual duration.
func (sc scenario) usual() time.Duration { return time.Duration(sc.seconds) * time.Second }

// need is a set of parts that a scenario breaks, so they must not be real.
type need int

const (
	ownBroker need = 1 << iota // the embedded broker
	ownIlert                   // the stand-in
)

// maxScenario is the longest time that a visitor waits for the end of a scenario. One that only the flag
// --scenario offers may last longer.
const maxScenario = 20 * time.Second

// scenarioState is a scenario with its state and the outcome of its last run, as the page gets it.
type scenarioState struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Watch   string `json:"watch"`
	Seconds int    `json:"seconds"`
	State   string `json:"state"`            // idle, running, ended, stopped or unavailable
	Passed  int64  `json:"passed,omitempty"` // milliseconds since the start, while it runs
	Reason  string `json:"reason,omitempty"` // why it was stopped or is not available
	outcome
}

// outcome holds the counts of the time in which a scenario ran, whatever caused the events.
type outcome struct {
	Events  uint64 `json:"events"`
	Pages   uint64 `json:"pages"`
	Bridge  uint64 `json:"bridge"`  // alerts that a bridge with one alert per event would have sent
	Waiting uint64 `json:"waiting"` // events without an acknowledgement at the end
	Dropped uint64 `json:"dropped"`
	Unread  uint64 `json:"unread"` // events that the rules had not read at the end
}

// scenarioPlayer plays the scenarios, one at a time.
type scenarioPlayer struct {
	sim    *simulator
	wake   chan struct{}
	mu     sync.Mutex
	states []*scenarioState
	byID   map[string]scenario
	began  time.Time
	now    *scenarioState // nil: none runs
	cancel context.CancelCauseFunc
	next   *scenarioState
}

func newScenarioPlayer(s *simulator) *scenarioPlayer {
	g := &scenarioPlayer{sim: s, wake: make(chan struct{}, 1), byID: map[string]scenario{}}
	for _, sc := range scenarios(s.options) {
		a := &scenarioState{ID: sc.id, Title: sc.title, Watch: sc.watch, Seconds: sc.seconds, State: "idle"}
		switch {
		case sc.needs&ownBroker != 0 && s.options.broker.Address != "":
			a.State, a.Reason = "unavailable", "The broker is not mps-sim's to stop."
		case sc.needs&ownIlert != 0 && s.options.ilertURL != "":
			a.State, a.Reason = "unavailable", "ilert is not mps-sim's to stop."
		}
		g.states = append(g.states, a)
		g.byID[sc.id] = sc
	}
	return g
}

// list returns the current states of all scenarios.
func (g *scenarioPlayer) list() []scenarioState {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]scenarioState, len(g.states))
	for i, a := range g.states {
		all[i] = *a
		if a == g.now {
			all[i].Passed = time.Since(g.began).Milliseconds()
		}
	}
	return all
}

var (
	errStopped       = errors.New("stopped by you")
	errForOther      = errors.New("stopped for another")
	errPlayerStopped = errors.New("mps-sim stops")
)

// press starts a scenario, or stops it if it runs. If another scenario runs, press stops that one, so
// that the visitor does not wait.
func (g *scenarioPlayer) press(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var chosen *scenarioState
	for _, a := range g.states {
		if a.ID == id {
			chosen = a
		}
	}
	switch {
	case chosen == nil:
		return fmt.Errorf("no scenario is called %q", id)
	case chosen.State == "unavailable":
		return errors.New(chosen.Reason)
	case g.now == chosen:
		g.next = nil
		g.cancel(errStopped)
		return nil
	case g.now != nil:
		g.cancel(errForOther)
	}
	g.next = chosen
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return nil
}

// run plays the scenarios that are pressed until ctx ends. The flag --scenario presses the first.
func (g *scenarioPlayer) run(ctx context.Context) {
	if id := g.sim.options.scenario; id != "" {
		_ = g.press(id) // parseOptions has checked it
	}
	for {
		select {
		case <-g.wake:
		case <-ctx.Done():
			return
		}
		for {
			g.mu.Lock()
			a := g.next
			if a == nil || ctx.Err() != nil {
				g.mu.Unlock()
				break
			}
			playing, cancel := context.WithCancelCause(ctx)
			g.next, g.now, g.cancel, g.began = nil, a, cancel, time.Now()
			a.State, a.Reason, a.outcome = "running", "", outcome{}
			g.mu.Unlock()
			done := g.playToEnd(playing, g.byID[a.ID])
			g.mu.Lock()
			a.State, a.outcome = "ended", done
			if err := context.Cause(playing); err != nil {
				a.State, a.Reason = "stopped", err.Error()
			}
			g.now = nil
			g.mu.Unlock()
			cancel(errPlayerStopped)
		}
	}
}

// playToEnd plays a scenario, repairs the damage, and waits until the rules have read all events and
// all alerts have ended.
func (g *scenarioPlayer) playToEnd(ctx context.Context, sc scenario) outcome {
	s := g.sim
	s.traffic.setQuiet(true)
	defer s.traffic.setQuiet(false)
	before := s.count(ctx)
	p := &scenarioRun{Context: ctx, sim: s, before: before, until: time.Now().Add(max(maxScenario, sc.usual()*3/2))}
	sc.play(p)
	p.repair()
	p.await(func(n numbers) bool {
		return n.Waiting == 0 && n.unread(before) == 0 && n.Open <= before.Open && n.Unsent == 0
	})
	n := s.count(context.WithoutCancel(ctx))
	return outcome{
		Events: n.Accepted - before.Accepted, Pages: n.Pages - before.Pages, Bridge: n.Bridge - before.Bridge,
		Waiting: n.Waiting, Dropped: n.Dropped - before.Dropped, Unread: n.unread(before),
	}
}

// unread returns the number of events that publishers have accepted since before and the rules have
// not read. The rules may have read more, because other clients may publish too.
func (n numbers) unread(before numbers) uint64 {
	accepted, read := n.Accepted-before.Accepted, n.Read-before.Read
	if read >= accepted || n.Read == 0 {
		return 0
	}
	return accepted - read
}

// scenarioRun is a running scenario. Its context ends when the scenario is stopped.
type scenarioRun struct {
	context.Context
	sim    *simulator
	before numbers
	until  time.Time
	undo   []func() // the repair, in reverse order
}

// onRepair adds a function to the repair.
func (p *scenarioRun) onRepair(undo func()) { p.undo = append(p.undo, undo) }

// repair undoes all that the scenario has broken so far. It also runs at the end of the scenario.
func (p *scenarioRun) repair() {
	for len(p.undo) > 0 {
		last := p.undo[len(p.undo)-1]
		p.undo = p.undo[:len(p.undo)-1]
		last()
	}
}

// wait waits for the time d, and returns false if the scenario is stopped.
func (p *scenarioRun) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.Done():
		return false
	}
}

// await waits until ok accepts the numbers, the scenario is stopped, or maxScenario has passed.
func (p *scenarioRun) await(ok func(numbers) bool) {
	for time.Now().Before(p.until) && !ok(p.sim.count(p)) {
		if !p.wait(100 * time.Millisecond) {
			return
		}
	}
}

// maxAwaitPage is the longest time that the rules of the demo need to raise an alert.
const maxAwaitPage = 8 * time.Second

// awaitPage waits until ilert has got an alert since the scenario began, but no longer than
// maxAwaitPage.
func (p *scenarioRun) awaitPage() {
	until := time.Now().Add(maxAwaitPage)
	p.await(func(n numbers) bool { return n.Pages > p.before.Pages || time.Now().After(until) })
}
