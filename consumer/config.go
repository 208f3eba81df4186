package consumer

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/store"
)

// Config says what a Consumer listens to, what it makes of it and whom it tells.
// StorePath is required, but for DryRun; so is ClientID with Address, and IntegrationKey
// without Mapping.
type Config struct {
	// Address is the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://
	// with a path and a query for WebSocket, user and password before an @. Several with
	// commas between are tried in turn. Empty: nothing is listened to, and only what
	// Post takes is sent.
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
	// Topics are the topic filters to subscribe to; default those of the rules. Rules that
	// name no topics themselves listen to these instead of those of their file. With a
	// HeartbeatTopic, and neither Topics, RulesFiles nor Presets, there are none.
	Topics []string
	// SharedGroup makes the subscriptions shared ones: of all consumers of that group one
	// gets each message, and none the retained ones. It goes with Mapping only: rules need
	// all messages in one place.
	SharedGroup string
	// AtMostOnce subscribes at QoS 0: the broker keeps nothing while the consumer
	// is away, and what is on its way when it stops is lost.
	AtMostOnce bool

	// RulesFiles are YAML files of rules, the first of which come first; Reload reads them
	// again.
	RulesFiles []string
	// Presets name built-in rules, which come after those of RulesFiles; default mps and
	// rps where there are no RulesFiles.
	Presets []string
	// Options are values for the options of the rules, by name.
	Options map[string]string
	// Mapping, instead of rules, makes an event for ilert of each message.
	Mapping *Mapping
	// MQTTPath is where the events of Mapping go, below IlertURL, with {key} for the
	// integration key; default /api/v1/events/mqtt/{key}.
	MQTTPath string
	// StorePath is the SQLite file that holds the state; it is created if need be.
	StorePath string
	// DryRun tells Logger what ilert would be told, and ilert nothing. It keeps its state
	// in memory and takes no messages from the session of ClientID, so that it may run
	// beside the consumer that does the work.
	DryRun bool

	// IlertURL is ilert's API; default https://api.ilert.com.
	IlertURL string
	// LookForIlert lets Run ask ilert, without raising anything, until it has answered once;
	// before that Ready returns an error. Whether it takes IntegrationKey shows only with an
	// event. Not with DryRun.
	LookForIlert bool
	// UserAgent tells ilert which program asks, such as mps-ilert/v1.0.0; default mps-ilert.
	UserAgent string
	// IntegrationKey is that of an alert source of ilert. It is a secret.
	IntegrationKey string
	// Rate is how many requests a minute ilert gets for each integration key, at most 10 of
	// them at once; default 48, a little under what ilert takes. 3 of the 10 are kept for
	// what ends alerts or speaks for many. Negative: any number.
	Rate int
	// HeartbeatKey is that of a heartbeat of ilert, which is pinged every 30 seconds
	// while Ready returns nil. It is a secret.
	HeartbeatKey string
	// HeartbeatTopic is a topic on which others ask for a ping of the heartbeat whose
	// integrationKey their message, an object, holds. One key is pinged five times a
	// minute at most. The messages are counted as ignored.
	HeartbeatTopic string
	// HeartbeatURL is where heartbeats are pinged; default https://beat.ilert.com. Keys
	// that begin with il1hbt are pinged at IlertURL.
	HeartbeatURL string

	// MaxSkew is how far a server's clock may be behind ours before it is named in the log
	// and by Status, and how late it may say what changes an alert of which another has
	// spoken since; default 1 minute. Only events say their time.
	MaxSkew time.Duration

	// MaxDeadLetters, MaxDeadLetterBytes (of topics, payloads and properties) and
	// MaxDeadLetterAge bound what is kept of messages that could not be understood or that
	// ilert called invalid: the oldest are purged. The defaults are 100,000, 256 MiB and 30
	// days.
	MaxDeadLetters     int
	MaxDeadLetterBytes int64
	MaxDeadLetterAge   time.Duration

	// Hooks are told what happens.
	Hooks Hooks
	// Logger is told of connections, failures and dead letters; nil discards. It
	// is never given a secret.
	Logger *slog.Logger
}

// Hooks are told what happens, for metrics; any may be nil. They are called concurrently,
// and hold up the work for as long as they take.
type Hooks struct {
	// Requested is told of each request that gave ilert an event, and how long it took.
	Requested func(outcome Outcome, took time.Duration)
}

// Mapping makes an event for ilert of each message, in the order of arrival, as ilert's
// ilagent does; see its fields.
type Mapping = rules.Mapping

// checked is a Config that is complete and valid.
type checked struct {
	Config
	servers []mqttconn.Server
	ilert   *ilert.Client
}

func (c Config) check() (checked, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Presets)+len(c.RulesFiles) == 0 && c.Mapping == nil && !c.onlyHeartbeats() {
		c.Presets = rules.DefaultPresets
	}
	if c.DryRun {
		c.ClientID, c.SessionExpiry, c.HeartbeatKey = mqttconn.RandomClientID(c.ClientID+"-dry-run"), 0, ""
	} else {
		c.SessionExpiry = cmp.Or(c.SessionExpiry, 24*time.Hour)
	}
	c.MaxSkew = cmp.Or(c.MaxSkew, time.Minute)
	c.Rate = cmp.Or(c.Rate, defaultRate)
	c.MaxDeadLetters = cmp.Or(c.MaxDeadLetters, store.DefaultBounds.Letters)
	c.MaxDeadLetterBytes = cmp.Or(c.MaxDeadLetterBytes, store.DefaultBounds.LetterBytes)
	c.MaxDeadLetterAge = cmp.Or(c.MaxDeadLetterAge, store.DefaultBounds.LetterAge)
	c.IlertURL = cmp.Or(c.IlertURL, ilert.DefaultURL)
	c.HeartbeatURL = cmp.Or(c.HeartbeatURL, ilert.DefaultHeartbeatURL)
	c.MQTTPath = cmp.Or(c.MQTTPath, ilert.MQTTPath)
	switch {
	case c.StorePath == "" && !c.DryRun:
		return checked{}, wrong("StorePath", "", "is required")
	case c.Address != "" && c.ClientID == "":
		return checked{}, wrong("ClientID", "", "is required")
	case c.Mapping == nil && c.listensToEvents() && c.IntegrationKey == "" && !c.DryRun:
		return checked{}, wrong("IntegrationKey", "", "is required")
	case c.Mapping != nil && len(c.Presets) > 0:
		return checked{}, wrong("Presets", strings.Join(c.Presets, ","), "Mapping goes without")
	case c.Mapping != nil && len(c.RulesFiles) > 0:
		return checked{}, wrong("RulesFiles", strings.Join(c.RulesFiles, ","), "Mapping goes without")
	case !strings.HasPrefix(c.MQTTPath, "/"):
		return checked{}, wrong("MQTTPath", c.MQTTPath, "want a path that begins with /")
	case c.SessionExpiry < 0:
		return checked{}, wrong("SessionExpiry", c.SessionExpiry.String(), "want a positive duration")
	case c.MaxSkew < 0:
		return checked{}, wrong("MaxSkew", c.MaxSkew.String(), "want a positive duration")
	case c.MaxDeadLetters < 0 || c.MaxDeadLetterBytes < 0 || c.MaxDeadLetterAge < 0:
		return checked{}, wrong("MaxDeadLetters", "", "%d, MaxDeadLetterBytes %d, MaxDeadLetterAge %v: want none below zero", c.MaxDeadLetters, c.MaxDeadLetterBytes, c.MaxDeadLetterAge)
	case strings.ContainsAny(c.SharedGroup, "/+#") || mqttconn.CheckString(c.SharedGroup) != nil:
		return checked{}, wrong("SharedGroup", c.SharedGroup, "want a name without / + and #")
	}
	for _, topic := range c.Topics {
		if err := rules.CheckFilter(topic); err != nil {
			return checked{}, wrong("Topics", topic, "%w", err)
		}
	}
	if c.HeartbeatTopic != "" {
		if err := rules.CheckFilter(c.HeartbeatTopic); err != nil {
			return checked{}, wrong("HeartbeatTopic", c.HeartbeatTopic, "%w", err)
		}
	}
	var servers []mqttconn.Server
	if c.Address != "" {
		var err error
		if servers, err = mqttconn.ParseAddress(c.Address); err != nil {
			return checked{}, wrong("Address", "", "%w", err)
		}
	}
	if err := ilert.CheckURL(c.IlertURL); err != nil {
		return checked{}, wrong("IlertURL", "", "%w", err)
	}
	if err := ilert.CheckURL(c.HeartbeatURL); err != nil {
		return checked{}, wrong("HeartbeatURL", "", "%w", err)
	}
	client, err := ilert.New(c.IlertURL, c.HeartbeatURL, workers)
	if err != nil {
		return checked{}, err
	}
	client.UserAgent = cmp.Or(c.UserAgent, "mps-ilert")
	return checked{c, servers, client}, nil
}

// ConfigError is the error of a field of Config that has to be written otherwise.
type ConfigError struct {
	Field string
	Value string // in the error; empty where it is a secret, or says nothing
	Err   error  // what is wrong with it
}

func (e *ConfigError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("%s %.200q: %v", e.Field, e.Value, e.Err)
}

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.Err }

func wrong(field, value, format string, args ...any) error {
	return &ConfigError{field, value, fmt.Errorf(format, args...)}
}

// listensToEvents reports whether there are messages that rules decide.
func (c Config) listensToEvents() bool { return c.Address != "" && !c.onlyHeartbeats() }

// onlyHeartbeats reports whether nothing but the heartbeats of others is asked for.
func (c Config) onlyHeartbeats() bool {
	return c.HeartbeatTopic != "" && len(c.Topics)+len(c.Presets)+len(c.RulesFiles) == 0
}
