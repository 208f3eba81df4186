package consumer

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/rules"
)

// Config says what a Consumer listens to, what it makes of it and whom it tells.
// Address, ClientID, StorePath and IntegrationKey are required.
type Config struct {
	// Address is the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://
	// with a path for WebSocket, user and password before an @. Several with
	// commas between are tried in turn.
	Address string
	// Username and Password are for addresses that hold none.
	Username, Password string
	// CAFile, CertFile and KeyFile are PEM files for TLS, read anew for every
	// connection; without them the system's roots are trusted and no client
	// certificate is shown.
	CAFile, CertFile, KeyFile string
	// ClientID names the session in which the broker keeps messages while the
	// consumer is away. It must stay the same and belong to one process.
	ClientID string
	// SessionExpiry is how long the broker is asked to keep them; default 24 h.
	SessionExpiry time.Duration
	// Topics are the topic filters to subscribe to; default mps/events.
	Topics []string
	// AtMostOnce subscribes at QoS 0: the broker keeps nothing while the consumer
	// is away, and what is on its way when it stops is lost.
	AtMostOnce bool

	// Preset names the built-in rules; default calls.
	Preset string
	// StorePath is the SQLite file that holds the state; it is created if need be.
	StorePath string

	// IlertURL is ilert's API; default https://api.ilert.com.
	IlertURL string
	// IntegrationKey is that of an alert source of ilert. It is a secret.
	IntegrationKey string

	// Logger is told of connections, failures and dead letters; nil discards. It
	// is never given a secret.
	Logger *slog.Logger
}

// checked is a Config that is complete and valid.
type checked struct {
	Config
	servers []mqttconn.Server
	rules   rules.Rules
	ilert   *ilert.Client
}

func (c Config) check() (checked, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Topics) == 0 {
		c.Topics = []string{mqttconn.DefaultTopic}
	}
	if c.Preset == "" {
		c.Preset = "calls"
	}
	if c.IlertURL == "" {
		c.IlertURL = ilert.DefaultURL
	}
	if c.SessionExpiry == 0 {
		c.SessionExpiry = 24 * time.Hour
	}
	for name, value := range map[string]string{
		"Address": c.Address, "ClientID": c.ClientID, "StorePath": c.StorePath, "IntegrationKey": c.IntegrationKey,
	} {
		if value == "" {
			return checked{}, fmt.Errorf("consumer: %s is required", name)
		}
	}
	if c.SessionExpiry < 0 {
		return checked{}, fmt.Errorf("consumer: SessionExpiry %v: want a positive duration", c.SessionExpiry)
	}
	for _, topic := range c.Topics {
		if err := mqttconn.CheckFilter(topic); err != nil {
			return checked{}, fmt.Errorf("consumer: topic filter %q: %w", topic, err)
		}
	}
	servers, err := mqttconn.ParseAddress(c.Address)
	if err != nil {
		return checked{}, fmt.Errorf("consumer: Address: %w", err)
	}
	r, err := rules.Preset(c.Preset)
	if err != nil {
		return checked{}, fmt.Errorf("consumer: %w", err)
	}
	client, err := ilert.New(c.IlertURL, workers)
	if err != nil {
		return checked{}, fmt.Errorf("consumer: %w", err)
	}
	return checked{c, servers, r, client}, nil
}
