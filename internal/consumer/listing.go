package consumer

import (
	"context"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// lister lists what ilert shows, at a pace below ilert's limit of 120 requests a minute for a user. Only one goroutine
// uses it.
type lister struct {
	client *ilert.Client
	apiKey string
	sent   []time.Time // the times of the requests of the last minute, the oldest first
}

// listRate is the number of requests for lists in any minute. It is a variable because a test cannot wait for it.
var listRate = 90

// maxEndedPages limits the number of pages of ended alerts that a look reads.
const maxEndedPages = 20

// wait waits until one more request may be sent.
func (l *lister) wait(ctx context.Context) error {
	if len(l.sent) >= listRate {
		select {
		case <-time.After(time.Until(l.sent[len(l.sent)-listRate].Add(time.Minute))):
		case <-ctx.Done():
		}
		l.sent = l.sent[len(l.sent)-listRate+1:]
	}
	l.sent = append(l.sent, time.Now())
	return ctx.Err()
}

// sources returns all alert sources that the API key may see.
func (l *lister) sources(ctx context.Context) (all []ilert.AlertSource, err error) {
	for {
		if err := l.wait(ctx); err != nil {
			return nil, err
		}
		page, err := l.client.AlertSources(ctx, l.apiKey, len(all))
		if err != nil {
			return nil, err
		}
		again := len(page) > 0 && len(all) > 0 && page[0].ID == all[0].ID // ilert's list has no pages
		if !again {
			all = append(all, page...)
		}
		if again || len(page) != ilert.PageSize {
			return all, nil
		}
	}
}

// alerts calls do with each alert that a query chooses, on up to maxPages pages; 0: on all.
func (l *lister) alerts(ctx context.Context, q ilert.AlertQuery, maxPages int, do func(*ilert.ListedAlert)) error {
	for n := 1; ; n++ {
		if err := l.wait(ctx); err != nil {
			return err
		}
		page, err := l.client.Alerts(ctx, l.apiKey, q)
		if err != nil {
			return err
		}
		for i := range page {
			do(&page[i])
		}
		if len(page) < ilert.PageSize || n == maxPages {
			return nil
		}
		q.Start += len(page)
	}
}
