package alerting

import (
	"context"
	"slices"
)

// Subscribing notes that the consumer is about to subscribe a session to topic filters. It returns, in order, the
// filters to which the session may be subscribed already: the broker keeps them over a restart of the consumer.
func (e *Engine) Subscribing(ctx context.Context, clientID string, filters []string) (already []string, err error) {
	err = e.update(ctx, func(w *work) error {
		e.memory.Lock()
		already = slices.Clone(e.topics[clientID])
		e.memory.Unlock()
		w.subscribe(clientID, slices.Concat(already, filters))
		return nil
	})
	return already, err
}

// Subscribed notes that a session is subscribed to topic filters, and to no others.
func (e *Engine) Subscribed(ctx context.Context, clientID string, filters []string) error {
	return e.update(ctx, func(w *work) error {
		w.subscribe(clientID, slices.Clone(filters))
		return nil
	})
}

// subscribe sets the topic filters that a session may be subscribed to.
func (w *work) subscribe(clientID string, filters []string) {
	slices.Sort(filters)
	filters = slices.Compact(filters)
	w.changes.Subscribed[clientID] = filters
	w.onCommit(func() {
		if w.engine.topics == nil {
			w.engine.topics = map[string][]string{}
		}
		w.engine.topics[clientID] = filters
	})
}
