// Package consumer takes messages from the broker and keeps ilert true to them.
//
// A message arrives from the broker (intake.go), the rules decide about it (rules.go), the store
// applies the decision in a transaction, and only then does the consumer acknowledge the message
// (acknowledge.go). Beside that it sends to ilert the changes that ilert does not know (delivery.go,
// at the rate of pace.go), and tries again until ilert has accepted them. So nothing that was
// acknowledged is lost, whenever the process, the broker or ilert fails.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/loglimit"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/sources"
)

// Consumer listens to messages and keeps ilert true to them. Its methods may be called
// concurrently.
type Consumer struct {
	config      *struct{ *checked } // this type keeps fmt from printing the secrets
	rules       atomic.Pointer[ruleset]
	alerts      *alerting.Engine
	decisions   *decisions // nil without a decision log
	pace        *pace
	secrets     *secrets
	incoming    chan message
	posts       chan posted
	intakeEnded chan struct{}    // closed when takeIn has ended
	lines       *loglimit.Logger // for lines that others can cause
	wake        chan struct{}    // wakes deliver: the store has changed
	pings       chan string      // keys of heartbeats

	connected  atomic.Bool   // there has been a connection
	subscribed chan struct{} // wakes noteSession: the subscriptions have changed

	requests  requests
	omissions omissions
	failures  ruleFailures
	clocks    *sources.Clocks
	heard     heard // only takeIn uses it
	listening listening
	counting  counting
	reading   reading

	mu      sync.Mutex
	conn    *mqttconn.Conn // nil without a broker, and before Run
	since   time.Time      // the time of the connection; zero without one
	faults  map[part]error
	refused map[ilert.IntegrationKey]failure // the keys whose last event ilert has not taken
}

// New opens the store. The error names the field of config, or the file, that is wrong; a broker
// or an ilert that is away is no error. The caller must call Run then.
func New(config Config) (*Consumer, error) {
	complete, err := config.check()
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	set, err := complete.loadRules()
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	lines := loglimit.New(complete.Logger)
	written, err := complete.openDecisions(lines)
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	opened, err := complete.openAlerting(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consumer: %w", err), written.close())
	}
	if written != nil {
		opened.LogTo(written.entries)
	}
	c := &Consumer{
		config:      &struct{ *checked }{&complete},
		alerts:      opened,
		decisions:   written,
		pace:        newPace(complete.Rate),
		secrets:     newSecrets(),
		incoming:    make(chan message, receiveMaximum),
		posts:       make(chan posted),
		intakeEnded: make(chan struct{}),
		lines:       lines,
		wake:        make(chan struct{}, 1),
		pings:       make(chan string, maxPings),

		subscribed: make(chan struct{}, 1),
		clocks:     sources.NewClocks(complete.MaxSkew, complete.SessionExpiry, complete.Logger),
		faults:     map[part]error{},
		refused:    map[ilert.IntegrationKey]failure{},
	}
	if config.Address != "" {
		c.faults[subscription] = errNotSubscribed
	}
	if config.LookForIlert && !config.DryRun {
		c.faults[reaching] = errors.New("has not answered yet")
	}
	if err := c.restore(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("consumer: %w", err), c.close())
	}
	if err := c.useRules(context.Background(), set); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// openAlerting opens the store and begins to work on it.
func (c checked) openAlerting(ctx context.Context) (*alerting.Engine, error) {
	store, err := c.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	bounds := alerting.DefaultBounds
	bounds.Letters, bounds.LetterBytes, bounds.LetterAge = c.MaxDeadLetters, c.MaxDeadLetterBytes, c.MaxDeadLetterAge
	return alerting.Open(ctx, store, bounds)
}

// restore loads the paces and clocks of an earlier process.
func (c *Consumer) restore(ctx context.Context) error {
	now := time.Now()
	c.pace.restore(c.alerts.Paces(now), now)
	c.clocks.Restore(c.alerts.Clocks())
	if c.config.Address == "" {
		return nil
	}
	c.alerts.Pause() // until the broker answers
	return c.alerts.UseSession(ctx, c.config.session())
}

// Run works until ctx ends. Then it reads no more, gives requests under way a few seconds, and
// closes the store; the next process delivers the rest. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.config.ilert.CloseIdle()
	defer c.lines.Close()
	disconnect, err := c.listen(ctx)
	if err != nil {
		close(c.intakeEnded)
		return errors.Join(fmt.Errorf("consumer: %w", err), c.close())
	}
	var loops sync.WaitGroup
	loops.Go(func() { c.takeIn(ctx) })
	loops.Go(func() { c.deliver(ctx) })
	loops.Go(func() { c.pingHeartbeats(ctx) })
	loops.Go(func() { c.revive(ctx) })
	loops.Go(func() { c.followOrders(ctx) })
	loops.Go(func() { c.watchBroker(ctx) })
	loops.Go(func() { c.watchRules(ctx) })
	loops.Go(func() { c.noteSession(ctx) })
	loops.Go(func() { c.reach(ctx) })
	loops.Go(func() { c.tidy(ctx) })
	loops.Go(func() { c.proveListening(ctx) })
	loops.Wait()
	c.keepClocks(context.WithoutCancel(ctx))
	c.keepListening(context.WithoutCancel(ctx))

	const goodbye = 2 * time.Second
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	return errors.Join(disconnect(closing), c.close())
}

// close closes the store and the decision log.
func (c *Consumer) close() error { return errors.Join(c.alerts.Close(), c.decisions.close()) }

// listen connects to the broker, if there is one, and returns the function that disconnects.
func (c *Consumer) listen(ctx context.Context) (disconnect func(context.Context) error, err error) {
	if c.config.Address == "" {
		return func(context.Context) error { return nil }, nil
	}
	set := c.rules.Load()
	conn, err := mqttconn.Open(mqttconn.Config{
		Servers:           c.config.servers,
		TLS:               mqttconn.TLSFiles{CA: c.config.CAFile, Cert: c.config.CertFile, Key: c.config.KeyFile},
		ClientID:          c.config.ClientID,
		Username:          c.config.Username,
		Password:          c.config.Password,
		SessionExpiry:     c.config.SessionExpiry,
		ReceiveMaximum:    receiveMaximum,
		MaximumPacketSize: maximumPacketSize,
		Subscriptions:     c.subscriptions(set),
		Unsubscriptions:   c.recallSession(ctx, set.topics),
		Logger:            c.config.Logger,
		Handlers:          c.handlers(ctx),
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	if now := c.rules.Load(); now != set { // Reload has replaced them in the meantime
		conn.Subscribe(c.subscriptions(now), c.recallSession(ctx, now.topics))
	}
	return conn.Close, nil
}

// handlers returns the functions that the connection calls, one at a time.
func (c *Consumer) handlers(ctx context.Context) mqttconn.Handlers {
	var up *mqttconn.Link
	return mqttconn.Handlers{
		Up: func(link *mqttconn.Link, limits mqttconn.Limits) {
			c.connectedAt(time.Now())
			c.listensOn(nil)
			up = link
			c.clocks.ForgetLags()
			if !limits.SessionPresent {
				c.alerts.EndSession(link.Serial())
			}
			if was := c.connected.Swap(true); was && !limits.SessionPresent {
				c.config.Logger.Warn("the MQTT broker has forgotten our session, or is another one: events that came while we were away are lost",
					slog.String("client_id", c.config.ClientID))
			}
		},
		Subscribed: func() {
			c.config.Logger.Info("subscribed", slog.Any("topics", c.rules.Load().topics))
			c.setFault(subscription, nil)
			c.listensOn(up)
			select {
			case c.subscribed <- struct{}{}:
			default:
			}
			link := up
			select { // without a message, too, the broker has to show what it may send again
			case c.incoming <- message{done: func() { c.askFirst(link) }}:
			default: // there are messages
			}
		},
		// The connection logs these two by itself.
		Failed: func(err error) {
			c.listensOn(nil)
			c.setFault(subscription, err)
		},
		Down: func(*mqttconn.Link, mqttconn.Ending) {
			c.connectedAt(time.Time{})
			c.listensOn(nil)
			c.setFault(subscription, errNotConnected)
		},
		Message: func(link *mqttconn.Link, p *packets.Publish) {
			select {
			case c.incoming <- message{link: link, Publish: p, at: time.Now()}:
			case <-ctx.Done(): // without acknowledgement the broker sends it again
			}
		},
		Answered: func(done func()) {
			select {
			case c.incoming <- message{done: done}:
			case <-ctx.Done():
			}
		},
	}
}

// subscriptions returns the subscriptions of a ruleset.
func (c *Consumer) subscriptions(set *ruleset) []paho.SubscribeOptions {
	qos := byte(1)
	if c.config.AtMostOnce {
		qos = 0
	}
	filters := set.topics
	options := make([]paho.SubscribeOptions, len(filters))
	for i, topic := range filters {
		// A retained message is old news: it is wanted once, not on every connect.
		const ifNewSubscription = 1
		options[i] = paho.SubscribeOptions{Topic: topic, QoS: qos, RetainHandling: ifNewSubscription}
	}
	return options
}

// connectedAt notes the time of the connection, or with the zero time that there is none.
func (c *Consumer) connectedAt(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = at
}
