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
)

// This file is all that mps-sim knows of the consumer and of its store.

//go:embed demo.yaml
var demoRules string

// alertingPart is the consumer and its files; the zero value is none.
type alertingPart struct {
	consumer *consumer.Consumer
	tempDir  string
}

func openAlerting(o *options, topics []string, critical, ilertURL string, logger *slog.Logger) (a alertingPart, err error) {
	if a.tempDir, err = os.MkdirTemp("", "mps-sim-"); err != nil {
		return a, err
	}
	rules := filepath.Join(a.tempDir, "demo.yaml")
	text := strings.Replace(demoRules, "distinct: 8 #", fmt.Sprintf("distinct: %d #", manyDevices(o.devices)), 1)
	if err = os.WriteFile(rules, []byte(text), 0o600); err != nil {
		return a, err
	}
	rate := 0 // as ilert wants it
	if o.ilertURL == "" {
		rate = -1 // the stand-in takes all, and people watch
	}
	a.consumer, err = consumer.New(consumer.Config{
		Address: o.broker.Address, Username: o.broker.Username, Password: o.broker.Password,
		CAFile: o.broker.TLS.CA, CertFile: o.broker.TLS.Cert, KeyFile: o.broker.TLS.Key,
		// The store ends with the process, and the session soon after: nobody would read what a broker that
		// is not ours keeps for it.
		ClientID: mqttconn.RandomClientID("mps-sim-consumer"), SessionExpiry: time.Minute,
		Topics: topics, RulesFiles: []string{rules}, Options: map[string]string{"critical": critical},
		OpenStore: func(context.Context) (alerting.Store, error) { return memory.New(), nil },
		IlertURL:  cmp.Or(o.ilertURL, ilertURL), IntegrationKey: cmp.Or(o.ilertKey, "stand-in"), Rate: rate,
		Logger: logger,
	})
	return a, err
}

// manyDevices returns how many devices of a fleet are disconnected together only when something has
// happened, and not because people go home.
func manyDevices(devices int) int { return max(3, min(devices/8, 8), devices/20) }

func (a alertingPart) run(ctx context.Context) error {
	if err := a.consumer.Run(ctx); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	return nil
}

func (a alertingPart) close() error {
	if a.tempDir == "" {
		return nil
	}
	return os.RemoveAll(a.tempDir)
}

// await waits until the consumer has subscribed for the first time, so that the first call's
// events are not missed. A broker that is away is not waited for: the page says so.
func (a alertingPart) await(ctx context.Context) {
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

// decisions counts what the rules have made of the events, and how ilert stands.
type decisions struct {
	Read          uint64 `json:"read"`
	Counted       uint64 `json:"counted"`       // had no effect on an alert
	About         uint64 `json:"about"`         // raised, repeated or ended an alert
	NotUnderstood uint64 `json:"notUnderstood"` // dead letters
	Open          uint64 `json:"open"`          // alerts that ilert knows as open
	Untold        uint64 `json:"untold"`        // alerts that wait to be sent, after an attempt or not
	Delivered     uint64 `json:"delivered"`     // requests that ilert took
	Failing       bool   `json:"failing"`       // ilert does not take what it is sent
}

// decided returns the counts of the messages that came on these topics. Read is their sum.
func (a alertingPart) decided(ctx context.Context, topics []string) decisions {
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
	d.Open, d.Untold = status.Alerts.Open, status.Alerts.Waiting+status.Alerts.UnderWay
	d.Delivered = status.Requests.Delivered
	for _, part := range status.Parts {
		d.Failing = d.Failing || part.Name == "ilert" && !part.Ready
	}
	return d
}
