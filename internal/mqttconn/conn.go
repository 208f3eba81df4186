// Package mqttconn keeps a connection to an MQTT 5 broker: from an address to a
// connection over TCP, TLS or WebSocket, made again with backoff and jitter
// whenever it is lost. It tells its owner of every connection, message and
// acknowledgement, and leaves to the owner what to send and when to acknowledge.
// No password and no query of an address reaches a log or an error.
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

	"github.com/mps-events/mps-events/internal/redact"
)

// Config says which broker to connect to and as whom.
type Config struct {
	redact.All
	Servers  []Server // tried in turn
	TLS      TLSFiles // used where the scheme asks for TLS
	ClientID string
	// Username and Password are sent where a server's address holds none.
	Username, Password string
	// KeepAlive is how long the connection may be silent; default 30 s. A broker
	// that says nothing for twice that time is given up.
	KeepAlive time.Duration
	// SessionExpiry is how long the broker keeps subscriptions and unacknowledged
	// messages after a connection has gone; 0 ends the session with it.
	SessionExpiry time.Duration
	// EndSession lets Close end the session, whatever SessionExpiry says.
	EndSession bool
	// ReceiveMaximum is how many unacknowledged QoS 1 messages the broker may
	// send; 0 is MQTT's own limit of 65535.
	ReceiveMaximum uint16
	// MaximumPacketSize is the longest packet, in bytes, that the broker may send;
	// it keeps longer ones to itself. 0 is no limit.
	MaximumPacketSize uint32
	// Will is published by the broker when the connection is lost; nil is none.
	Will *Will
	// Goodbye returns ready packets to be written before Close disconnects; nil is
	// none. It is not called without a connection.
	Goodbye func(Limits) []byte
	// Subscriptions are made on every connection; Subscribe replaces them.
	Subscriptions []paho.SubscribeOptions
	// Unsubscriptions are topic filters that the session may be subscribed to and should not
	// be. They are ended once, when the Subscriptions are made, so that no message is missed
	// between the two.
	Unsubscriptions []string
	Handlers        Handlers
	Logger          *slog.Logger // nil discards

	dial dialFunc // nil: TCP
}

// Conn is a connection that is made again whenever it is lost.
type Conn struct {
	config      *struct{ *Config } // so that fmt does not follow it to the password
	mask        *strings.Replacer  // of secrets in what brokers and gateways say
	session     *session
	manager     *autopaho.ConnectionManager
	open        context.Context // until Close
	closing     context.CancelFunc
	subscribing sync.WaitGroup

	mu       sync.Mutex
	link     *Link // the newest, perhaps closed
	backoff  backoff
	brief    int    // connections, one after the other, that were lost within a moment
	trying   string // the address of the newest attempt, without secrets
	willQoS  byte
	noWill   bool // the broker retains nothing
	lastWarn time.Time
}

// Open begins to connect in the background and returns at once. The error is
// that of a certificate file or of the configuration, never of the network.
func Open(config Config) (*Conn, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = 30 * time.Second
	}
	if err := CheckString(config.ClientID); err != nil {
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
			PingHandler:       pinger{most: config.KeepAlive, pong: c.session.pong},
		},
	})
	return c, err
}

// Address is that of the newest attempt to connect, without user, password and query; empty
// before the first.
func (c *Conn) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trying
}

// lastWords is how long after the end of its context Close still waits for the
// goodbye to be written.
const lastWords = 500 * time.Millisecond

// Close disconnects. It waits for the goodbye to be written until half a second after
// ctx has ended, then cuts the connection. No goroutine is left when it returns.
func (c *Conn) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, c.cut) })
	defer stop()
	c.mu.Lock()
	c.closing() // from here on subscribing only gets less
	c.mu.Unlock()
	err := c.manager.Disconnect(context.Background())
	c.subscribing.Wait()
	return err
}

// cut breaks the connection, which ends all that waits for it.
func (c *Conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		_ = c.link.Close()
	}
}

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

// serverAt returns the server of which u is the URL.
func (c *Conn) serverAt(u *url.URL) Server {
	i := slices.IndexFunc(c.config.Servers, func(s Server) bool { return s.URL == u })
	return c.config.Servers[i] // autopaho passes on the pointers that it was given
}

// nextWait is asked before each attempt but those at further addresses. autopaho counts
// attempts from the last connection, but a broker that accepts and at once cuts must be
// backed off from as well.
func (c *Conn) nextWait(int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backoff.next(c.link != nil && c.link.useful.Load())
}

func (c *Conn) up(manager *autopaho.ConnectionManager, _ *paho.Connack) {
	c.mu.Lock()
	c.backoff.connected()
	c.lastWarn = time.Time{}
	link := c.link
	c.mu.Unlock()
	c.config.Logger.Info("connected to the MQTT broker", "address", link.RemoteAddr().String(), "client_id", c.config.ClientID)
	c.subscribe(manager, link)
}

// Subscribe replaces Config.Subscriptions and Config.Unsubscriptions, at once where there is a
// connection. It does not wait; the handlers are told as they are of every subscription. What
// else the session was subscribed to it stays subscribed to.
func (c *Conn) Subscribe(to []paho.SubscribeOptions, from []string) {
	c.mu.Lock()
	c.config.Subscriptions, c.config.Unsubscriptions = to, from
	link, connected := c.link, c.backoff.isUp()
	c.mu.Unlock()
	if connected {
		c.subscribe(c.manager, link)
	}
}

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
			defer link.Close() // connected but deaf is worse than trying again
		} else if len(from) > 0 {
			c.unsubscribe(manager, from)
		}
		if current := c.session.subscribed(link, err); current && err != nil {
			c.warn(err)
		}
	})
}

// unsubscribe ends subscriptions of an earlier time. A broker that refuses that goes on
// sending what nobody wants, which is no reason to do without it.
func (c *Conn) unsubscribe(manager *autopaho.ConnectionManager, from []string) {
	if _, err := manager.Unsubscribe(c.open, &paho.Unsubscribe{Topics: from}); err != nil {
		c.config.Logger.Warn("cannot unsubscribe from topics that are not wanted any more", "topics", from, "error", err)
		return
	}
	c.config.Logger.Info("unsubscribed from topics that are not wanted any more", "topics", from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Equal(c.config.Unsubscriptions, from) {
		c.config.Unsubscriptions = nil
	}
}

func (c *Conn) down() bool {
	c.mu.Lock()
	err := c.link.cause()
	if c.brief++; time.Since(c.backoff.upSince) > proven {
		c.brief = 0
	}
	again := c.brief >= 3
	c.mu.Unlock()
	var why []any
	if err != nil { // none after a DISCONNECT
		why = append(why, slog.Any("error", c.masked(err)))
		if again {
			why = append(why, slog.String("perhaps", "another process may have the same client id, "+c.config.ClientID+": give each its own"))
		}
	}
	c.config.Logger.Warn("lost the connection to the MQTT broker, connecting again", why...)
	return true
}

// failed is told of each attempt to connect that has failed.
func (c *Conn) failed(err error) {
	if c.adaptWill(err) {
		c.config.Logger.Warn("the MQTT broker does not take our Last Will as it is; trying with less", "error", c.explain(err))
	}
	if c.config.Handlers.Failed != nil {
		c.config.Handlers.Failed(c.explain(err))
	}
	c.warn(err)
}

// warn logs the first failure of an outage and then one a minute, none while
// closing.
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

// noAuth answers a broker that begins an enhanced authentication which nobody
// asked for. Without a handler paho would panic.
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
