package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/store/memory"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// Only this file of mps-sim uses the consumer and its store.

//go:embed demo.yaml
var demoRules string

// embeddedConsumer is the consumer that mps-sim runs, and the folder with its rules. The zero value
// has no consumer, as with --consumer=false.
type embeddedConsumer struct {
	consumer *consumer.Consumer
	tempDir  string
}

// openConsumer makes a consumer that reads these topics with the rules of the demo. It does not
// connect before run.
func openConsumer(o *options, topics []string, critical, ilertURL string, logger *slog.Logger) (a embeddedConsumer, err error) {
	if a.tempDir, err = os.MkdirTemp("", "mps-sim-"); err != nil {
		return a, err
	}
	rules := filepath.Join(a.tempDir, "demo.yaml")
	text := strings.Replace(demoRules, "distinct: 8 #", fmt.Sprintf("distinct: %d #", fleet.OutageOf(o.devices)), 1)
	if err = os.WriteFile(rules, []byte(text), 0o600); err != nil {
		return a, err
	}
	rate := 0 // the default, which suits ilert
	if o.ilertURL == "" {
		rate = -1 // no limit: the stand-in accepts any rate, and people watch
	}
	a.consumer, err = consumer.New(consumer.Config{
		Address: o.broker.Address, Username: o.broker.Username, Password: o.broker.Password,
		CAFile: o.broker.TLS.CA, CertFile: o.broker.TLS.Cert, KeyFile: o.broker.TLS.Key,
		// The alerts are lost when the process ends, so the broker soon drops the session: a broker of the user's
		// own must not keep messages that no process will read.
		ClientID: mqttconn.RandomClientID("mps-sim-consumer"), SessionExpiry: time.Minute,
		Topics: topics, RulesFiles: []string{rules}, Options: map[string]string{"critical": critical},
		OpenStore: func(context.Context) (alerting.Store, error) { return memory.New(), nil },
		IlertURL:  cmp.Or(o.ilertURL, ilertURL), IntegrationKey: cmp.Or(o.ilertKey, standInKey), Rate: rate,
		Logger: logger,
	})
	return a, err
}

func (a embeddedConsumer) run(ctx context.Context) error {
	if err := a.consumer.Run(ctx); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	return nil
}

func (a embeddedConsumer) close() error {
	if a.tempDir == "" {
		return nil
	}
	return os.RemoveAll(a.tempDir)
}

// await waits up to 3 seconds until the consumer has subscribed, so that it gets the events of the
// first call. If the broker is away, mps-sim starts all the same, and the page shows it.
func (a embeddedConsumer) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.consumer.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// decisions counts the messages by what the rules did with them, and the alerts at ilert.
type decisions struct {
	Read          uint64 `json:"read"`
	Counted       uint64 `json:"counted"`       // messages without an effect on an alert
	About         uint64 `json:"about"`         // messages that raised, repeated or ended an alert
	NotUnderstood uint64 `json:"notUnderstood"` // dead letters
	Open          uint64 `json:"open"`          // alerts that are open at ilert
	Unsent        uint64 `json:"unsent"`        // alerts that wait to be sent, before or after an attempt
	Delivered     uint64 `json:"delivered"`     // requests that ilert accepted
	Failing       bool   `json:"failing"`       // ilert does not accept requests
}

// countDecisions counts the messages that came on these topics. Read is the sum of the other counts of
// messages.
func (a embeddedConsumer) countDecisions(ctx context.Context, topics []string) decisions {
	var d decisions
	if a.consumer == nil {
		return d
	}
	status := a.consumer.Status(ctx)
	for _, topic := range topics {
		t := status.Messages[topic]
		d.Read += t.Received
		d.Counted += t.Ignored + t.Duplicate
		d.About += t.Merged + t.Delivered + t.Pending
		d.NotUnderstood += t.Dead + t.Purged
	}
	d.Open, d.Unsent = status.Alerts.Open, status.Alerts.Waiting+status.Alerts.UnderWay
	d.Delivered = status.Requests.Delivered
	for _, part := range status.Parts {
		d.Failing = d.Failing || part.Name == "ilert" && !part.Ready
	}
	return d
}
