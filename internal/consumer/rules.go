package consumer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// ruleset holds the rules, or ilagent's mapping, and what follows from them. Reload replaces it
// as a whole.
type ruleset struct {
	decider
	names  []string
	keyOf  map[string]ilert.IntegrationKey // by name
	topics []string                        // to subscribe to
	keys   map[ilert.IntegrationKey]string // the secrets of the rules' keys

	awaiting map[string]ilert.IntegrationKey // the rules that wait for messages
	expected []decision.Heard                // the groups that they wait for from the start
}

// decider decides about messages: rules or ilagent's mapping. It may be called concurrently.
type decider interface {
	Decide(decision.Message) decision.Decision
}

// loadRules reads the rules that the configuration names.
func (c Config) loadRules() (*ruleset, error) {
	if c.Mapping != nil {
		m := *c.Mapping
		m.OtherKey, m.Path = cmp.Or(m.OtherKey, c.IntegrationKey), c.MQTTPath
		return &ruleset{decider: m, topics: c.filters([]string{mqtttopic.DefaultTopic})}, nil
	}
	var load rulefile.Load
	for _, name := range c.RulesFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, fmt.Errorf("rules: %s is empty: perhaps it is just being written", name)
		}
		load.Sources = append(load.Sources, rulefile.Source{Name: name, Text: text})
	}
	presets, err := rulefile.Presets(c.Presets)
	if err != nil {
		return nil, wrong("Presets", "", "%w", err)
	}
	load.Sources = append(load.Sources, presets...)
	load.Options, load.Topics, load.AnySetting = c.Options, c.Topics, true
	loaded, err := load.Do()
	if err != nil {
		return nil, err
	}
	set := &ruleset{decider: loaded, names: loaded.Names, keyOf: loaded.KeyOf, keys: map[ilert.IntegrationKey]string{}, awaiting: loaded.Awaiting()}
	if set.expected, err = loaded.Expected(); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	topics := loaded.Topics
	if len(topics) == 0 {
		topics = []string{mqtttopic.DefaultTopic}
	}
	set.topics = c.filters(topics)
	for _, topic := range set.topics {
		if mqtttopic.IsShared(topic) && topic != c.HeartbeatTopic {
			return nil, wrong("SharedGroup", "", "topic filter %q: rules need all messages in one place: of two members of a shared group "+
				"another may get the message that ends an alert. Only ilagent's mapping may share (--preset ilagent)", topic)
		}
	}
	for _, key := range loaded.Keys {
		if set.keys[key], err = readSecret(key); err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
	}
	return set, nil
}

// filters returns the topic filters to subscribe to, given those of the rules. Without a broker
// there are none.
func (c Config) filters(ofRules []string) []string {
	topics := slices.Clone(c.Topics)
	if c.Address == "" {
		return nil
	}
	if len(topics) == 0 && !c.onlyHeartbeats() {
		topics = slices.Clone(ofRules)
	}
	for i := range topics {
		if c.DryRun { // a member of the group would take messages from the others
			topics[i] = mqtttopic.Unshared(topics[i])
		} else if c.SharedGroup != "" {
			topics[i] = mqtttopic.Shared(c.SharedGroup, topics[i])
		}
	}
	if c.HeartbeatTopic != "" {
		topics = append(topics, c.HeartbeatTopic)
	}
	return mqtttopic.Uncovered(topics)
}

// Reload reads the rules again and decides by them from the next message on. It ends the alerts
// of rules that no longer exist. If the new rules are wrong the old ones stay, and the error
// lists each mistake with its line. It also ends the wait of integration keys that ilert refused.
// It may be called while Run works.
func (c *Consumer) Reload(ctx context.Context) error {
	set, err := c.config.loadRules()
	if err != nil {
		c.reading.failed(err)
		return fmt.Errorf("consumer: the rules stay as they were: %w", err)
	}
	return c.useRules(ctx, set)
}

// reading is the result of the last attempts to read the rules.
type reading struct {
	mu  sync.Mutex
	at  time.Time // the time of the last success
	err error     // of the last attempt, if it failed
}

// failed notes an attempt that failed.
func (r *reading) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// worked notes a successful attempt.
func (r *reading) worked(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = at, nil
}

// last returns the time of the last success and the error text of the last attempt.
func (r *reading) last() (at time.Time, failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		failure = r.err.Error()
	}
	return r.at, failure
}

// useRules replaces the rules.
func (c *Consumer) useRules(ctx context.Context, set *ruleset) error {
	c.secrets.keep(set.keys)
	was := c.rules.Swap(set)
	c.reading.worked(time.Now())
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil && !slices.Equal(was.topics, set.topics) {
		conn.Subscribe(c.subscriptions(set), c.recallSession(ctx, set.topics))
	}
	if c.config.Mapping != nil {
		return nil
	}
	c.lookSoon()
	c.pace.retry() // first, because Retain asks for budgets
	if err := c.retain(ctx); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	c.config.Logger.Info("rules", slog.Any("names", set.names), slog.Any("topics", set.topics))
	c.wakeDelivery()
	return nil
}

// warnOfEnded logs the rules whose alerts were resolved, and their number: the operator may only
// have renamed a rule.
func (c *Consumer) warnOfEnded(why string, ended map[string]int) {
	if len(ended) == 0 {
		return
	}
	n := 0
	for _, alerts := range ended {
		n += alerts
	}
	c.config.Logger.Warn(why, slog.Any("rules", slices.Sorted(maps.Keys(ended))), slog.Int("alerts", n))
}

// retain ends the alerts of rules that no longer exist, and the alerts that rules have raised by
// another integration key than they have now. It waits for the groups that the rules name.
func (c *Consumer) retain(ctx context.Context) error {
	set := c.rules.Load()
	rules := maps.Clone(set.keyOf)
	if rules == nil {
		rules = map[string]ilert.IntegrationKey{}
	}
	rules[ownRule] = ilert.IntegrationKey{}
	ended, err := c.alerts.Retain(ctx, time.Now(), rules)
	c.warnOfEnded("rules are no more, their alerts are resolved", ended.Gone)
	c.warnOfEnded("rules have another integration key, the alerts of the former are resolved", ended.Moved)
	if err != nil {
		return err
	}
	return c.alerts.Await(ctx, time.Now(), set.awaiting, set.expected)
}

// endReplaced ends the alerts of rules that were replaced between decision and store.
func (c *Consumer) endReplaced(ctx context.Context, decided *ruleset) {
	if c.rules.Load() == decided || c.config.Mapping != nil {
		return
	}
	if err := c.retain(ctx); err != nil && ctx.Err() == nil {
		c.config.Logger.Warn("alerts of rules that are no more cannot be ended yet", slog.Any("error", err))
	}
}
