package consumer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilagent"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/internal/store/memory"
)

// Config holds the settings of a Consumer. OpenStore is required unless DryRun is set; ClientID
// is required with Address, and IntegrationKey without Mapping.
type Config struct {
	// Address is the address of the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://
	// with a path and a query for WebSocket, user and password before an @. The consumer tries
	// several, separated by commas, in turn. Without an address it only sends what Post takes.
	Address string
	// Username and Password log in at addresses that contain none.
	Username, Password string
	// CAFile, CertFile and KeyFile are PEM files for TLS, which the consumer reads for every
	// connection. By default it trusts the system's roots and shows no client certificate.
	CAFile, CertFile, KeyFile string
	// ClientID names the session in which the broker keeps messages while the
	// consumer is away. It must stay the same and belong to one process.
	ClientID string
	// SessionExpiry is the time for which the broker should keep messages; default 24 h.
	SessionExpiry time.Duration
	// Topics are the topic filters to subscribe to; default those of the rules. Rules without
	// topics of their own listen to these instead of those of their file. With a HeartbeatTopic,
	// and without Topics, RulesFiles and Presets, there are none.
	Topics []string
	// SharedGroup makes the subscriptions shared ones: one consumer of the group gets each
	// message, and none gets retained ones. It goes with Mapping only, because rules need all
	// messages in one place.
	SharedGroup string
	// AtMostOnce subscribes at QoS 0: the broker keeps nothing while the consumer is away, and
	// messages that are under way when it stops are lost.
	AtMostOnce bool

	// RulesFiles are YAML files of rules, in the order in which the rules decide. Reload reads
	// them again.
	RulesFiles []string
	// Presets name built-in rules, which come after those of RulesFiles. The default without
	// RulesFiles is mps and rps.
	Presets []string
	// Options are values for the options of the rules, by name.
	Options map[string]string
	// Mapping makes an event for ilert of each message, instead of rules.
	Mapping *Mapping
	// MQTTPath is the path for the events of Mapping, below IlertURL, with {key} for the
	// integration key; default /api/v1/events/mqtt/{key}.
	MQTTPath string
	// OpenStore opens the store that keeps the state; the consumer closes it.
	OpenStore func(context.Context) (alerting.Store, error)
	// DryRun logs the events for ilert and sends none. It keeps its state in memory and takes no
	// messages from the session of ClientID, so it may run beside the consumer that does the
	// work.
	DryRun bool

	// IlertURL is ilert's API; default https://api.ilert.com.
	IlertURL string
	// LookForIlert lets Run ask ilert, without raising anything, until it has answered once;
	// until then Ready returns an error. Only an event shows whether ilert accepts
	// IntegrationKey. It has no effect with DryRun.
	LookForIlert bool
	// UserAgent is the program's name in requests to ilert, such as mps-ilert/v1.0.0; default
	// mps-ilert.
	UserAgent string
	// IntegrationKey is the key of an alert source of ilert. It is a secret.
	IntegrationKey string
	// Rate limits the requests a minute for each integration key, of which at most 10 are sent at
	// once; default 48, a little under ilert's limit. 3 of the 10 are reserved for ends of alerts
	// and for alerts that report many. Negative: no limit.
	Rate int
	// Repeat is the time after which an alert of HIGH priority that stays true is sent to ilert
	// again without a message; other alerts wait six times as long. The default is 4 hours.
	// Negative: never, unless its rule says so.
	Repeat time.Duration
	// IlertAPIKey is the API key of a user of ilert who may read alerts and alert sources; empty:
	// the consumer does not look at what ilert shows. It is a secret. IlertPoll is the interval
	// of looks; default 5 minutes.
	IlertAPIKey string
	IlertPoll   time.Duration
	// HeartbeatKey is the key of a heartbeat of ilert, which the consumer pings every 30 seconds
	// while Ready returns nil. It is a secret.
	HeartbeatKey string
	// HeartbeatTopic is a topic on which others ask for a ping. Their message is an object with
	// the heartbeat's integrationKey. The consumer pings one key at most five times a minute, and
	// counts the messages as ignored.
	HeartbeatTopic string
	// HeartbeatURL is the base URL of heartbeats; default https://beat.ilert.com. Keys that begin
	// with il1hbt are pinged at IlertURL.
	HeartbeatURL string

	// MaxSkew is the greatest lag of a server's clock before the log and Status name the server.
	// It is also the greatest delay of an event that changes an alert about which another server
	// has reported since. The default is 1 minute. Only events contain their time.
	MaxSkew time.Duration

	// MaxDeadLetters, MaxDeadLetterBytes (of topics, payloads and properties) and
	// MaxDeadLetterAge bound the messages that could not be understood or that ilert called
	// invalid: the store purges the oldest. The defaults are 100,000, 256 MiB and 30 days.
	MaxDeadLetters     int
	MaxDeadLetterBytes int64
	MaxDeadLetterAge   time.Duration

	// DecisionLog is the file that gets a line of JSON for each message that a rule matches, each
	// change of an alert, and each answer of ilert; empty: there is none. It contains no
	// integration key. DecisionLogSize is the number of bytes at which the file is renamed;
	// default 100 MB. DecisionLogKeep is the number of old files that are kept.
	DecisionLog     string
	DecisionLogSize int64
	DecisionLogKeep int

	// Hooks are functions for metrics.
	Hooks Hooks
	// Logger gets lines about connections, failures and dead letters, and no secrets; nil
	// discards them.
	Logger *slog.Logger
}

// Hooks are functions for metrics; any may be nil. The consumer calls them concurrently, and
// waits for each.
type Hooks struct {
	// Requested is called after each request with an event for ilert, with its duration.
	Requested func(outcome Outcome, took time.Duration)
}

// Mapping makes an event for ilert of each message, in the order of arrival, as ilert's
// ilagent does; see its fields.
type Mapping = ilagent.Mapping

// checked is a complete and valid Config.
type checked struct {
	Config
	servers []mqttconn.Server
	ilert   *ilert.Client
}

// check fills in the defaults and checks the fields.
func (c Config) check() (checked, error) {
	c = c.withDefaults()
	if err := c.checkFields(); err != nil {
		return checked{}, err
	}
	var servers []mqttconn.Server
	if c.Address != "" {
		var err error
		if servers, err = mqttconn.ParseAddress(c.Address); err != nil {
			return checked{}, wrong("Address", "", "%w", err)
		}
	}
	client, err := ilert.New(c.IlertURL, c.HeartbeatURL, workers)
	if err != nil {
		return checked{}, err
	}
	client.UserAgent = cmp.Or(c.UserAgent, "mps-ilert")
	return checked{c, servers, client}, nil
}

// defaultRepeat lets 11,000 open alerts be repeated at defaultRate.
const defaultRepeat = 4 * time.Hour

// withDefaults returns the Config with the defaults of the fields that are not set.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Presets)+len(c.RulesFiles) == 0 && c.Mapping == nil && !c.onlyHeartbeats() {
		c.Presets = rulefile.DefaultPresets
	}
	if c.DryRun {
		c.OpenStore = func(context.Context) (alerting.Store, error) { return memory.New(), nil }
		c.ClientID, c.SessionExpiry, c.HeartbeatKey = mqttconn.RandomClientID(c.ClientID+"-dry-run"), 0, ""
	} else {
		c.SessionExpiry = cmp.Or(c.SessionExpiry, 24*time.Hour)
	}
	c.MaxSkew = cmp.Or(c.MaxSkew, time.Minute)
	c.Rate = cmp.Or(c.Rate, defaultRate)
	c.Repeat = cmp.Or(c.Repeat, defaultRepeat)
	c.IlertPoll = cmp.Or(c.IlertPoll, 5*time.Minute)
	c.MaxDeadLetters = cmp.Or(c.MaxDeadLetters, alerting.DefaultBounds.Letters)
	c.MaxDeadLetterBytes = cmp.Or(c.MaxDeadLetterBytes, alerting.DefaultBounds.LetterBytes)
	c.MaxDeadLetterAge = cmp.Or(c.MaxDeadLetterAge, alerting.DefaultBounds.LetterAge)
	c.DecisionLogSize = cmp.Or(c.DecisionLogSize, 100_000_000)
	c.IlertURL = cmp.Or(c.IlertURL, ilert.DefaultURL)
	c.HeartbeatURL = cmp.Or(c.HeartbeatURL, ilert.DefaultHeartbeatURL)
	c.MQTTPath = cmp.Or(c.MQTTPath, ilert.MQTTPath)
	return c
}

// checkFields returns an error for the first field whose value is wrong.
func (c Config) checkFields() error {
	switch {
	case c.OpenStore == nil:
		return wrong("OpenStore", "", "is required")
	case c.Address != "" && c.ClientID == "":
		return wrong("ClientID", "", "is required")
	case c.Mapping == nil && c.listensToEvents() && c.IntegrationKey == "" && !c.DryRun:
		return wrong("IntegrationKey", "", "is required")
	case c.Mapping != nil && len(c.Presets) > 0:
		return wrong("Presets", strings.Join(c.Presets, ","), "Mapping goes without")
	case c.Mapping != nil && len(c.RulesFiles) > 0:
		return wrong("RulesFiles", strings.Join(c.RulesFiles, ","), "Mapping goes without")
	case !strings.HasPrefix(c.MQTTPath, "/"):
		return wrong("MQTTPath", c.MQTTPath, "want a path that begins with /")
	case c.SessionExpiry < 0:
		return wrong("SessionExpiry", c.SessionExpiry.String(), "want a positive duration")
	case c.IlertPoll < time.Second:
		return wrong("IlertPoll", c.IlertPoll.String(), "want a second at least")
	case c.MaxSkew < 0:
		return wrong("MaxSkew", c.MaxSkew.String(), "want a positive duration")
	case c.MaxDeadLetters < 0 || c.MaxDeadLetterBytes < 0 || c.MaxDeadLetterAge < 0:
		return wrong("MaxDeadLetters", "", "%d, MaxDeadLetterBytes %d, MaxDeadLetterAge %v: want none below zero", c.MaxDeadLetters, c.MaxDeadLetterBytes, c.MaxDeadLetterAge)
	case c.DecisionLogSize < 0 || c.DecisionLogKeep < 0:
		return wrong("DecisionLogSize", "", "%d, DecisionLogKeep %d: want none below zero", c.DecisionLogSize, c.DecisionLogKeep)
	case strings.ContainsAny(c.SharedGroup, "/+#") || mqtttopic.CheckString(c.SharedGroup) != nil:
		return wrong("SharedGroup", c.SharedGroup, "want a name without / + and #")
	}
	for _, topic := range c.Topics {
		if err := rules.CheckFilter(topic); err != nil {
			return wrong("Topics", topic, "%w", err)
		}
	}
	if c.HeartbeatTopic != "" {
		if err := rules.CheckFilter(c.HeartbeatTopic); err != nil {
			return wrong("HeartbeatTopic", c.HeartbeatTopic, "%w", err)
		}
	}
	if err := ilert.CheckURL(c.IlertURL); err != nil {
		return wrong("IlertURL", "", "%w", err)
	}
	if err := ilert.CheckURL(c.HeartbeatURL); err != nil {
		return wrong("HeartbeatURL", "", "%w", err)
	}
	return nil
}

// ConfigError is the error of a field of Config that has a wrong value.
type ConfigError struct {
	Field string
	Value string // shown in the error; empty for a secret, or if Err shows it
	Err   error  // the reason why the value is wrong
}

// Error returns the field, the value and the reason.
func (e *ConfigError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("%s %.200q: %v", e.Field, e.Value, e.Err)
}

// Unwrap returns the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

// wrong returns the error of a field.
func wrong(field, value, format string, args ...any) error {
	return &ConfigError{field, value, fmt.Errorf(format, args...)}
}

// listensToEvents reports whether rules or a mapping decide about messages.
func (c Config) listensToEvents() bool { return c.Address != "" && !c.onlyHeartbeats() }

// onlyHeartbeats reports whether the consumer only passes heartbeats of others on.
func (c Config) onlyHeartbeats() bool {
	return c.HeartbeatTopic != "" && len(c.Topics)+len(c.Presets)+len(c.RulesFiles) == 0
}
