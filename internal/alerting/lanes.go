package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// A lane holds all notices that wait for one integration key. No lane waits for another one.

// Budget is the number of notices that Claim may return for one integration key now.
type Budget struct {
	Any     int       // notices of any kind
	Singles int       // of these, alerts of one thing alone and outbox items
	Again   time.Time // when the budget grows again; zero: not before an answer
	Minute  int       // notices that the budget allows in a minute; 0: any number
	Kept    bool      // Claim keeps for the next process that the notices have gone out
	Why     string    // the reason why it is not larger, for the decision log
}

// Limits is the function that returns the Budget of an integration key. Claim calls it for each key for which
// a notice may be due.
type Limits func(ilert.IntegrationKey) Budget

// Unlimited sets no limits. Rehearsals and tests use it.
func Unlimited(ilert.IntegrationKey) Budget { return Budget{Any: 1 << 30, Singles: 1 << 30} }

// maxLanes is the number of lanes among which one Claim chooses.
const maxLanes = 1000

// Claim ends what time has ended by now, and returns up to limit notices that are due, within the budget of each
// integration key: HIGH before LOW, and the longest due first. An outbox item ranks as LOW. If more alerts wait
// for a key than its budget allows in a minute, those of a rule become one storm. Claim returns a notice again only
// after Settle. Each lane has its turn, the unproven ones behind the others.
func (e *Engine) Claim(ctx context.Context, now time.Time, limit int, limits Limits) (notices []Notice, err error) {
	now = now.Round(0) // without the reading of a monotonic clock: the rows have none
	for claimed, timers := false, true; !claimed; timers = false {
		err = e.update(ctx, func(w *work) error {
			notices = nil
			due, err := w.tx.FindDue(ctx, now, w.delayClock(), maxPage, maxLanes)
			if err != nil {
				return err
			}
			w.noteNextDelay(due)
			if timers {
				found, err := w.runTimers(due, now)
				if w.noteTime(now) || found || err != nil {
					return err // the next transaction finds the lanes that these ends make due
				}
			}
			if more, err := w.reviewHolds(now); more || err != nil {
				return err // the next transaction finds the lanes that these alerts make due
			}
			claimed = true
			notices, err = w.claimLanes(due.Lanes, now, limit, limits)
			return err
		})
		if err != nil {
			return nil, err // nothing has been claimed
		}
	}
	return notices, nil
}

// noteTime records the time of a Claim, and reports whether the clock was put back since the last one: the times until
// which lanes are held up may then be far away.
func (w *work) noteTime(now time.Time) (putBack bool) {
	e := w.engine
	putBack = now.Before(e.claimedAt.Add(-time.Second))
	w.changes.AllLanes = w.changes.AllLanes || putBack
	w.onCommit(func() { e.claimedAt = now })
	return putBack
}

// claimLanes claims notices of lanes that are due.
func (w *work) claimLanes(keys []ilert.IntegrationKey, now time.Time, limit int, limits Limits) (notices []Notice, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	lanes, err := w.visitLanes(keys, now, limit, limits)
	if err != nil {
		return nil, err
	}
	if len(w.allEnds()) > 0 { // alerts that are due may have ended with their rules
		if err := w.loadAll(w.relatedKeys()); err != nil {
			return nil, err
		}
	}
	joined, err := w.formStorms(lanes, now)
	if err != nil {
		return nil, err
	}
	var chosen []candidate
	for i := range lanes {
		if joined[i] >= maxJoining { // more alerts may have to join before any is sent alone
			lanes[i].Singles, lanes[i].singlesAgain = 0, now
		}
		chosen = append(chosen, lanes[i].choose(w, now)...)
	}
	if err := w.loadRelated(keysOfChosen(chosen)); err != nil { // nothing holds an alert that is claimed
		return nil, err
	}
	sent := map[ilert.IntegrationKey]int{}
	for _, one := range chosen {
		n, some, err := w.claimCandidate(&one, now)
		if err != nil {
			return nil, err
		}
		if some {
			notices = append(notices, n)
			sent[n.IntegrationKey]++
		}
	}
	for i := range lanes {
		if n := sent[lanes[i].key]; n > 0 && lanes[i].Kept {
			w.keepRequests(lanes[i].key, now, n)
		}
	}
	slices.SortStableFunc(notices, func(a, b Notice) int { return a.rank() - b.rank() })
	return notices, nil
}

// rank returns the place of a notice among those of several lanes; a lower one goes first.
func (n *Notice) rank() int {
	switch {
	case n.Repeat:
		return len(Priorities) + 1
	case n.item != 0:
		return len(Priorities)
	case n.Event.Priority == high:
		return 0
	default:
		return 1
	}
}

// visit is the work of a Claim for one lane: the rows that are due, and the budget that is left.
type visit struct {
	key ilert.IntegrationKey
	Budget
	anyAgain, singlesAgain time.Time // when Any and Singles grow again
	work                   LaneWork
}

// visitLanes finds the rows that are due of lanes whose budget allows a notice. It divides the limit among the lanes.
func (w *work) visitLanes(keys []ilert.IntegrationKey, now time.Time, limit int, limits Limits) (lanes []visit, err error) {
	for _, key := range keys {
		if len(lanes) == limit {
			break // the next Claim looks at the others
		}
		v := visit{key: key, Budget: limits(key)}
		v.anyAgain = orNever(v.Again)
		v.singlesAgain = v.anyAgain
		if v.Any <= 0 {
			w.holdLane(key, LaneHold{v.anyAgain, v.anyAgain})
			w.notePaused(key, v.anyAgain, v.Why, now)
			continue
		}
		w.holdLane(key, LaneHold{})
		lanes = append(lanes, v)
	}
	if len(lanes) == 0 {
		return nil, nil
	}
	queries := make([]LaneQuery, len(lanes))
	for i := range lanes {
		if share := max(limit/len(lanes), 1); share < lanes[i].Any {
			lanes[i].Any, lanes[i].anyAgain = share, now
		}
		queries[i] = lanes[i].query()
	}
	found, err := w.tx.FindWork(w.ctx, now, queries)
	if err != nil {
		return nil, err
	}
	for i := range lanes {
		found[i].Alerts, found[i].Repeats = w.adopt(found[i].Alerts), w.adopt(found[i].Repeats)
		lanes[i].work = found[i]
	}
	return lanes, nil
}

// query returns a query for one row more than the budget allows, so that the visit knows whether more is due.
func (v *visit) query() LaneQuery {
	return LaneQuery{Key: v.key, Any: v.Any + 1, Singles: max(min(v.Any, v.Singles), 0) + 1, Minute: max(v.Minute, 0)}
}

// addIfDue adds an alert to the rows that are due, if it is due.
func (v *visit) addIfDue(a *Alert, now time.Time) {
	if a.Pending && !a.Claimed && !a.NextTry.After(now) && a.Class() != NoClass && !slices.Contains(v.work.Alerts, a) {
		v.work.Alerts = append(v.work.Alerts, a)
	}
}

// candidate is an alert or an outbox item that may be claimed.
type candidate struct {
	due      time.Time
	single   bool
	priority int
	alert    *Alert
	item     *OutboxItem
	repeat   bool // of the alert
}

// candidates returns the rows that are due, by priority and then the longest due first.
func (v *visit) candidates() (all []candidate) {
	for _, a := range v.work.Alerts {
		class := a.Class()
		all = append(all, candidate{due: a.NextTry, single: class.Kind() != Others, priority: int(class / Kinds), alert: a})
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return int(a.alert.Class() - b.alert.Class())
	})
	if head := v.work.Head; head != nil {
		all = append(all, candidate{due: head.NextTry, single: true, priority: slices.Index(Priorities, low), item: head})
	}
	for _, a := range v.work.Repeats {
		all = append(all, candidate{due: a.RepeatAt, single: true, priority: len(Priorities), alert: a, repeat: true})
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.priority != b.priority {
			return a.priority - b.priority
		}
		return a.due.Compare(b.due)
	})
	return all
}

// choose spends the budget on candidates and returns them. It sets the times before which the others must wait.
func (v *visit) choose(w *work, now time.Time) (chosen []candidate) {
	hold, waits := LaneHold{}, false
	for _, one := range v.candidates() {
		if one.alert != nil && (one.alert.hasExpired(now) || w.endIfRuleEnded(one.alert, now) || one.alert.Storm == IsStorm && w.isEnding(v.key, one.alert.Group)) {
			continue // the next Claim finds the notice of its end
		}
		if one.repeat && w.putOffRepeat(one.alert, now) {
			continue
		}
		waits = waits || !one.repeat
		switch {
		case v.Any == 0:
			hold = LaneHold{v.anyAgain, v.anyAgain}
			continue
		case one.single && v.Singles <= 0:
			hold.Singles = v.singlesAgain
			continue
		case one.single:
			v.Singles--
		}
		v.Any--
		chosen = append(chosen, one)
	}
	w.holdLane(v.key, hold)
	if waits {
		w.notePaused(v.key, hold.Singles, v.Why, now)
	}
	return chosen
}

// hasExpired reports whether the time of the alert is over. The next runTimers ends it.
func (a *Alert) hasExpired(now time.Time) bool {
	return a.open() && !a.EndsAt.IsZero() && !a.EndsAt.After(now)
}

// endIfRuleEnded calls endWithRule for an alert whose rule has ended since it was raised, and reports whether it did.
func (w *work) endIfRuleEnded(a *Alert, now time.Time) bool {
	for _, end := range w.allEnds() {
		if end.covers(a) {
			w.endWithRule(a.ID, now)
			return true
		}
	}
	return false
}

// keysOfChosen returns the keys of the rows that the notices of candidates need.
func keysOfChosen(chosen []candidate) (k Keys) {
	for _, one := range chosen {
		if one.repeat {
			k.Alerts = append(k.Alerts, one.alert.unless()...) // see claimRepeat
		}
		switch {
		case one.alert == nil:
		case one.alert.Storm == IsStorm && one.alert.Desired != ilert.Resolve:
			k.Storms = append(k.Storms, stormQuery(one.alert))
		case one.alert.Windowed:
			k.Groups = append(k.Groups, GroupID{one.alert.Rule, one.alert.Group})
		}
	}
	return k
}

// claimCandidate claims a candidate and returns its notice, and false if there is nothing to send.
func (w *work) claimCandidate(one *candidate, now time.Time) (n Notice, some bool, err error) {
	switch {
	case one.item != nil:
		n, err = w.claimItem(one.item)
		return n, true, err
	case one.repeat:
		return w.claimRepeat(one.alert, now)
	case one.alert.Storm == IsStorm:
		n, some = w.claimStorm(one.alert, false, now)
		return n, some, nil
	case w.waitsForCrowd(one.alert, now):
		return n, false, nil
	default:
		n, err = w.claimAlert(one.alert, false, now)
		return n, true, err
	}
}

// never is a time that is later than that of any notice.
var never = time.UnixMilli(1 << 50)

// orNever returns t, or never if t is zero.
func orNever(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t
}
