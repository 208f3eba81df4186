package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// scenario is one "What if ...": something that goes wrong for a few seconds and is put right.
type scenario struct {
	id, title string
	watch     string // what to look at
	seconds   int    // in which it is over, as a rule
	needs     need
	play      func(*performance)
}

// need is what has to be ours for a scenario.
type need int

const (
	ownBroker need = 1 << iota // the embedded broker
	ownIlert                   // the stand-in
)

// maxScenario is the longest time that a visitor waits for the end of a scenario.
const maxScenario = 20 * time.Second

// act is a scenario and what became of it. The page gets it as it is here.
type act struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Watch   string `json:"watch"`
	Seconds int    `json:"seconds"`
	State   string `json:"state"`            // idle, running, ended, stopped or unavailable
	Passed  int64  `json:"passed,omitempty"` // milliseconds, of one that runs
	Told    string `json:"told,omitempty"`   // why it was stopped, or is not available
	outcome
}

// outcome is what was counted while a scenario ran, whatever the cause.
type outcome struct {
	Events  uint64 `json:"events"`
	Pages   uint64 `json:"pages"`
	Bridge  uint64 `json:"bridge"`  // what a bridge that maps one to one would have sent
	Waiting uint64 `json:"waiting"` // events that were not acknowledged in the end
	Dropped uint64 `json:"dropped"`
	Unread  uint64 `json:"unread"` // events that the rules had not read in the end
}

// stage plays the scenarios, one at a time.
type stage struct {
	sim    *simulator
	wake   chan struct{}
	mu     sync.Mutex
	acts   []*act
	plays  map[string]scenario
	began  time.Time
	now    *act // nil: none runs
	cancel context.CancelCauseFunc
	next   *act
}

func newStage(s *simulator) *stage {
	g := &stage{sim: s, wake: make(chan struct{}, 1), plays: map[string]scenario{}}
	for _, sc := range scenarios(s.options) {
		a := &act{ID: sc.id, Title: sc.title, Watch: sc.watch, Seconds: sc.seconds, State: "idle"}
		switch {
		case sc.needs&ownBroker != 0 && s.options.broker.Address != "":
			a.State, a.Told = "unavailable", "The broker is not mps-sim's to stop."
		case sc.needs&ownIlert != 0 && s.options.ilertURL != "":
			a.State, a.Told = "unavailable", "ilert is not mps-sim's to stop."
		}
		g.acts = append(g.acts, a)
		g.plays[sc.id] = sc
	}
	return g
}

// list returns all acts as they stand.
func (g *stage) list() []act {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]act, len(g.acts))
	for i, a := range g.acts {
		all[i] = *a
		if a == g.now {
			all[i].Passed = time.Since(g.began).Milliseconds()
		}
	}
	return all
}

var (
	errStopped   = errors.New("stopped by you")
	errForOther  = errors.New("stopped for another")
	errStageOver = errors.New("mps-sim stops")
)

// press starts a scenario, or stops it if it runs. What runs ends at once, so that nobody waits
// for a turn.
func (g *stage) press(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var chosen *act
	for _, a := range g.acts {
		if a.ID == id {
			chosen = a
		}
	}
	switch {
	case chosen == nil:
		return fmt.Errorf("no scenario is called %q", id)
	case chosen.State == "unavailable":
		return errors.New(chosen.Told)
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

// run plays what is pressed until ctx ends.
func (g *stage) run(ctx context.Context) {
	if id := g.sim.options.scenario; id != "" {
		_ = g.press(id) // the flags were looked at
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
			a.State, a.Told, a.outcome = "running", "", outcome{}
			g.mu.Unlock()
			done := g.perform(playing, g.plays[a.ID])
			g.mu.Lock()
			a.State, a.outcome = "ended", done
			if err := context.Cause(playing); err != nil {
				a.State, a.Told = "stopped", err.Error()
			}
			g.now = nil
			g.mu.Unlock()
			cancel(errStageOver)
		}
	}
}

// perform plays a scenario, puts all right, and waits until its last event has arrived and its
// last alert has ended.
func (g *stage) perform(ctx context.Context, sc scenario) outcome {
	s := g.sim
	s.traffic.setQuiet(true)
	defer s.traffic.setQuiet(false)
	before := s.count(ctx)
	p := &performance{Context: ctx, sim: s, before: before, until: time.Now().Add(maxScenario)}
	sc.play(p)
	p.repair()
	p.await(func(n numbers) bool {
		return n.Waiting == 0 && n.unread(before) == 0 && n.Open <= before.Open && n.Untold == 0
	})
	n := s.count(context.WithoutCancel(ctx))
	return outcome{
		Events: n.Accepted - before.Accepted, Pages: n.Pages - before.Pages, Bridge: n.Bridge - before.Bridge,
		Waiting: n.Waiting, Dropped: n.Dropped - before.Dropped, Unread: n.unread(before),
	}
}

// unread returns how many of the events that were accepted since before the rules have not read.
// Others may publish to the broker, too, so they may have read more.
func (n numbers) unread(before numbers) uint64 {
	accepted, read := n.Accepted-before.Accepted, n.Read-before.Read
	if read >= accepted || n.Read == 0 {
		return 0
	}
	return accepted - read
}

// performance is a scenario under way. Its context ends when it is stopped.
type performance struct {
	context.Context
	sim    *simulator
	before numbers
	until  time.Time
	undo   []func()
}

// finally puts something right at the end of the scenario, or earlier by repair.
func (p *performance) finally(undo func()) { p.undo = append(p.undo, undo) }

// repair puts all right that has gone wrong so far.
func (p *performance) repair() {
	for len(p.undo) > 0 {
		last := p.undo[len(p.undo)-1]
		p.undo = p.undo[:len(p.undo)-1]
		last()
	}
}

// wait lets time pass, and returns false if the scenario was stopped.
func (p *performance) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.Done():
		return false
	}
}

// await waits until the numbers are as they should be, the scenario is stopped or its time is up.
func (p *performance) await(ok func(numbers) bool) {
	for time.Now().Before(p.until) && !ok(p.sim.count(p)) {
		if !p.wait(100 * time.Millisecond) {
			return
		}
	}
}

// maxAwaitPage is the longest time in which the rules of the demo make a page.
const maxAwaitPage = 8 * time.Second

// awaitPage waits until a page more than before was sent, but no longer than maxAwaitPage.
func (p *performance) awaitPage() {
	until := time.Now().Add(maxAwaitPage)
	p.await(func(n numbers) bool { return n.Pages > p.before.Pages || time.Now().After(until) })
}
