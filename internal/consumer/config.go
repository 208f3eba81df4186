package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	c.MaxDeadLetters = cmp.Or(c.MaxDeadLetters, alerting.DefaultBounds.Letters)
	c.MaxDeadLetterBytes = cmp.Or(c.MaxDeadLetterBytes, alerting.DefaultBounds.LetterBytes)
	c.MaxDeadLetterAge = cmp.Or(c.MaxDeadLetterAge, alerting.DefaultBounds.LetterAge)
	c.IlertURL = cmp.Or(c.IlertURL, ilert.DefaultURL)
	c.HeartbeatURL = cmp.Or(c.HeartbeatURL, ilert.DefaultHeartbeatURL)
	c.MQTTPath = cmp.Or(c.MQTTPath, ilert.MQTTPath)
	switch {
	case c.OpenStore == nil:
		return checked{}, errors.New("consumer: OpenStore is required")
	case c.Address != "" && c.ClientID == "":
		return checked{}, errors.New("consumer: ClientID is required")
	case c.Mapping == nil && c.listensToEvents() && c.IntegrationKey == "" && !c.DryRun:
		return checked{}, errors.New("consumer: IntegrationKey is required")
	case c.Mapping != nil && len(c.Presets) > 0:
		return checked{}, fmt.Errorf("consumer: Mapping and Presets %q: want one of them", strings.Join(c.Presets, ","))
	case c.Mapping != nil && len(c.RulesFiles) > 0:
		return checked{}, fmt.Errorf("consumer: Mapping and RulesFiles %q: want one of them", strings.Join(c.RulesFiles, ","))
	case !strings.HasPrefix(c.MQTTPath, "/"):
		return checked{}, fmt.Errorf("consumer: MQTTPath %q: want a path that begins with /", c.MQTTPath)
	}
	if c.SessionExpiry < 0 {
		return checked{}, fmt.Errorf("consumer: SessionExpiry %v: want a positive duration", c.SessionExpiry)
	}
	if c.MaxSkew < 0 {
		return checked{}, fmt.Errorf("consumer: MaxSkew %v: want a positive duration", c.MaxSkew)
	}
	if c.MaxDeadLetters < 0 || c.MaxDeadLetterBytes < 0 || c.MaxDeadLetterAge < 0 {
		return checked{}, fmt.Errorf("consumer: MaxDeadLetters %d, MaxDeadLetterBytes %d, MaxDeadLetterAge %v: want none below zero", c.MaxDeadLetters, c.MaxDeadLetterBytes, c.MaxDeadLetterAge)
	}
	topics := slices.Clone(c.Topics)
	if c.HeartbeatTopic != "" {
		topics = append(topics, c.HeartbeatTopic)
	}
	for _, topic := range topics {
		if err := rules.CheckFilter(topic); err != nil {
			return checked{}, fmt.Errorf("consumer: topic filter %q: %w", topic, err)
		}
	}
	if strings.ContainsAny(c.SharedGroup, "/+#") || mqtttopic.CheckString(c.SharedGroup) != nil {
		return checked{}, fmt.Errorf("consumer: SharedGroup %q: want a name without / + and #", c.SharedGroup)
	}
	var servers []mqttconn.Server
	if c.Address != "" {
		var err error
		if servers, err = mqttconn.ParseAddress(c.Address); err != nil {
			return checked{}, fmt.Errorf("consumer: Address: %w", err)
		}
	}
	client, err := ilert.New(c.IlertURL, c.HeartbeatURL, workers)
	if err != nil {
		return checked{}, fmt.Errorf("consumer: %w", err)
	}
	client.UserAgent = cmp.Or(c.UserAgent, "mps-ilert")
	return checked{c, servers, client}, nil
}

// listensToEvents reports whether rules or a mapping decide about messages.
func (c Config) listensToEvents() bool { return c.Address != "" && !c.onlyHeartbeats() }

// onlyHeartbeats reports whether the consumer only passes heartbeats of others on.
func (c Config) onlyHeartbeats() bool {
	return c.HeartbeatTopic != "" && len(c.Topics)+len(c.Presets)+len(c.RulesFiles) == 0
}
