// Package mqttconn keeps a connection to an MQTT 5 broker over TCP, TLS or WebSocket. It
// connects again, with backoff and jitter, whenever the connection is lost. It calls handlers of
// its owner for every connection, message and acknowledgement; the owner decides what to send
// and when to acknowledge. No password and no query of an address reaches a log or an error.
package mqttconn

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/redact"
)

// Config is the configuration of a Conn: the brokers, the login and the handlers.
type Config struct {
	redact.All
	Servers  []Server // tried in turn
	TLS      TLSFiles // used where the scheme asks for TLS
	ClientID string
	// Username and Password are sent to servers whose address holds none.
	Username, Password string
	// KeepAlive is the longest silence on the connection; default 30 s. Conn ends a connection
	// on which the broker has been silent for twice that time.
	KeepAlive time.Duration
	// SessionExpiry is the time for which the broker keeps subscriptions and unacknowledged
	// messages after a connection has ended; 0 ends the session with the connection.
	SessionExpiry time.Duration
	// EndSession makes Close end the session, whatever the SessionExpiry.
	EndSession bool
	// ReceiveMaximum is the number of unacknowledged QoS 1 messages that the broker may
	// send; 0 is MQTT's limit of 65535.
	ReceiveMaximum uint16
	// MaximumPacketSize is the length of the longest packet, in bytes, that the broker may send;
	// the broker does not send longer messages. 0 is no limit.
	MaximumPacketSize uint32
	// Will is the message that the broker publishes when the connection is lost, or nil.
	Will *Will
	// Goodbye returns ready packets that Close writes before it disconnects; it may be nil.
	// Close does not call it without a connection.
	Goodbye func(Limits) []byte
	// Subscriptions are made on every connection; Subscribe replaces them.
	Subscriptions []paho.SubscribeOptions
	// Unsubscriptions are topic filters of an earlier configuration, to which the session may
	// still be subscribed. Conn unsubscribes from them once, after it has made the Subscriptions,
	// so that no message is missed in between.
	Unsubscriptions []string
	Handlers        Handlers
	Logger          *slog.Logger // nil discards

	dial dialFunc // nil: TCP
}

// Conn is a connection that is made again whenever it is lost.
type Conn struct {
	config      *struct{ *Config } // this type keeps fmt from printing the password
	mask        *strings.Replacer  // replaces secrets in texts of brokers and gateways
	session     *session
	manager     *autopaho.ConnectionManager
	open        context.Context // until Close
	closing     context.CancelFunc
	subscribing sync.WaitGroup

	mu       sync.Mutex
	link     *Link // newest link, which may be closed
	backoff  backoff
	brief    int    // connections in a row that were lost within provenAfter
	trying   string // address of the newest attempt, without secrets
	willQoS  byte
	noWill   bool // the broker retains nothing
	lastWarn time.Time
}

// Open returns a Conn that connects in the background. The error is about
// a certificate file or the configuration, never about the network.
func Open(config Config) (*Conn, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = 30 * time.Second
	}
	if err := mqtttopic.CheckString(config.ClientID); err != nil {
		return nil, fmt.Errorf("client id %q: %w", config.ClientID, err)
	}
	if _, err := config.TLS.Config(); err != nil {
		return nil, err
	}
	if config.dial == nil {
		config.dial = new(net.Dialer).DialContext
	}
	c := &Conn{config: &struct{ *Config }{&config}, mask: mask(config.secrets()), willQoS: 1}
	c.session = &session{State: state.NewInMemory(), handlers: config.Handlers, disconnected: c.disconnected}
	c.open, c.closing = context.WithCancel(context.Background())
	urls := make([]*url.URL, len(config.Servers))
	for i, server := range config.Servers {
		urls[i] = server.URL
	}
	var err error
	c.manager, err = autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
		ServerUrls:            urls,
		KeepAlive:             uint16(min(config.KeepAlive/time.Second, 65535)),
		SessionExpiryInterval: uint32(min(config.SessionExpiry/time.Second, 1<<32-1)),
		ReconnectBackoff:      c.nextWait,
		AttemptConnection:     c.connect,
		ConnectPacketBuilder:  c.fillConnect,
		OnConnectionUp:        c.up,
		OnConnectionDown:      c.down,
		OnConnectError:        c.failed,

		DisconnectPacketBuilder: c.goodbye,
		ClientConfig: paho.ClientConfig{
			ClientID:          config.ClientID,
			Session:           c.session,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){c.session.received},
			AuthHandler:       noAuth{},
			PingHandler:       pinger{maxInterval: config.KeepAlive, pong: c.session.pong},
		},
	})
	return c, err
}

// Address returns the address of the newest attempt to connect, without user, password and query,
// or "" before the first attempt.
func (c *Conn) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trying
}

// goodbyeTimeout is the time after the end of its context for which Close still waits until the
// goodbye is written.
const goodbyeTimeout = 500 * time.Millisecond

// Close disconnects. It waits for the goodbye to be written until half a second after
// ctx has ended, then cuts the connection. No goroutine is left when it returns.
func (c *Conn) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbyeTimeout, c.cut) })
	defer stop()
	c.mu.Lock()
	c.closing() // no new subscribing begins after this
	c.mu.Unlock()
	err := c.manager.Disconnect(context.Background())
	c.subscribing.Wait()
	return err
}

// cut closes the connection, so that everything that waits for it returns.
func (c *Conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		_ = c.link.Close()
	}
}

// connect makes the network connection to the server at u.
func (c *Conn) connect(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
	c.mu.Lock()
	c.trying = u.String()
	c.mu.Unlock()
	conn, err := c.dial(ctx, c.serverAt(u))
	if err != nil {
		return nil, err
	}
	link := newLink(conn, c.config.Handlers.Pubacks)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
	return link, nil
}

// serverAt returns the server whose URL is u.
func (c *Conn) serverAt(u *url.URL) Server {
	i := slices.IndexFunc(c.config.Servers, func(s Server) bool { return s.URL == u })
	return c.config.Servers[i] // autopaho passes the pointers that it got from Open
}

// nextWait returns the wait before an attempt. autopaho calls it before the first address of each
// round. It ignores autopaho's count of attempts, which begins anew with each connection:
// a broker that accepts connections and ends them at once needs a backoff as well.
func (c *Conn) nextWait(int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backoff.endAttempt(c.link != nil && c.link.useful.Load())
}

// up subscribes on a new connection.
func (c *Conn) up(manager *autopaho.ConnectionManager, _ *paho.Connack) {
	c.mu.Lock()
	c.backoff.connected()
	c.lastWarn = time.Time{}
	link := c.link
	c.mu.Unlock()
	c.config.Logger.Info("connected to the MQTT broker", "address", link.RemoteAddr().String(), "client_id", c.config.ClientID)
	c.subscribe(manager, link)
}

// Subscribe replaces Config.Subscriptions and Config.Unsubscriptions. If there is a connection,
// it subscribes at once, but does not wait: the handlers are called as for every subscription.
// The session keeps subscriptions that are in neither list.
func (c *Conn) Subscribe(to []paho.SubscribeOptions, from []string) {
	c.mu.Lock()
	c.config.Subscriptions, c.config.Unsubscriptions = to, from
	link, connected := c.link, c.backoff.isUp()
	c.mu.Unlock()
	if connected {
		c.subscribe(c.manager, link)
	}
}

// subscribe makes the subscriptions on link in the background.
func (c *Conn) subscribe(manager *autopaho.ConnectionManager, link *Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to, from := c.config.Subscriptions, c.config.Unsubscriptions
	if len(to) == 0 || c.open.Err() != nil {
		return
	}
	c.subscribing.Go(func() { // autopaho must not wait
		_, limits := c.session.current()
		var err error
		for _, packet := range subscribePackets(to, limits) {
			if _, err = manager.Subscribe(c.open, packet); err != nil {
				break
			}
		}
		if err != nil {
			err = fmt.Errorf("subscribing: %w", err)
			defer link.Close() // a connection without subscriptions is worse than a new attempt
		} else if len(from) > 0 {
			c.unsubscribe(manager, from)
		}
		if current := c.session.subscribed(link, err); current && err != nil {
			c.warn(err)
		}
	})
}

// unsubscribe ends subscriptions of an earlier configuration. If the broker refuses that, the
// connection goes on: the broker only sends messages that the owner does not need.
func (c *Conn) unsubscribe(manager *autopaho.ConnectionManager, from []string) {
	if _, err := manager.Unsubscribe(c.open, &paho.Unsubscribe{Topics: from}); err != nil {
		c.config.Logger.Warn("cannot unsubscribe from topics that are no longer configured", "topics", from, "error", err)
		return
	}
	c.config.Logger.Info("unsubscribed from topics that are no longer configured", "topics", from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Equal(c.config.Unsubscriptions, from) {
		c.config.Unsubscriptions = nil
	}
}

// down logs the loss of a connection.
func (c *Conn) down() bool {
	c.mu.Lock()
	err := c.link.cause()
	if c.brief++; time.Since(c.backoff.upSince) > provenAfter {
		c.brief = 0
	}
	again := c.brief >= 3
	c.mu.Unlock()
	var why []any
	if err != nil { // there is none after a DISCONNECT
		why = append(why, slog.Any("error", c.masked(err)))
		if again {
			why = append(why, slog.String("perhaps", "another process may have the same client id, "+c.config.ClientID+": give each its own"))
		}
	}
	c.config.Logger.Warn("lost the connection to the MQTT broker, connecting again", why...)
	return true
}

// failed handles the failure of an attempt to connect.
func (c *Conn) failed(err error) {
	if c.adaptWill(err) {
		c.config.Logger.Warn("the MQTT broker refuses our Last Will; trying with a smaller QoS or without it", "error", c.explain(err))
	}
	if c.config.Handlers.Failed != nil {
		c.config.Handlers.Failed(c.explain(err))
	}
	c.warn(err)
}

// warn logs the first failure of an outage and then one a minute. It logs nothing after Close.
func (c *Conn) warn(err error) {
	err = c.explain(err)
	c.mu.Lock()
	address := c.trying
	quiet := time.Since(c.lastWarn) < time.Minute || c.open.Err() != nil
	if !quiet {
		c.lastWarn = time.Now()
	}
	c.mu.Unlock()
	if quiet {
		return
	}
	c.config.Logger.Warn("cannot connect to the MQTT broker, trying again", "address", address, "client_id", c.config.ClientID, "error", err)
}

// noAuth is the handler for a broker that begins an enhanced authentication although the client
// did not ask for it. Without a handler paho would panic.
type noAuth struct{}

func (noAuth) Authenticate(*paho.Auth) *paho.Auth {
	return &paho.Auth{ReasonCode: packets.AuthContinueAuthentication}
}
func (noAuth) Authenticated() {}

// RandomClientID returns prefix, a hyphen and 8 random hex digits.
func RandomClientID(prefix string) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, as its documentation says
	return prefix + "-" + hex.EncodeToString(b[:])
}
