package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// The outbox holds events that are sent as they are, without a desired state: one request for each
// decision.Send. Items of one integration key are sent in order: each waits for the one before it.

// addItem adds an event to the outbox.
func (w *work) addItem(send decision.Send, o *origin) {
	id := idOf(decision.Key{Integration: send.IntegrationKey, Alert: send.Event.AlertKey})
	w.overtake(id, send.Event.EventType)
	item := &OutboxItem{
		Alert: id, Path: send.Path, Body: textOf(send.Event), EventType: send.Event.EventType,
		QueuedAt: o.arrived, NextTry: o.at, Unproven: w.isUnproven(send.IntegrationKey), Cause: o.cause(),
	}
	w.changes.Outbox = append(w.changes.Outbox, item)
	w.note(o, Entry{What: Queued, Key: decision.Key{Integration: send.IntegrationKey, Alert: send.Event.AlertKey}, Due: item.NextTry})
	w.growOutbox(1, item.Bytes(), item.Unproven)
}

// contradicts returns the event types that a later event of the same alert key contradicts.
func contradicts(t ilert.Type) (earlier []ilert.Type) {
	switch t {
	case ilert.Alert:
		return []ilert.Type{ilert.Resolve}
	case ilert.Resolve:
		return []ilert.Type{ilert.Alert, ilert.Accept}
	}
	return nil
}

// overtake marks the dead letters of the outbox that a new event of their alert key contradicts, so that nobody
// sends them after it.
func (w *work) overtake(id AlertID, by ilert.Type) {
	if earlier := contradicts(by); id.Folded != "" && len(earlier) > 0 {
		w.changes.Overtaken = append(w.changes.Overtaken, Overtaking{id, by, earlier})
	}
}

// overtakenBy returns the type of the last event that contradicts a refused outbox item, among those that wait
// behind it, or "".
func (w *work) overtakenBy(item OutboxRef, refused ilert.Type) (by ilert.Type) {
	if item.Alert.Folded == "" {
		return by
	}
	types, read := w.rows.Behind[item]
	if !read {
		panic(missing{Keys{Behind: []OutboxRef{item}}})
	}
	for _, later := range types {
		if slices.Contains(contradicts(later), refused) {
			by = later
		}
	}
	return by
}

// claimItem returns the notice of an outbox item that is due.
func (w *work) claimItem(item *OutboxItem) (Notice, error) {
	n := Notice{
		IntegrationKey: item.Alert.Integration, Tries: item.Tries, TraceParent: item.Cause.Properties.traceParent(),
		Path: item.Path, Unproven: item.Unproven, Since: item.QueuedAt, item: item.ID, id: item.Alert,
	}
	if err := json.Unmarshal([]byte(item.Body), &n.Event); err != nil {
		return n, fmt.Errorf("alerting: body of outbox item %d: %w", item.ID, err)
	}
	item.Claimed = true
	w.keepItem(item)
	return n, nil
}

// keepItem puts an outbox item that has changed into the working set, to be saved.
func (w *work) keepItem(item *OutboxItem) {
	w.rows.Outbox[item.ID] = item
	w.changes.Outbox = append(w.changes.Outbox, item)
}

// item returns the outbox item with an ID, or nil if there is none.
func (w *work) item(id int64) *OutboxItem {
	item, read := w.rows.Outbox[id]
	if !read {
		panic(missing{Keys{Outbox: []int64{id}}})
	}
	return item
}

// settleItem counts and deletes an outbox item that ilert took or refused, and makes any other wait again.
func (w *work) settleItem(answer *Answer) {
	item := w.item(answer.Notice.item)
	if item == nil || !item.Claimed {
		return // settled or purged before
	}
	if answer.Result == Unknown || answer.Result == NotTaken {
		item.Claimed, item.NextTry = false, answer.Retry
		item.Tries++
		w.keepItem(item)
		return
	}
	w.dropItem(Stored{item.ID, item.Cause.Filter, item.Alert.Integration, item.Unproven, false, item.Bytes()})
	if answer.Result == Taken {
		w.counts.of(item.Cause.Filter).Delivered++
		w.prove(item.Alert.Integration, answer.At)
		return
	}
	w.counts.of(item.Cause.Filter).Dead++
	w.addRefused(item.Cause, item.Alert, answer)
}

// dropItem deletes an outbox item.
func (w *work) dropItem(item Stored) {
	w.rows.Outbox[item.ID] = nil
	w.changes.NoOutbox = append(w.changes.NoOutbox, item.ID)
	w.touchLane(item.Key)
	w.growOutbox(-1, -item.Bytes, item.Unproven)
}

// purgeItems deletes outbox items, counts them as purged and returns their number.
func (w *work) purgeItems(items []Stored) int64 {
	for _, item := range items {
		w.dropItem(item)
		w.counts.of(item.Filter).Purged++
	}
	return int64(len(items))
}

// growOutbox adds to the number and the bytes by which the transaction lets the outbox grow.
func (w *work) growOutbox(rows, bytes int64, unproven bool) {
	w.grown.Outbox = w.grown.Outbox.plus(rows, bytes)
	if unproven {
		w.grown.Unproven = w.grown.Unproven.plus(rows, bytes)
	}
}

// Idle returns the integration keys among keys for which nothing waits or is under way.
func (e *Engine) Idle(ctx context.Context, keys []ilert.IntegrationKey) (idle []ilert.IntegrationKey, err error) {
	err = e.view(ctx, func(w *work) error {
		err := w.load(Keys{Busy: keys})
		for _, k := range keys {
			if !w.rows.Busy[k] && err == nil {
				idle = append(idle, k)
			}
		}
		return err
	})
	return idle, err
}

// WaitingKeys returns literal integration keys for which chosen outbox items wait, the longest waiting first: those
// that are unproven, that ilert did not take, or that the query names. Of the query it uses Filter, Topic, Keys, and
// Before, which is about the time at which an item was queued.
func (e *Engine) WaitingKeys(ctx context.Context, which LetterQuery) ([]WaitingKey, error) {
	if !which.ChoosesWaiting() {
		return nil, nil
	}
	return e.store.WaitingKeys(ctx, which)
}
