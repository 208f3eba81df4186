package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// A look compares what ilert shows with the alerts. Of each alert that ilert has taken it finds whether ilert shows it as
// it should, and mends what differs: an alert that is missing is sent again, and the end of one that is still shown. What
// people have done at ilert is respected: an alert that somebody has accepted is quiet, and one that somebody has
// closed is left in peace for the interval of repeats. What the engine has not raised it never touches.

// Shown is the state of an alert as ilert shows it.
type Shown string

// The values of Shown.
const (
	ShownUnknown  Shown = ""         // no look has found out since the alert was sent
	ShownOpen     Shown = "open"     // ilert shows it, and nobody has accepted it
	ShownAccepted Shown = "accepted" // ilert shows it, and somebody looks after it
	ShownMissing  Shown = "missing"  // ilert does not show it
	ShownClosed   Shown = "closed"   // a person has closed it at ilert
)

// Look is the list of open and ended alerts that ilert shows for some integration keys.
type Look struct {
	Began time.Time // when the first page of the list was asked for
	// Delay is the time that ilert may need until it shows what it has taken. What was sent after Began less Delay is
	// not judged.
	Delay time.Duration
	// Until is the time until which the look is news: until then no alert of these integration keys is repeated only
	// because time has passed.
	Until   time.Time
	Sources map[ilert.IntegrationKey]*Source // keys of one alert source have the same pointer
}

// Source is an alert source as ilert shows it.
type Source struct {
	Well bool                 // neither in maintenance nor disabled, so that events have an effect
	Open map[string]bool      // folded alert keys of the open alerts, and whether each is accepted
	Ends map[string]time.Time // folded alert keys of alerts that ended while the source was well, and the last end
}

// Resolution is the end of an alert that ilert has taken. It is kept until a look finds that ilert does not show the
// alert any more.
type Resolution struct {
	ID       AlertID
	AlertKey string
	Rule     string
	Storm    bool // it was the storm of the rule
	Body     string
	Priority string
	Since    time.Time // when the end was sent first
	At       time.Time // when it was sent last
}

// resolutionMemory is the time for which a resolution is kept that no look confirms.
const resolutionMemory = 7 * 24 * time.Hour

// maxLookAgain is the longest time after which an alert is sent again that ilert does not show, however often it was
// sent before.
const maxLookAgain = 4 * time.Hour

// Repairs counts what looks have mended, by kind.
type Repairs struct {
	ToldAgain uint64 `json:"toldAgain"` // alerts that were missing
	Resolved  uint64 `json:"resolved"`  // alerts that were still open after their end
	Accepted  uint64 `json:"accepted"`  // acceptances that ilert had lost
}

// Looked is the result of a look.
type Looked struct {
	Sources map[ilert.IntegrationKey]Compared
	Repairs Repairs
	// Accepted and Closed count the alerts of which the look has found for the first time that a person has accepted
	// or closed them at ilert.
	Accepted, Closed int
}

// Compared counts the alerts of an integration key by what the engine knows and what ilert shows.
type Compared struct {
	Desired  int `json:"desired"`  // should be open at ilert by themselves now
	Told     int `json:"told"`     // ilert has taken them, or may have
	Shown    int `json:"shown"`    // ilert shows them open
	Accepted int `json:"accepted"` // of Shown: somebody looks after them
	Closed   int `json:"closed"`   // a person has closed them at ilert, and they are left in peace
	Fresh    int `json:"fresh"`    // wait, or were sent so lately that the look says nothing about them
	// Differ counts the alerts of which ilert does not show what it should: missing ones, those that a person has closed,
	// and those that are shown although they have ended. DifferSince is the time at which the first was found.
	Differ      int       `json:"differ"`
	DifferSince time.Time `json:"differSince,omitzero"`
	Others      int       `json:"others"` // open alerts at ilert that the engine has not raised
}

func (c *Compared) differs(since time.Time) {
	c.Differ++
	c.DifferSince = earlier(c.DifferSince, since)
}

// UseLooks makes the engine remember ends of alerts until a look has confirmed them. Call it before the first look, and
// before all methods that change alerts.
func (e *Engine) UseLooks() { e.looks = true }

// IntegrationKeys returns the integration keys of the alerts of all rules.
func (e *Engine) IntegrationKeys(ctx context.Context) (keys []ilert.IntegrationKey, err error) {
	err = e.view(ctx, func(w *work) error {
		rules, err := w.tx.FindRules(ctx)
		for _, r := range rules {
			if r.Open > 0 && !slices.Contains(keys, r.Key) {
				keys = append(keys, r.Key)
			}
		}
		return err
	})
	return keys, err
}

// Missing reports whether a look would send alerts again because ilert does not show them, and since when these may
// have been open. The caller then looks for them once more: a page of a list can lack an alert because another one
// has ended meanwhile, and a person may have closed them.
func (e *Engine) Missing(ctx context.Context, look *Look) (since time.Time, some bool, err error) {
	err = e.eachAlert(ctx, func(page []*Alert) error {
		for _, a := range page {
			if look.find(a) == missingThere {
				some, since = true, earlier(since, a.OpenedAt)
			}
		}
		return nil
	})
	return since, some, err
}

// eachAlert calls do with pages of all alerts in the order of their identities. A page is read beside Update.
func (e *Engine) eachAlert(ctx context.Context, do func(page []*Alert) error) error {
	var after AlertID
	for {
		var page []*Alert
		err := e.view(ctx, func(w *work) (err error) {
			page, err = w.tx.FindAlerts(ctx, after, maxPage)
			return err
		})
		if err == nil {
			err = do(page)
		}
		if err != nil || len(page) < maxPage {
			return err
		}
		after = page[len(page)-1].ID
	}
}

// Look compares all alerts with what ilert shows, as of a time, and mends what differs. It works in pages, each of which
// is a transaction, and only on what changes.
func (e *Engine) Look(ctx context.Context, now time.Time, look *Look) (looked Looked, err error) {
	now = now.Truncate(time.Millisecond)
	looked.Sources = map[ilert.IntegrationKey]Compared{}
	ours := map[*Source]int{}
	for key := range look.Sources {
		looked.Sources[key] = Compared{}
	}
	err = e.eachAlert(ctx, func(page []*Alert) error {
		var changed []AlertID
		for _, a := range page {
			look.compare(a, now, &looked, ours)
			if look.changes(a) {
				changed = append(changed, a.ID)
			}
		}
		return e.inPages(ctx, changed, func(w *work, ids []AlertID) error { return w.mend(look, ids, now, &looked) })
	})
	if err == nil {
		err = e.lookAtEnds(ctx, now, look, &looked, ours)
	}
	if err != nil {
		return looked, err
	}
	for key, s := range look.Sources {
		c := looked.Sources[key]
		c.Others = len(s.Open) - ours[s]
		looked.Sources[key] = c
	}
	return looked, e.update(ctx, func(w *work) error {
		w.onCommit(func() {
			e.lookedUntil = map[ilert.IntegrationKey]time.Time{}
			for key := range look.Sources {
				e.lookedUntil[key] = look.Until
			}
		})
		return nil
	})
}

// compare counts an alert.
func (l *Look) compare(a *Alert, now time.Time, looked *Looked, ours map[*Source]int) {
	s := l.Sources[a.ID.Integration]
	if s == nil {
		return
	}
	c := looked.Sources[a.ID.Integration]
	defer func() { looked.Sources[a.ID.Integration] = c }()
	accepted, shown := s.Open[a.ID.Folded]
	if shown {
		ours[s]++
	}
	if !a.open() || a.Storm == InStorm {
		return
	}
	if a.Told == Nothing && (a.isHeld() || a.IsEndHeldUnsent() || a.Tries == 0 && a.NextTry.After(now)) {
		return // it should not be open yet
	}
	c.Desired++
	if a.Told != Nothing {
		c.Told++
	}
	if shown {
		c.Shown++
	}
	if accepted {
		c.Accepted++
	}
	since := a.DiffersSince
	if since.IsZero() {
		since = l.Began
	}
	switch found := l.find(a); {
	case found == unjudged && !shown && a.DiffersSince.IsZero():
		c.Fresh++
	case found == closedThere, found == asItShouldBe && !shown:
		c.Closed++
		c.differs(since)
	case found == acceptanceLost, found == lostForNow, found == missingForNow, found == missingThere, found == unjudged && !shown && !a.DiffersSince.IsZero():
		c.differs(since)
	}
}

// inPages calls do in transactions of their own with pages of identities.
func (e *Engine) inPages(ctx context.Context, all []AlertID, do func(w *work, ids []AlertID) error) error {
	for ids := range slices.Chunk(all, max(maxPage/reviewShare, 1)) {
		if err := e.update(ctx, func(w *work) error { return do(w, ids) }); err != nil {
			return err
		}
	}
	return nil
}

// mend changes the alerts of a page as the look finds them now.
func (w *work) mend(look *Look, ids []AlertID, now time.Time, looked *Looked) error {
	if err := w.loadAll(Keys{Alerts: ids}); err != nil {
		return err
	}
	var done Looked
	for _, id := range ids {
		if a := w.alert(id); a != nil && look.changes(a) {
			w.mendAlert(look, a, &origin{at: now, arrived: now}, &done)
		}
	}
	w.onCommit(func() {
		looked.Repairs.ToldAgain += done.Repairs.ToldAgain
		looked.Repairs.Accepted += done.Repairs.Accepted
		looked.Accepted += done.Accepted
		looked.Closed += done.Closed
	})
	return nil
}

func (w *work) mendAlert(look *Look, a *Alert, o *origin, done *Looked) {
	found := look.find(a)
	switch found {
	case asItShouldBe:
		a.Shown = look.shown(a)
		if a.Shown != ShownClosed {
			a.DiffersSince = time.Time{}
		}
	case acceptedThere:
		done.Accepted++
		a.Shown, a.DiffersSince = ShownAccepted, time.Time{}
		w.note(o, personal(entryOf(Accepted, a)))
		if a.Storm != IsStorm { // members may join it, which the person does not know
			a.become(ilert.Accept)
		}
	case acceptanceUndone:
		a.Shown, a.DiffersSince = ShownOpen, time.Time{}
		a.become(ilert.Alert)
	case acceptanceLost, lostForNow:
		a.Shown = ShownOpen
		a.markDiffering(look.Began)
		if found == acceptanceLost {
			done.Repairs.Accepted++
			a.setDesired(ilert.Accept, o)
		}
	case closedThere:
		done.Closed++
		end := look.Sources[a.ID.Integration].Ends[a.ID.Folded]
		a.Shown = ShownClosed
		a.markDiffering(end)
		a.become(ilert.Alert)
		if a.RepeatAt = (time.Time{}); w.repeatInterval(a) > 0 {
			a.RepeatAt = end.Add(w.repeatInterval(a)).Truncate(time.Millisecond)
		}
		e := personal(entryOf(ClosedThere, a))
		e.Due = a.RepeatAt
		w.note(o, e)
	default:
		a.Shown = ShownMissing
		a.markDiffering(look.Began)
		if found == missingThere {
			done.Repairs.ToldAgain++
			w.noteAlert(MissingThere, a, o)
			a.Told = Nothing // so that many of them can become a storm
			a.setDesired(ilert.Alert, o)
		}
	}
	w.keep(a)
}

// personal returns an entry about what a person has done.
func personal(e Entry) Entry {
	e.By = ByPerson
	return e
}

func (a *Alert) markDiffering(since time.Time) {
	if a.DiffersSince.IsZero() {
		a.DiffersSince = since.Truncate(time.Millisecond)
	}
}

// become sets both the desired state and the one that was sent last: ilert has changed it.
func (a *Alert) become(state ilert.Type) {
	if a.Desired != state {
		a.Desired, a.Told = state, state
		a.Version++
	}
}

// isLeftInPeace reports whether a person has closed the alert at ilert, and it is not to be sent again yet.
func (a *Alert) isLeftInPeace(at time.Time) bool {
	return a.Shown == ShownClosed && at.Before(a.RepeatAt) || a.Shown == ShownAccepted
}
