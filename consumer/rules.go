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

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/rules"
)

// ruleset is what decides: it is replaced as a whole.
type ruleset struct {
	rules.Rules
	names  []string
	keyOf  map[string]ilert.IntegrationKey // by the names
	topics []string                        // to subscribe to
	keys   map[ilert.IntegrationKey]string // the secrets that the rules name
}

// loadRules reads the rules that the configuration names.
func (c Config) loadRules() (*ruleset, error) {
	if c.Mapping != nil {
		m := *c.Mapping
		m.OtherKey, m.Path = cmp.Or(m.OtherKey, c.IntegrationKey), c.MQTTPath
		return &ruleset{Rules: m.Rules(), topics: c.filters([]string{mqttconn.DefaultTopic})}, nil
	}
	var load rules.Load
	for _, name := range c.RulesFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, fmt.Errorf("rules: %s is empty: perhaps it is just being written", name)
		}
		load.Sources = append(load.Sources, rules.Source{Name: name, Text: text})
	}
	presets, err := rules.Presets(c.Presets)
	if err != nil {
		return nil, wrong("Presets", "", "%w", err)
	}
	load.Sources = append(load.Sources, presets...)
	load.Options, load.Topics, load.AnySetting = c.Options, c.Topics, true
	loaded, err := load.Do()
	if err != nil {
		return nil, err
	}
	set := &ruleset{Rules: loaded.Rules, names: loaded.Names, keyOf: loaded.KeyOf, keys: map[ilert.IntegrationKey]string{}}
	topics := loaded.Topics
	if len(topics) == 0 {
		topics = []string{mqttconn.DefaultTopic}
	}
	set.topics = c.filters(topics)
	for _, topic := range set.topics {
		if mqttconn.IsShared(topic) && topic != c.HeartbeatTopic {
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

// filters are the topic filters to subscribe to, where the rules ask for some. Without a broker
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
		if c.DryRun { // it would take messages from who does the work
			topics[i] = mqttconn.Unshared(topics[i])
		} else if c.SharedGroup != "" {
			topics[i] = shared(c.SharedGroup, topics[i])
		}
	}
	if c.HeartbeatTopic != "" {
		topics = append(topics, c.HeartbeatTopic)
	}
	return mqttconn.Uncovered(topics)
}

// shared is the filter of a shared subscription; one that is so already stays.
func shared(group, filter string) string {
	if mqttconn.IsShared(filter) {
		return filter
	}
	return "$share/" + group + "/" + filter
}

// Reload reads the rules again and decides by them from the next message on. Alerts of
// rules that are no more are ended. If the new rules are wrong the old ones stay; the error
// says what is wrong, each mistake with its line. An integration key that ilert refused is
// tried again at once. Reload may be called while Run works.
func (c *Consumer) Reload(ctx context.Context) error {
	set, err := c.config.loadRules()
	if err != nil {
		c.reading.failed(err)
		return fmt.Errorf("consumer: the rules stay as they were: %w", err)
	}
	return c.use(ctx, set)
}

// reading is what became of the last attempts to read the rules.
type reading struct {
	mu  sync.Mutex
	at  time.Time // when those in force were read
	err error     // of the last attempt, if it failed
}

func (r *reading) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *reading) worked(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = at, nil
}

func (r *reading) last() (at time.Time, failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		failure = r.err.Error()
	}
	return r.at, failure
}

// use lets rules decide.
func (c *Consumer) use(ctx context.Context, set *ruleset) error {
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
	c.pace.retry() // first: Retain makes the store ask how much may be told
	if err := c.retain(ctx); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	c.config.Logger.Info("rules", slog.Any("names", set.names), slog.Any("topics", set.topics))
	c.rouse()
	return nil
}

// warnOfEnded says of which rules alerts are resolved and how many: it may be that a rule has
// only got another name.
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

// retain ends the alerts of rules that are no more, and those that rules have raised by
// integration keys which they have no more.
func (c *Consumer) retain(ctx context.Context) error {
	rules := maps.Clone(c.rules.Load().keyOf)
	if rules == nil {
		rules = map[string]ilert.IntegrationKey{}
	}
	rules[ownRule] = ilert.IntegrationKey{}
	ended, err := c.store.Retain(ctx, time.Now(), rules)
	c.warnOfEnded("rules are no more, their alerts are resolved", ended.Gone)
	c.warnOfEnded("rules have another integration key, the alerts of the former are resolved", ended.Moved)
	return err
}

// outlived ends what rules have raised that were replaced between decision and store.
func (c *Consumer) outlived(ctx context.Context, decided *ruleset) {
	if c.rules.Load() == decided || c.config.Mapping != nil {
		return
	}
	if err := c.retain(ctx); err != nil && ctx.Err() == nil {
		c.config.Logger.Warn("alerts of rules that are no more cannot be ended yet", slog.Any("error", err))
	}
}
