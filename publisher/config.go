package publisher

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// Config is the configuration of a Publisher: the broker, and the way to publish. The zero value
// is valid and makes a Publisher that publishes nothing; ConfigFromEnv reads one from the
// environment.
type Config struct {
	// Address is the address of the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://
	// with a path and a query for WebSocket, user and password before an @. The Publisher tries
	// several addresses, separated by commas, in turn. The default scheme is mqtt, the default
	// port 1883, 8883, 80 or 443. With an empty address the Publisher publishes nothing.
	Address string
	// Topic is the topic that events are published to; default mps/events. It may hold no wildcard, but
	// the placeholders {guid}, {method} and {type}, as in
	// mps/events/{guid}/{method}, for MQTT Explorer's tree and for access rules. A
	// placeholder becomes "none" if the event has no such value or a guid that is no UUID,
	// so that no caller can fill the broker with topics.
	Topic string
	// QoS is the quality of service of MQTT; default AtLeastOnce.
	QoS QoS
	// ClientID is the client id of MQTT, which must differ for every publisher at a broker;
	// default mps-events- and 8 random hexadecimal digits.
	ClientID string
	// Source is the name of this server in the user property "source". The user property "id"
	// is unique within it: see the package documentation. The default is the client id.
	Source string
	// Username and Password are sent to brokers whose address holds none.
	Username, Password string
	// CAFile, CertFile and KeyFile are PEM files for TLS: the certificates to trust (default
	// the system's roots) and the client certificate to show (default none). The Publisher reads
	// them anew for every connection.
	CAFile, CertFile, KeyFile string
	// Capacity limits the number of events in memory while the broker is away or slow; default
	// 65536. When it is reached, the Publisher drops the oldest event that is not under way, and
	// counts it. At most half of the events may be under way. With a Spool, which holds further
	// events, Capacity is at least 16, and a quarter more events may be in memory.
	Capacity int
	// MaxBufferedBytes limits the memory of these events, in bytes; default 64 MiB, at
	// least 512 KiB. Events are dropped when either of the two limits is reached. An event counts
	// for its topic, properties and JSON as they are sent, and 128 bytes: about 512 in
	// all for an ordinary one, 64 KiB for the largest. With a Spool an eighth more may be
	// in memory.
	MaxBufferedBytes int
	// DropNewest refuses new events with ErrFull when Capacity or MaxBufferedBytes is
	// reached, instead of dropping the oldest.
	DropNewest bool
	// MessageExpiry is the time after which an event is not worth delivering any more, in whole
	// seconds; default never. The Publisher or the broker drops an event that waits longer.
	MessageExpiry time.Duration
	// CloudEvents adds the user properties that make each message a CloudEvent
	// 1.0 in binary mode: specversion, type ("openamt." and the event's type) and
	// time. The others (id, source and the content type) are always there.
	CloudEvents bool
	// Status lets others see whether this server runs: the Publisher keeps a retained message on
	// mps/status/{client id}, {"status":"online","planned":false,"timestamp":ms}, or
	// "offline". The broker publishes "offline" (the Last Will) when the connection has been
	// gone for 30 seconds; its timestamp is the time at which the connection was made. Shutdown
	// publishes "offline" with "planned":true, which expires after a day. Set ClientID too, so
	// that subscribers know the topic.
	Status bool
	// Spool keeps undelivered events on disk; package spool opens one. Without a spool
	// events are in memory alone. Shutdown closes the spool.
	Spool Spool
	// SpoolDir is the value of MPS_MQTT_SPOOL_DIR, as ConfigFromEnv has read it. The Publisher
	// opens nothing there: package spool does that, because it links a database. But New
	// fails if SpoolDir is set and Spool is not, so that nobody expects events on disk
	// that are in memory alone.
	SpoolDir string
	// KeepAlive is the longest silence on the connection, in whole seconds;
	// default 30 s. The Publisher ends a connection on which the broker has been silent for
	// twice that time.
	KeepAlive time.Duration
	// DangerouslyTrustAnyServer accepts any certificate of any server as the broker's. Anybody
	// between server and broker can then read and change every event, and learns the password.
	// Use it in tests only.
	DangerouslyTrustAnyServer bool
	// Hooks are the functions that the Publisher calls for the server's own metrics.
	Hooks Hooks
	// Logger gets lines about connections and losses; nil discards them. A line holds no
	// secret, and of an event only its topic and size or, if Publish
	// rejects it, the start of the field at fault.
	Logger *slog.Logger
}

// QoS is a quality of service of MQTT 5.0, section 4.3, as the number in MPS_MQTT_QOS.
// There is no QoS 2: it needs sessions that outlive both programs, and a
// subscriber recognizes repeated events by the user property id.
type QoS string

// The two qualities of service.
const (
	// AtLeastOnce is the quality that sends an event again until the broker has acknowledged it.
	AtLeastOnce QoS = "1"
	// AtMostOnce is the quality that sends an event once. It is faster, but an event that was
	// written to a connection which then broke may be lost without an error.
	AtMostOnce QoS = "0"
)

// Hooks are functions that the Publisher calls for the server's own metrics; any may be nil.
// Goroutines of the Publisher call them, never Publish. A hook that blocks delays others:
// Connected and Disconnected delay the connection, Dropped and Rejected delay each other and the
// log of losses. Hooks may call Publish and Stats, but neither Flush nor Shutdown,
// which may wait for them. Connected may be called before New has returned.
type Hooks struct {
	// Connected is called for each new connection, with the broker's host and port. Events that
	// it publishes are sent after those that have waited for the connection.
	Connected func(address string)
	// Disconnected is called when the connection is lost or closed.
	Disconnected func()
	// Dropped is called with the reason and number of accepted events that were dropped. One
	// call may report several drops in quick succession.
	Dropped func(reason DropReason, events uint64)
	// Rejected is called with the reason and number of events that Publish rejected, in the
	// same way.
	Rejected func(reason RejectReason, events uint64)
}

const (
	defaultCapacity         = 65536
	defaultMaxBufferedBytes = 64 << 20
	minMaxBufferedBytes     = 8 * MaxEventBytes // half of it may be under way, an eighth loaded from disk
	minCapacityWithSpool    = 16                // events under way, events loaded from disk and new ones share it
)

// wholeSeconds reports whether d is a number of whole seconds from 0 to maxSeconds.
func wholeSeconds(d time.Duration, maxSeconds int64) bool {
	return d >= 0 && d%time.Second == 0 && int64(d/time.Second) <= maxSeconds
}

// withDefaults returns a copy of c with its defaults set, and the servers in its address. The
// error names the field at fault.
func (c Config) withDefaults() (Config, []mqttconn.Server, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return c, nil, err
	}
	if c.Address == "" {
		return c, nil, nil
	}
	servers, err := mqttconn.ParseAddress(c.Address)
	if err != nil {
		return c, nil, fmt.Errorf("publisher: Address (MPS_MQTT_ADDRESS): %w", err)
	}
	if c.Username+c.Password != "" && !slices.ContainsFunc(servers, func(s mqttconn.Server) bool { return s.User == nil }) {
		return c, nil, errors.New("publisher: Username and Password (MPS_MQTT_USERNAME, MPS_MQTT_PASSWORD) are set, and Address (MPS_MQTT_ADDRESS) holds a user too: want one of them")
	}
	return c, servers, nil
}

// setDefaults sets the fields that have a default and are empty.
func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Topic == "" {
		c.Topic = mqtttopic.DefaultTopic
	}
	if c.ClientID == "" {
		c.ClientID = mqttconn.RandomClientID("mps-events")
	}
	if c.Source == "" {
		c.Source = c.ClientID
	}
	if c.QoS == "" {
		c.QoS = AtLeastOnce
	}
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.MaxBufferedBytes == 0 {
		c.MaxBufferedBytes = defaultMaxBufferedBytes
	}
	if c.Spool != nil && !c.Spool.Enabled() {
		c.Spool = nil
	}
}

// check returns an error if a field other than Address has a value that cannot be used.
func (c *Config) check() error {
	if c.QoS != AtLeastOnce && c.QoS != AtMostOnce {
		return fmt.Errorf("publisher: QoS %q (MPS_MQTT_QOS): want 0 (AtMostOnce) or 1 (AtLeastOnce)", string(c.QoS))
	}
	if c.MaxBufferedBytes < minMaxBufferedBytes {
		return fmt.Errorf("publisher: MaxBufferedBytes %d: want %d bytes or more, or 0 for %d", c.MaxBufferedBytes, minMaxBufferedBytes, defaultMaxBufferedBytes)
	}
	if c.Capacity < 0 {
		return fmt.Errorf("publisher: Capacity %d: want a positive number of events, or 0 for %d", c.Capacity, defaultCapacity)
	}
	if !wholeSeconds(c.KeepAlive, math.MaxUint16) {
		return fmt.Errorf("publisher: KeepAlive %v: want whole seconds, from 1 to 65535, or 0 for 30s", c.KeepAlive)
	}
	if !wholeSeconds(c.MessageExpiry, math.MaxUint32) {
		return fmt.Errorf("publisher: MessageExpiry %v: want whole seconds, from 1 on, or 0 for none", c.MessageExpiry)
	}
	if _, err := parseTopic(c.Topic); err != nil {
		return fmt.Errorf("publisher: Topic %q (MPS_MQTT_TOPIC): %w", c.Topic, err)
	}
	// The client id comes first, because it is the default of the source.
	for _, text := range []struct{ field, value string }{{"ClientID (MPS_MQTT_CLIENT_ID)", c.ClientID}, {"Source", c.Source}} {
		if err := mqtttopic.CheckString(text.value); err != nil {
			return fmt.Errorf("publisher: %s %q: %w", text.field, text.value, err)
		}
	}
	if c.Status {
		if err := mqtttopic.CheckTopic(c.statusTopic()); err != nil {
			return fmt.Errorf("publisher: ClientID (MPS_MQTT_CLIENT_ID) %q as a part of the topic of Status: %w", c.ClientID, err)
		}
	}
	if c.Spool != nil && c.Capacity < minCapacityWithSpool {
		return fmt.Errorf("publisher: Capacity %d: with a Spool want %d or more", c.Capacity, minCapacityWithSpool)
	}
	if c.SpoolDir != "" && c.Spool == nil {
		return fmt.Errorf("publisher: %s is set (SpoolDir %q), but Spool is not: write config, err := publisher.ConfigFromEnv(), then config.Spool, err = spool.FromEnv(), then publisher.New(config)", mqttconn.SpoolDirVariable, c.SpoolDir)
	}
	return nil
}
