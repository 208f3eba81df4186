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

// Config says where a Publisher publishes and how. The zero value is valid and
// makes a Publisher that does nothing; ConfigFromEnv fills one from the
// environment.
type Config struct {
	// Address is the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://
	// with a path and a query for WebSocket, user and password before an @. Several with
	// commas between are tried in turn. A missing scheme means mqtt, a missing
	// port 1883, 8883, 80 or 443. Empty: nothing is published.
	Address string
	// Topic is the topic that events are published to; default mps/events. It may hold no wildcard, and
	// the placeholders {guid}, {method} and {type}, as in
	// mps/events/{guid}/{method}, for MQTT Explorer's tree and for access rules. A
	// guid that is no UUID, and whatever an event does not have, becomes "none",
	// so that no caller can fill the broker with topics.
	Topic string
	// QoS is the guarantee by which events are published; default AtLeastOnce.
	QoS QoS
	// ClientID must differ for every publisher at a broker; default mps-events-
	// and 8 random hex digits.
	ClientID string
	// Source names this server in the user property "source", within which the
	// property "id" is unique; default the client id.
	Source string
	// Username and Password are for addresses that hold none.
	Username, Password string
	// CAFile, CertFile and KeyFile are PEM files for TLS: whom to trust (default
	// the system's roots) and the client certificate to show (default none). They
	// are read anew for every connection.
	CAFile, CertFile, KeyFile string
	// Capacity limits the number of events that are held in memory while the broker is
	// away or slow; default 65536. When it is reached the oldest event that is not
	// under way makes room, and is counted as dropped. Up to half of it may be under
	// way. With a Spool, which holds further ones, it is 16 at least, and a quarter more
	// may be in memory.
	Capacity int
	// MaxBufferedBytes limits the memory of these events, in bytes; default 64 MiB, at
	// least 512 KiB. Whichever of the two limits is reached first drops. An event counts
	// with its topic, properties and JSON as they are sent, and 128 bytes: about 512 in
	// all for an ordinary one, 64 KiB for the largest. With a Spool an eighth more may be
	// in memory.
	MaxBufferedBytes int
	// DropNewest refuses new events with ErrFull when Capacity or MaxBufferedBytes is
	// reached, instead of dropping the oldest.
	DropNewest bool
	// MessageExpiry is the time for which an event is worth delivering, in whole seconds;
	// default for ever. An event that waits longer is dropped, here or by the
	// broker.
	MessageExpiry time.Duration
	// CloudEvents adds the user properties that make each message a CloudEvent
	// 1.0 in binary mode: specversion, type ("openamt." and the event's type) and
	// time, beside id, source and the content type, which are always there.
	CloudEvents bool
	// Status tells others whether this server is there: it keeps a retained message on
	// mps/status/{client id}, {"status":"online","planned":false,"timestamp":ms}, or
	// "offline". The broker says offline by itself (Last Will) when the connection
	// has been gone for 30 seconds, with the time at which it was made; Shutdown says
	// offline with "planned":true, which expires after a day. Give the ClientID then,
	// so that it is known to those who listen.
	Status bool
	// Spool keeps what is not delivered on disk: package spool opens one. Without one
	// events are held in memory alone. The Publisher closes it in Shutdown.
	Spool Spool
	// SpoolDir is the folder that MPS_MQTT_SPOOL_DIR names, as ConfigFromEnv has read it.
	// It opens nothing: that is left to package spool, which links a database. But New
	// fails if it is set and Spool is not, so that nobody believes events to be on disk
	// which are not.
	SpoolDir string
	// KeepAlive is the longest silence on the connection, in whole seconds;
	// default 30 s. A broker that says nothing for twice that time is given up.
	KeepAlive time.Duration
	// DangerouslyTrustAnyServer takes any certificate of any server for the broker's,
	// so that whoever stands between reads and changes every event and learns the
	// password. For a test at most.
	DangerouslyTrustAnyServer bool
	// Hooks are told what happens.
	Hooks Hooks
	// Logger is told of connections and losses; nil discards. It is never given a
	// secret, nor of an event more than its topic and its size or, where Publish
	// rejects it, the start of the field at fault.
	Logger *slog.Logger
}

// QoS is a quality of service of MQTT 5.0, section 4.3, by the number that MPS_MQTT_QOS
// gives it. There is no QoS 2: it needs sessions that outlive both ends, and a
// subscriber knows repeats by the user property id.
type QoS string

// The two qualities of service.
const (
	// AtLeastOnce sends an event again until the broker has acknowledged it.
	AtLeastOnce QoS = "1"
	// AtMostOnce sends an event once: faster, and what was written to a connection
	// that then broke may be lost without an error.
	AtMostOnce QoS = "0"
)

// Hooks are told what happens, for metrics of the server's own; any may be nil. They
// are called from goroutines of the Publisher, never from Publish. One that blocks
// holds up the next ones: Connected and Disconnected the connection, Dropped and Rejected
// each other and the log of losses. They may call Publish and Stats, but neither Flush nor Shutdown,
// which may wait for them. Connected may be called before New has returned.
type Hooks struct {
	// Connected is told of each connection and the broker's host and port. What it
	// publishes comes behind the events that have waited for the connection.
	Connected func(address string)
	// Disconnected is told when it is lost or closed.
	Disconnected func()
	// Dropped is told of accepted events that were dropped, and how many. Those that
	// are dropped in quick succession come together.
	Dropped func(reason DropReason, events uint64)
	// Rejected is told of events that Publish did not accept, and how many, likewise.
	Rejected func(reason RejectReason, events uint64)
}

const (
	defaultCapacity         = 65536
	defaultMaxBufferedBytes = 64 << 20
	leastMaxBufferedBytes   = 8 * MaxEventBytes // of which half may be under way and an eighth be back from disk
	leastWithSpool          = 16                // what is under way, what is brought back from disk and what is new share it
)

// wholeSeconds reports whether d is that, up to most of them.
func wholeSeconds(d time.Duration, most int64) bool {
	return d >= 0 && d%time.Second == 0 && int64(d/time.Second) <= most
}

// withDefaults returns a copy that is complete, or an error that names the field.
func (c Config) withDefaults() (Config, []mqttconn.Server, error) {
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
	if c.QoS != AtLeastOnce && c.QoS != AtMostOnce {
		return c, nil, fmt.Errorf("publisher: QoS %q (MPS_MQTT_QOS): want 0 (AtMostOnce) or 1 (AtLeastOnce)", string(c.QoS))
	}
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.MaxBufferedBytes == 0 {
		c.MaxBufferedBytes = defaultMaxBufferedBytes
	}
	if c.MaxBufferedBytes < leastMaxBufferedBytes {
		return c, nil, fmt.Errorf("publisher: MaxBufferedBytes %d: want %d bytes or more, or 0 for %d", c.MaxBufferedBytes, leastMaxBufferedBytes, defaultMaxBufferedBytes)
	}
	if c.Capacity < 0 {
		return c, nil, fmt.Errorf("publisher: Capacity %d: want a positive number of events, or 0 for %d", c.Capacity, defaultCapacity)
	}
	if !wholeSeconds(c.KeepAlive, math.MaxUint16) {
		return c, nil, fmt.Errorf("publisher: KeepAlive %v: want whole seconds, from 1 to 65535, or 0 for 30s", c.KeepAlive)
	}
	if !wholeSeconds(c.MessageExpiry, math.MaxUint32) {
		return c, nil, fmt.Errorf("publisher: MessageExpiry %v: want whole seconds, from 1 on, or 0 for none", c.MessageExpiry)
	}
	if _, err := parseTopic(c.Topic); err != nil {
		return c, nil, fmt.Errorf("publisher: Topic %q (MPS_MQTT_TOPIC): %w", c.Topic, err)
	}
	// In this order, since the one is the other's default.
	for _, text := range []struct{ field, value string }{{"ClientID (MPS_MQTT_CLIENT_ID)", c.ClientID}, {"Source", c.Source}} {
		if err := mqtttopic.CheckString(text.value); err != nil {
			return c, nil, fmt.Errorf("publisher: %s %q: %w", text.field, text.value, err)
		}
	}
	if c.Status {
		if err := mqtttopic.CheckTopic(c.statusTopic()); err != nil {
			return c, nil, fmt.Errorf("publisher: ClientID (MPS_MQTT_CLIENT_ID) %q as a part of the topic of Status: %w", c.ClientID, err)
		}
	}
	if c.Spool != nil && !c.Spool.Enabled() {
		c.Spool = nil
	}
	if c.Spool != nil && c.Capacity < leastWithSpool {
		return c, nil, fmt.Errorf("publisher: Capacity %d: with a Spool want %d or more", c.Capacity, leastWithSpool)
	}
	if c.SpoolDir != "" && c.Spool == nil {
		return c, nil, fmt.Errorf("publisher: %s is set (SpoolDir %q), but Spool is not: write config, err := publisher.ConfigFromEnv(), then config.Spool, err = spool.FromEnv(), then publisher.New(config)", mqttconn.SpoolDirVariable, c.SpoolDir)
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
