package alerting

import "context"

// AskToRetry asks the engine that works on the store to take dead letters in again, and returns the number of those
// for which nobody had asked yet. It works in pages, between which other transactions have their turn. It leaves
// letters alone that arrive meanwhile.
func (e *Engine) AskToRetry(ctx context.Context, which LetterQuery) (int64, error) {
	return e.letterPages(ctx, which, func(w *work, page []Stored) (n int64) {
		for _, l := range page {
			if !l.Retry {
				w.changes.Retry = append(w.changes.Retry, l.ID)
				n++
			}
		}
		return n
	})
}

// Purge deletes dead letters, and outbox items that wait for the integration keys of the query or, if it has none, for
// unproven ones. It counts their messages as purged. It works in pages, between which other transactions have their
// turn. It leaves letters and items alone that arrive meanwhile.
func (e *Engine) Purge(ctx context.Context, which LetterQuery) (n Purged, err error) {
	if which.ChoosesLetters() {
		n.Letters, err = e.letterPages(ctx, which, (*work).purgeLetters)
	}
	if err == nil && which.ChoosesWaiting() {
		n.Waiting, err = e.purgeWaiting(ctx, which)
	}
	return n, err
}

// letterPages calls do with each page of the chosen dead letters in a transaction of its own, and returns the sum of
// what do returns.
func (e *Engine) letterPages(ctx context.Context, which LetterQuery, do func(*work, []Stored) int64) (n int64, err error) {
	lastLetter, _, err := e.lastIDs(ctx)
	if err != nil || lastLetter == 0 {
		return 0, err
	}
	left := which.Limit // 0: any number
	which.UpTo = lastLetter
	for {
		if which.Limit = purgePage; left > 0 {
			which.Limit = min(left, purgePage)
		}
		page, done, err := e.onPage(ctx, do, func(tx Tx) ([]Stored, error) { return tx.FindLetters(ctx, which) })
		n += done
		if err != nil || len(page) < which.Limit || len(page) == left {
			return n, err
		}
		which.After, left = page[len(page)-1].ID, max(left-len(page), 0)
	}
}

// purgeWaiting deletes the chosen outbox items, a page at a time, and returns their number.
func (e *Engine) purgeWaiting(ctx context.Context, which LetterQuery) (n int64, err error) {
	_, lastItem, err := e.lastIDs(ctx)
	if err != nil || lastItem == 0 {
		return 0, err
	}
	query := OutboxQuery{Filter: which.Filter, Topic: which.Topic, Before: which.Before, UpTo: lastItem, Limit: purgePage}
	if len(which.Keys) == 0 {
		query.Unproven = true
		return e.purgeItemPages(ctx, query)
	}
	keys, err := e.store.WaitingKeys(ctx, which)
	for _, k := range keys {
		if err != nil {
			break
		}
		var purged int64
		query.Key = &k.Key
		purged, err = e.purgeItemPages(ctx, query)
		n += purged
	}
	return n, err
}

func (e *Engine) purgeItemPages(ctx context.Context, which OutboxQuery) (n int64, err error) {
	for {
		page, done, err := e.onPage(ctx, (*work).purgeItems, func(tx Tx) ([]Stored, error) { return tx.FindOutbox(ctx, which) })
		n += done
		if err != nil || len(page) < which.Limit {
			return n, err
		}
	}
}

// onPage finds a page and calls do with it in a transaction, and returns the page and what do returns.
func (e *Engine) onPage(ctx context.Context, do func(*work, []Stored) int64, find func(Tx) ([]Stored, error)) (page []Stored, n int64, err error) {
	err = e.update(ctx, func(w *work) (err error) {
		if page, err = find(w.tx); err == nil {
			n = do(w, page)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return page, n, nil
}

// lastIDs returns IDs that no dead letter and no outbox item exceeds now.
func (e *Engine) lastIDs(ctx context.Context) (letter, item int64, err error) {
	err = e.view(ctx, func(w *work) error {
		err := w.load(Keys{Volumes: true})
		letter, item = w.rows.LastLetter, w.rows.LastItem
		return err
	})
	return letter, item, err
}
