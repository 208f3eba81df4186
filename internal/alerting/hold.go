package alerting

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// An alert may be raised and yet not be sent, because another alert is open that explains it, or because a person has
// silenced it. Such an alert is held. It stays in its row with the reason, belongs to no storm, and is sent when the
// reason goes, if it is still open then. Each transaction decides anew about the alerts that it changes. When a reason
// comes or goes, the engine notes a review, and the next Claim looks at the alerts concerned, a page at a time, before
// it sends anything.

// maxUnless is the number of alerts that an alert may depend on.
const maxUnless = 5

// maxChain is the number of held alerts that hold each other in turn. A longer chain holds no further alert.
const maxChain = 10

// maxDepended is the number of alerts that are not open and that the engine remembers because others depend on them.
// If it forgets one, an alert that waits already is not held when that one opens.
const maxDepended = 100_000

// maxReviews is the number of reviews that one transaction works on together.
const maxReviews = 100

// atOnce is the time at which a Claim is due that has to review held alerts.
var atOnce = time.UnixMilli(1)

// reviewShare is the part of maxPage that one transaction reviews: to hold an alert takes longer than to end it.
const reviewShare = 4

// holds is the memory of the engine about held alerts and their reasons.
type holds struct {
	silences []Silence        // the active ones
	depended map[AlertID]bool // alerts on which others depend, and whether each is open
	reviews  []review
}

// review is the order to decide anew about alerts: those that depend on an alert, or all that wait.
type review struct {
	on    AlertID // zero: all
	after *Alert  // the last one of the page before; nil: none yet
}

// foldedList returns alert keys as Alert.Unless holds them.
func foldedList(keys []string) string {
	var all []string
	for _, key := range keys {
		if id := idOf(decision.Key{Alert: key}); id.Folded != "" && !slices.Contains(all, id.Folded) && len(all) < maxUnless {
			all = append(all, id.Folded)
		}
	}
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts cannot fail
	}
	return string(text)
}

// listOf returns the keys that foldedList has made a text of.
func listOf(folded string) (keys []string) {
	if folded == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(folded), &keys); err != nil {
		panic(err) // foldedList has made it
	}
	return keys
}

// unless returns the alerts while one of which is open the alert is not sent for the first time.
func (a *Alert) unless() (ids []AlertID) {
	for _, key := range listOf(a.Unless) {
		if key != a.ID.Folded { // an alert never holds itself
			ids = append(ids, AlertID{a.ID.Integration, key})
		}
	}
	return ids
}

// isDependent reports whether the alert waits to be sent for the first time, and depends on others.
func (a *Alert) isDependent() bool {
	return a.Unless != "" && a.Pending && a.Told == Nothing && a.next() == ilert.Alert
}

// DependsOn returns the alert keys by which FindWaiting finds the alert: none unless it is to be sent for the first time.
func (a *Alert) DependsOn() (keys []string) {
	if !a.isDependent() {
		return nil
	}
	for _, id := range a.unless() {
		keys = append(keys, id.Folded)
	}
	return keys
}

// isHeld reports whether the alert waits for the end of its reason to be held.
func (a *Alert) isHeld() bool { return a.HeldBy != "" || a.Silence != 0 }

// activeSilences returns the silences that are active in the transaction.
func (w *work) activeSilences() []Silence {
	if w.silences != nil {
		return *w.silences
	}
	return w.engine.holds.silences
}

// reasons returns the reasons to hold an alert: the key of an alert, and the ID of a silence.
func (w *work) reasons(a *Alert) (heldBy string, silence int64) {
	// The end of an alert is always sent, and so is that a person looks after it.
	if !a.Pending || a.Claimed || a.next() != ilert.Alert {
		return "", 0
	}
	if a.isDependent() {
		for _, id := range a.unless() {
			if other := w.alert(id); other.open() && !w.isHeldBy(other, a) {
				heldBy = id.Folded
				break
			}
		}
	}
	var until time.Time
	for _, s := range w.activeSilences() {
		if s.matches(a.ID.Folded) && s.EndsAt.After(until) {
			silence, until = s.ID, s.EndsAt
		}
	}
	return heldBy, silence
}

// isHeldBy reports whether an alert is held by another one, directly or in turn, or may be: two alerts that hold each
// other would never be sent.
func (w *work) isHeldBy(a, other *Alert) bool {
	for range maxChain {
		switch {
		case a == nil || a.HeldBy == "":
			return false
		case a.HeldBy == other.ID.Folded && a.ID.Integration == other.ID.Integration:
			return true
		}
		a = w.alert(AlertID{a.ID.Integration, a.HeldBy})
	}
	return true
}

// holdersOf returns the alerts that can hold the one that an effect raises.
func holdersOf(effect decision.Effect) []AlertID {
	var r decision.Raise
	switch e := effect.(type) {
	case decision.Raise:
		r = e
	case decision.Hit:
		r = e.Raise
	}
	if len(r.Unless) == 0 {
		return nil
	}
	return (&Alert{Unless: foldedList(r.Unless), ID: idOf(r.Key)}).unless()
}

// loadHolders loads the alerts that can hold those of the working set or the given ones, and those that hold them.
func (w *work) loadHolders(ids []AlertID) error {
	for range maxChain + 1 {
		for _, a := range w.rows.Alerts {
			if !a.open() {
				continue
			}
			if a.HeldBy != "" {
				ids = append(ids, AlertID{a.ID.Integration, a.HeldBy})
			}
			ids = append(ids, a.unless()...)
		}
		k := Keys{Alerts: unread(ids, w.rows.Alerts)}
		if k.empty() {
			return nil
		}
		if err := w.load(k); err != nil {
			return err
		}
	}
	return nil
}

// holdTouched decides which of the alerts that have changed are held, and notes what that means for others.
func (w *work) holdTouched() {
	var some []AlertID
	for id := range w.touched {
		if a := w.rows.Alerts[id]; a != nil && (a.isHeld() || a.Pending && (a.Unless != "" || len(w.activeSilences()) > 0)) {
			some = append(some, id)
		}
	}
	slices.SortFunc(some, compareIDs) // of two that depend on each other the first is held
	for _, id := range some {
		if a := w.rows.Alerts[id]; a != nil {
			w.hold(a)
		}
	}
	for id := range w.touched {
		open := w.rows.Alerts[id].open()
		if before, depended := w.engine.holds.depended[id]; depended && before != open {
			w.depended[id] = open
			w.reviews = append(w.reviews, review{on: id})
		}
	}
}

// hold decides whether an alert is held.
func (w *work) hold(a *Alert) {
	heldBy, silence := w.reasons(a)
	if changed := heldBy != a.HeldBy || silence != a.Silence; changed {
		a.HeldBy, a.Silence = heldBy, silence
		w.noteHold(a)
	}
	if a.isHeld() && a.Storm == InStorm {
		w.takeOutOfStorm(a)
	}
	if !a.isDependent() {
		return
	}
	for _, id := range a.unless() {
		if _, known := w.engine.holds.depended[id]; !known {
			w.depended[id] = w.alert(id).open()
		}
	}
}

// takeOutOfStorm lets a member that no notice has reported wait alone.
func (w *work) takeOutOfStorm(m *Alert) {
	s := w.stormOf(m)
	o := &origin{at: m.NextTry, arrived: m.NextTry}
	m.Storm = Alone
	s.Size--
	s.Untold--
	switch {
	case s.Size > 0:
		if s.Untold == 0 {
			s.cancelMembers(o, w.counts)
		}
	case s.end(o, w.counts):
		w.drop(s.ID)
		return
	}
	w.keep(s)
}

// setSilences makes silences the active ones, and notes a review of all alerts that wait if they were others.
func (w *work) setSilences(active []Silence) {
	if sameSilences(active, w.activeSilences()) {
		return
	}
	w.silences = &active
	w.reviews = append(w.reviews, review{})
}

// reviewHolds decides anew about a page of alerts whose reason to be held may have come or gone. It reports whether it
// found a review, so that there may be more.
func (w *work) reviewHolds(now time.Time) (found bool, err error) {
	h := &w.engine.holds
	w.setSilences(slices.DeleteFunc(slices.Clone(w.activeSilences()), func(s Silence) bool { return !s.EndsAt.After(now) }))
	some := h.reviews[:min(len(h.reviews), maxReviews)]
	if len(some) == 0 {
		return len(w.reviews) > 0, nil
	}
	queries := make([]WaitingQuery, len(some))
	for i, r := range some {
		queries[i] = WaitingQuery{DependsOn: r.on, After: r.after, Limit: max(maxPage/reviewShare/len(some), 1)}
	}
	pages, err := w.tx.FindWaiting(w.ctx, queries)
	if err != nil {
		return false, err
	}
	left := []review{}
	for i, page := range pages {
		switch {
		case len(page) == queries[i].Limit:
			last := *page[len(page)-1] // as it is now, since the order of all that wait changes with the alert
			left = append(left, review{some[i].on, &last})
		case len(page) == 0 && some[i].after == nil:
			w.unused = append(w.unused, some[i].on)
		}
		pages[i] = w.adopt(page)
	}
	w.reviewsLeft = slices.Concat(left, h.reviews[len(some):])
	w.reviewed = true
	if err := w.loadAll(w.relatedKeys()); err != nil {
		return false, err
	}
	for _, a := range slices.Concat(pages...) {
		heldBy, silence := w.reasons(a)
		if heldBy == a.HeldBy && silence == a.Silence {
			continue
		}
		if heldBy == "" && silence == 0 && a.NextTry.Before(now) {
			a.NextTry = now.Truncate(time.Millisecond) // it is due only now: the end of the other alert goes first
		}
		w.keep(a)
	}
	return true, nil
}

// takeOver changes what the engine remembers as a transaction has changed the rows.
func (h *holds) takeOver(w *work) {
	if w.reviewed {
		h.reviews = w.reviewsLeft
	}
	for _, id := range w.unused {
		delete(h.depended, id)
	}
	if w.silences != nil {
		h.silences = *w.silences
	}
	if len(w.depended) > 0 && h.depended == nil {
		h.depended = map[AlertID]bool{}
	}
	maps.Copy(h.depended, w.depended)
	if len(h.depended) > maxDepended {
		maps.DeleteFunc(h.depended, func(_ AlertID, open bool) bool { return !open })
	}
	for _, r := range w.reviews { // a review that is under way begins anew
		h.reviews = slices.DeleteFunc(h.reviews, func(other review) bool { return other.on == r.on })
		h.reviews = append(h.reviews, r)
	}
}

// recall remembers what rows say that another process has written.
func (h *holds) recall(m *Memory, now Rows) {
	h.silences, h.depended = m.Silences, map[AlertID]bool{}
	for _, id := range m.DependedOn {
		h.depended[id] = now.Alerts[id].open()
		h.reviews = append(h.reviews, review{on: id})
	}
	if len(m.Silences) > 0 { // also those that have ended: their alerts may still be held
		h.reviews = append(h.reviews, review{})
	}
}

// nextDue returns the time at which a Claim has to review held alerts, or zero.
func (h *holds) nextDue() (at time.Time) {
	if len(h.reviews) > 0 {
		return atOnce
	}
	for _, s := range h.silences {
		at = earlier(at, s.EndsAt)
	}
	return at
}
