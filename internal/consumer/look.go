package consumer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// looker looks at what ilert shows. Only the goroutine of lookAtIlert uses it.
type looker struct {
	c      *Consumer
	list   lister
	health map[int64]*health // by the ID of the alert source
	failed int               // looks in a row
}

// health is the record of an alert source over several looks.
type health struct {
	well     bool
	lastWell time.Time
	// The source was not well at some time between these two.
	from, until time.Time
}

// showDelay is the time that ilert may need until it shows what it has taken: an answer of 202 says only that ilert has
// queued an event. It is a variable because a test cannot wait for it.
var showDelay = time.Minute

const (
	// firstLookAgain is the wait after a look that failed. It doubles up to maxLookAgain, or to the interval of looks.
	firstLookAgain = 5 * time.Second
	maxLookAgain   = 5 * time.Minute
	// newsPolls is the number of intervals for which a look replaces repeats.
	newsPolls = 3
)

// lookAtIlert compares what ilert shows with the alerts, at the start and then at an interval, until ctx ends.
func (c *Consumer) lookAtIlert(ctx context.Context) {
	if !c.looks() {
		return
	}
	l := looker{c: c, list: lister{client: c.config.ilert, apiKey: c.config.IlertAPIKey}, health: map[int64]*health{}}
	for ctx.Err() == nil {
		wait := l.pass(ctx)
		c.shown.setNext(time.Now().Add(wait))
		select {
		case <-time.After(wait):
		case <-c.lookNow:
		case <-ctx.Done():
		}
	}
}

// looks reports whether the consumer looks at what ilert shows.
func (c *Consumer) looks() bool { return c.config.IlertAPIKey != "" && !c.config.DryRun }

// pass looks once, and returns the time until the next look.
func (l *looker) pass(ctx context.Context) (wait time.Duration) {
	began := time.Now()
	sources, looked, err := l.look(ctx, began)
	if ctx.Err() != nil {
		return 0
	}
	l.c.reportLook(sources, looked, began, err)
	poll := l.c.config.IlertPoll
	if err == nil {
		l.failed = 0
		if looked.Repairs != (alerting.Repairs{}) {
			l.c.wakeDelivery()
		}
		return poll
	}
	wait = min(min(poll, firstLookAgain)<<min(l.failed, 10), max(poll, maxLookAgain))
	l.failed++
	var failed *ilert.Error
	switch {
	case !errors.As(err, &failed):
	case failed.RetryAfter > 0:
		wait = max(wait, min(failed.RetryAfter, maxAsked))
	case failed.TooMany:
		wait = max(wait, time.Minute)
	}
	return wait
}

// look lists what ilert shows, and lets the engine compare it with the alerts.
func (l *looker) look(ctx context.Context, began time.Time) (sources []ShownSource, looked alerting.Looked, err error) {
	sources, bySource, err := l.findSources(ctx, began)
	if err != nil {
		return nil, looked, err
	}
	look := &alerting.Look{
		Began: time.Now(), Delay: showDelay,
		Sources: map[ilert.IntegrationKey]*alerting.Source{},
	}
	shown := map[int64]*alerting.Source{}
	var ids []int64
	for key, listed := range bySource {
		if shown[listed.ID] == nil {
			ids = append(ids, listed.ID)
			shown[listed.ID] = &alerting.Source{Well: l.health[listed.ID].well, Open: map[string]bool{}, Ends: map[string]time.Time{}}
		}
		look.Sources[key] = shown[listed.ID]
	}
	slices.Sort(ids)
	if err := l.listOpen(ctx, ids, shown); err != nil {
		return sources, looked, err
	}
	since, some, err := l.c.alerts.Missing(ctx, look)
	if err == nil && some {
		// A page can lack an alert because another one has ended while the list was read.
		err = errors.Join(l.listOpen(ctx, ids, shown), l.listEnded(ctx, ids, since, shown))
	}
	if err != nil {
		return sources, looked, err
	}
	now := time.Now()
	look.Until = now.Add(newsPolls*(l.c.config.IlertPoll+now.Sub(began)) + time.Minute)
	looked, err = l.c.alerts.Look(ctx, now, look)
	for i := range sources {
		sources[i].Compared = looked.Sources[sources[i].key]
	}
	return sources, looked, err
}

// listOpen adds the open alerts of alert sources.
func (l *looker) listOpen(ctx context.Context, ids []int64, shown map[int64]*alerting.Source) error {
	if len(ids) == 0 {
		return nil
	}
	q := ilert.AlertQuery{Statuses: []string{ilert.StatusPending, ilert.StatusAccepted}, Sources: ids}
	return l.list.alerts(ctx, q, 0, func(a *ilert.ListedAlert) {
		if s := shown[a.Source.ID]; s != nil && a.AlertKey != "" {
			s.Open[folded(a.AlertKey)] = a.Status == ilert.StatusAccepted
		}
	})
}

// listEnded adds the ends of alerts that may have been open since a time, while their alert source was well.
func (l *looker) listEnded(ctx context.Context, ids []int64, since time.Time, shown map[int64]*alerting.Source) error {
	const clockSkew = time.Minute // between ilert and us
	q := ilert.AlertQuery{Statuses: []string{ilert.StatusResolved}, Sources: ids}
	if !since.IsZero() {
		q.From = since.Add(-clockSkew)
	}
	return l.list.alerts(ctx, q, maxEndedPages, func(a *ilert.ListedAlert) {
		s, key := shown[a.Source.ID], folded(a.AlertKey)
		if s != nil && a.ResolvedOn.After(s.Ends[key]) && l.health[a.Source.ID].wasWell(a.ResolvedOn) {
			s.Ends[key] = a.ResolvedOn
		}
	})
}

func folded(alertKey string) string { return strings.ToLower(strings.TrimSpace(alertKey)) }

// findSources finds the alert sources of all integration keys.
func (l *looker) findSources(ctx context.Context, now time.Time) ([]ShownSource, map[ilert.IntegrationKey]ilert.AlertSource, error) {
	keys, err := l.c.integrationKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := l.list.sources(ctx)
	if err != nil {
		return nil, nil, err
	}
	shown := make([]ShownSource, len(keys))
	bySource := map[ilert.IntegrationKey]ilert.AlertSource{}
	for i, key := range keys {
		shown[i] = ShownSource{Key: key.String(), key: key}
		secret, err := l.c.secretOf(key)
		at := slices.IndexFunc(all, func(s ilert.AlertSource) bool { return s.IntegrationKey == secret })
		switch {
		case err != nil:
			shown[i].Error = brief(err)
		case at < 0:
			shown[i].Error = "no alert source in ilert's list has this integration key: check the key, and whether the user of the API key may see the source"
		default:
			bySource[key] = all[at]
			shown[i].ID, shown[i].Name, shown[i].Status = all[at].ID, all[at].Name, all[at].State()
			shown[i].Well = l.noteHealth(&all[at], now)
		}
	}
	return shown, bySource, nil
}

// integrationKeys returns the integration keys of the configuration, of the rules and of open alerts.
func (c *Consumer) integrationKeys(ctx context.Context) (keys []ilert.IntegrationKey, err error) {
	keys, err = c.alerts.IntegrationKeys(ctx)
	if c.config.IntegrationKey != "" {
		keys = append(keys, ilert.IntegrationKey{})
	}
	for key := range c.rules.Load().keys {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ilert.IntegrationKey) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(keys), err
}

// noteHealth notes whether an alert source is well, and reports it.
func (l *looker) noteHealth(s *ilert.AlertSource, now time.Time) (well bool) {
	well = s.State() != ilert.InMaintenance && s.State() != ilert.Disabled
	h := l.health[s.ID]
	if h == nil {
		h = &health{well: true, lastWell: now}
		l.health[s.ID] = h
	}
	source := []any{slog.Int64("id", s.ID), slog.String("name", s.Name), slog.String("status", s.State())}
	switch {
	case !well && h.well:
		h.from = h.lastWell
		l.c.config.Logger.Warn("an alert source of ilert makes no alerts: nobody will be paged; what is still true then is sent when it works again", source...)
	case well && !h.well:
		h.until = now
		l.c.config.Logger.Info("an alert source of ilert makes alerts again", source...)
	}
	if h.well = well; well {
		h.lastWell = now
	}
	return well
}

// wasWell reports whether the alert source was well at a time, as far as looks have seen.
func (h *health) wasWell(at time.Time) bool {
	return h.from.IsZero() || at.Before(h.from) || h.well && at.After(h.until)
}

// reportLook notes the result of a look for Status, and logs what is new.
func (c *Consumer) reportLook(sources []ShownSource, looked alerting.Looked, began time.Time, err error) {
	was := c.shown.set(sources, looked, began, err)
	log := c.config.Logger
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		log.Warn("what ilert shows cannot be looked at: alerts that stay true are repeated instead", slog.Any("error", err))
	case err == nil && was != nil:
		log.Info("what ilert shows can be looked at again")
	}
	for _, s := range c.shown.newlyLost(sources) {
		log.Warn("the alert source of an integration key cannot be looked at", slog.String("integration_key", s.Key), slog.String("error", s.Error))
	}
	repairs := looked.Repairs
	if looked.Repairs != (alerting.Repairs{}) || looked.Accepted+looked.Closed > 0 {
		log.Info("what ilert shows differs", slog.Uint64("told_again", repairs.ToldAgain), slog.Uint64("resolved", repairs.Resolved),
			slog.Uint64("accepted_again", repairs.Accepted), slog.Int("accepted_by_a_person", looked.Accepted), slog.Int("closed_by_a_person", looked.Closed))
	}
}

// lookSoon lets the next look begin now: an operator may have mended what stood in its way.
func (c *Consumer) lookSoon() {
	select {
	case c.lookNow <- struct{}{}:
	default:
	}
}
