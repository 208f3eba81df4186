package consumer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

const (
	// ruleAlertInterval is the interval at which an alert about a rule is raised again while the
	// rule fails.
	ruleAlertInterval = time.Minute
	// ruleAlertSilence is the time after which the alert ends if it was not raised again.
	ruleAlertSilence = time.Hour
	// ruleAlertPrefix is the beginning of the keys of alerts about rules.
	ruleAlertPrefix = ownRule + "/rule/"
)

// watchRules raises the consumer's own alerts about rules that fail on most messages, until ctx
// ends. Without them the failures would look like a quiet night.
func (c *Consumer) watchRules(ctx context.Context) {
	if c.config.Mapping != nil || c.config.IntegrationKey == "" && !c.config.DryRun {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	known, ended := c.rules.Load(), false // ended: the alerts about rules that are not among known
	raisedAt := map[string]time.Time{}
	for {
		set := c.rules.Load()
		if set != known {
			known, ended, raisedAt = set, false, map[string]time.Time{}
			c.failures.read(set.names)
		}
		if !ended {
			err := c.endAlertsOfGoneRules(ctx, set)
			if ended = err == nil; !ended && ctx.Err() == nil {
				c.config.Logger.Warn("the alerts about removed rules cannot be ended yet", slog.Any("error", err))
			}
		}
		c.raiseAboutRules(ctx, set, raisedAt)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// raiseAboutRules raises the alerts about rules that fail on most messages, unless it has just done so.
func (c *Consumer) raiseAboutRules(ctx context.Context, set *ruleset, raisedAt map[string]time.Time) {
	for _, name := range set.names {
		now := time.Now()
		summary, details, is := c.failures.mostly(name, now)
		if !is || now.Sub(raisedAt[name]) < ruleAlertInterval {
			continue
		}
		raise := decision.Raise{
			Rule: ownRule, Key: decision.Key{Alert: ruleAlertPrefix + name}, Silence: ruleAlertSilence,
			Event: ilert.Event{Summary: summary, Details: details, Priority: ilert.Low},
		}
		if err := c.alerts.Do(ctx, now, raise); err == nil {
			raisedAt[name] = now
			c.wakeDelivery()
		} else if ctx.Err() == nil {
			c.config.Logger.Warn("the alert about a rule cannot be stored yet", slog.String("rule", name), slog.Any("error", err))
		}
	}
}

// endAlertsOfGoneRules ends the alerts about rules that do not exist any more, also those that an
// earlier process has raised.
func (c *Consumer) endAlertsOfGoneRules(ctx context.Context, set *ruleset) error {
	const maxAlerts = 10_000 // more than the rules of a few files
	open, err := c.alerts.Alerts(ctx, time.Now(), ownRule, maxAlerts)
	if err != nil {
		return err
	}
	var ends []decision.Effect
	for _, a := range open {
		name, aboutRule := strings.CutPrefix(a.Key.Alert, ruleAlertPrefix)
		if aboutRule && !slices.Contains(set.names, name) {
			ends = append(ends, decision.End{Key: a.Key})
		}
	}
	if len(ends) == 0 {
		return nil
	}
	defer c.wakeDelivery()
	return c.alerts.Do(ctx, time.Now(), ends...)
}
