package alerting

import (
	"context"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// A lane is what waits for one integration key. No lane waits for another one.

// Budget limits how many notices Claim returns for one integration key now.
type Budget struct {
	Any     int       // notices of any kind
	Singles int       // of them, alerts of one thing alone and outbox items
	Again   time.Time // when it will be more; zero: an answer comes first
	Minute  int       // notices that it allows in a minute; 0 is any number
	Kept    bool      // Claim keeps for the next process that the notices go out
}

// Limits returns the Budget of an integration key. It is asked of those for which
// something is due.
type Limits func(ilert.IntegrationKey) Budget

// Unlimited sets no limits. Rehearsals and tests use it.
func Unlimited(ilert.IntegrationKey) Budget { return Budget{Any: 1 << 30, Singles: 1 << 30} }

// maxLanes is the number of lanes that one Claim looks at.
const maxLanes = 1000

// Claim ends what time ends by now, and returns up to limit notices that are due by then, within
// the budget of each integration key: HIGH before LOW and the longest due first. An outbox item ranks
// as LOW. If more alerts wait than the key carries in a minute, those of a rule become one. Claim
// hands none of them out again before Settle. Each lane has its turn, those that are unproven
// behind the others.
func (e *Engine) Claim(ctx context.Context, now time.Time, limit int, limits Limits) (notices []Notice, err error) {
	for claimed, timers := false, true; !claimed; timers = false {
		err = e.update(ctx, func(w *work) error {
			notices = nil
			due, err := w.tx.FindDue(ctx, now, maxPage, maxLanes)
			if err != nil {
				return err
			}
			if timers {
				found, err := w.runTimers(due, now)
				if found || err != nil {
					return err // what is due to be sent is found once this is saved
				}
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

// claimLanes claims notices of the lanes for which something is due.
func (w *work) claimLanes(keys []ilert.IntegrationKey, now time.Time, limit int, limits Limits) (notices []Notice, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	lanes, err := w.visitLanes(keys, now, limit, limits)
	if err != nil {
		return nil, err
	}
	if len(w.allEnds()) > 0 { // what is due may have ended
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
		if joined[i] >= maxJoining { // and the others will at once
			lanes[i].Singles, lanes[i].singlesAgain = 0, now
		}
		chosen = append(chosen, lanes[i].choose(w, now)...)
	}
	if err := w.loadAll(keysOfChosen(chosen)); err != nil {
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

// rank orders what several lanes have at the same time.
func (n *Notice) rank() int {
	switch {
	case n.item != 0:
		return len(Priorities)
	case n.Event.Priority == high:
		return 0
	default:
		return 1
	}
}

// visit is the work of a Claim for one lane: the rows that are due, and the budget that is left of it.
type visit struct {
	key ilert.IntegrationKey
	Budget
	anyAgain, singlesAgain time.Time
	work                   LaneWork
}

// visitLanes finds what is due of lanes whose budget allows something. Each may claim its share of the limit at most.
func (w *work) visitLanes(keys []ilert.IntegrationKey, now time.Time, limit int, limits Limits) (lanes []visit, err error) {
	for _, key := range keys {
		if len(lanes) == limit {
			break // the others have their turn next
		}
		v := visit{key: key, Budget: limits(key)}
		v.anyAgain = orNever(v.Again)
		v.singlesAgain = v.anyAgain
		if v.Any <= 0 {
			w.holdLane(key, LaneHold{v.anyAgain, v.anyAgain})
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
		found[i].Alerts = w.adopt(found[i].Alerts)
		lanes[i].work = found[i]
	}
	return lanes, nil
}

// query asks for more than the budget allows, so that the visit knows whether there is more.
func (v *visit) query() LaneQuery {
	return LaneQuery{Key: v.key, Any: v.Any + 1, Singles: max(min(v.Any, v.Singles), 0) + 1, Minute: max(v.Minute, 0)}
}

// addIfDue adds an alert to what is due, if it is.
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
}

// candidates returns what is due, by priority and then the longest due first.
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
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.priority != b.priority {
			return a.priority - b.priority
		}
		return a.due.Compare(b.due)
	})
	return all
}

// choose spends the budget on candidates, and notes what holds up the rest.
func (v *visit) choose(w *work, now time.Time) (chosen []candidate) {
	hold := LaneHold{}
	for _, one := range v.candidates() {
		if one.alert != nil && (one.alert.hasExpired(now) || w.endIfRuleEnded(one.alert, now)) {
			continue // what is due of it once it has ended is found next
		}
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
	return chosen
}

// hasExpired reports whether time has ended the alert: the next timers find it.
func (a *Alert) hasExpired(now time.Time) bool {
	return a.open() && !a.EndsAt.IsZero() && !a.EndsAt.After(now)
}

// endIfRuleEnded ends an alert whose rule has ended, and reports whether it has.
func (w *work) endIfRuleEnded(a *Alert, now time.Time) bool {
	for _, end := range w.allEnds() {
		if a.Rule == end.Rule && a.Epoch < end.Epoch {
			w.endWithRule(a.ID, now)
			return true
		}
	}
	return false
}

// keysOfChosen names the rows that the notices of candidates need.
func keysOfChosen(chosen []candidate) (k Keys) {
	for _, one := range chosen {
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

// claimCandidate claims a candidate, and returns false if there is nothing to send of it.
func (w *work) claimCandidate(one *candidate, now time.Time) (n Notice, some bool, err error) {
	switch {
	case one.item != nil:
		n, err = w.claimItem(one.item)
		return n, true, err
	case one.alert.Storm == IsStorm:
		n, some = w.claimStorm(one.alert, now)
		return n, some, nil
	default:
		n, err = w.claimAlert(one.alert, now)
		return n, true, err
	}
}

// never is later than all times.
var never = time.UnixMilli(1 << 50)

// orNever returns a time, or never if it is zero.
func orNever(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t
}
