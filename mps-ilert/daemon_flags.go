package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/redact"
)

// daemonFlags are the flags of the daemon: those of ilagent, by the same names, and a few of
// ours.
type daemonFlags struct {
	redact.All
	*globals
	mqttHost, mqttName              string
	mqttPort                        uint16
	mqttUsername, mqttPassword      string
	mqttTLS                         bool
	mqttCA, mqttCert, mqttKey       string
	mqttQoS                         uint8
	mqttBuffer                      bool
	sharedGroup                     string
	eventTopics                     []string
	heartbeatTopic                  string
	eventKey                        string
	mapping                         consumer.Mapping
	maxRetries                      uint
	maxSkew                         time.Duration
	port                            uint16
	http, httpToken                 string
	maxConnections                  uint16
	maxLetters                      uint32
	maxLetterMiB                    uint32
	maxLetterAge                    time.Duration
	decisionLog                     string
	decisionLogSize                 byteSize
	decisionLogKeep                 uint16
	heartbeat                       string
	ilertURL, heartbeatURL, mqttURL string
	rate                            uint16
	repeat                          time.Duration
	apiKey                          string
	poll                            time.Duration
	rules                           rulesFlags
	dryRun                          bool
}

const whyNotSupported = "not supported: mps-ilert listens to MQTT and HTTP, not to Kafka, and changes no escalation policies: docs/ilagent.md says what to use instead"

// notSupported are flags of ilagent for Kafka and escalation policies.
var notSupported = []string{
	"kafka_brokers", "kafka_group_id", "policy_topic", "policy_routing_keys", "map_key_email", "map_key_shift", "shift_offset",
}

// otherFlags registers the flags that ilagent does not have, and --ilert_url.
func (f *daemonFlags) otherFlags(flags *pflag.FlagSet) {
	f.rules.add(flags)
	flags.BoolVar(&f.dryRun, "dry_run", false, "log the events for ilert and send none; may run beside the daemon")
	flags.Uint16Var(&f.rate, "rate", 48, "requests a minute for each integration key; ilert takes about 50; 0: no limit")
	flags.DurationVar(&f.repeat, "repeat", 4*time.Hour, "time after which an alert of HIGH priority that stays true is sent again without a message, others after six times as long; 0: never")
	flags.StringVar(&f.eventKey, "event_key", "", "integration key for all messages, whatever they say")
	flags.StringVar(&f.ilertURL, "ilert_url", ilert.DefaultURL, "ilert's API")
	flags.StringVar(&f.apiKey, "ilert_api_key", "", "API key of a user of ilert who may read alerts and alert sources: what ilert shows is looked at, and mended where it differs")
	flags.DurationVar(&f.poll, "ilert_poll", 5*time.Minute, "with --ilert_api_key: interval at which what ilert shows is looked at")
	f.letterFlags(flags)
	f.decisionFlags(flags)
	flags.DurationVar(&f.maxSkew, "max_skew", time.Minute, "greatest lag of a server's clock before the log and /status name the server")
}

// httpFlags registers the flags of HTTP and of the heartbeat.
func (f *daemonFlags) httpFlags(flags *pflag.FlagSet) {
	flags.Uint16VarP(&f.port, "port", "p", 0, "port for HTTP, on all interfaces; 0 is any free one (default: no HTTP)")
	flags.StringVar(&f.http, "http", "", "address for HTTP, such as 127.0.0.1:8977, instead of --port")
	flags.StringVar(&f.httpToken, "http_token", "", "bearer token that HTTP asks for, for /metrics and /status too, but for /, /health and /ready")
	flags.Uint16Var(&f.maxConnections, "max_connections", 256, "HTTP connections at a time: one more closes the one that has been idle for longest")
	flags.StringVarP(&f.heartbeat, "heartbeat", "b", "", "key of a heartbeat of ilert, pinged while /ready answers 204")
	flags.StringVar(&f.heartbeatURL, "heartbeat_url", ilert.DefaultHeartbeatURL, "base URL of ilert's heartbeats")
}

// brokerFlags registers the flags of the broker and of HTTP, the two sources of messages.
func (f *daemonFlags) brokerFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&f.mqttHost, "mqtt_host", "m", "", "host of the MQTT broker (default: "+addressVariable+")")
	flags.Uint16VarP(&f.mqttPort, "mqtt_port", "q", 1883, "port of the MQTT broker")
	flags.StringVarP(&f.mqttName, "mqtt_name", "n", "mps-ilert", "client id; the broker keeps messages for it while it is away")
	flags.StringVar(&f.mqttUsername, "mqtt_username", "", "user at the broker")
	flags.StringVar(&f.mqttPassword, "mqtt_password", "", "password at the broker")
	flags.BoolVar(&f.mqttTLS, "mqtt_tls", false, "speak TLS to the broker")
	flags.StringVar(&f.mqttCA, "mqtt_ca", "", "PEM file of the certificates to trust (default: the system's); like the next two read anew for every connection")
	flags.StringVar(&f.mqttCert, "mqtt_client_cert", "", "PEM file of the client certificate")
	flags.StringVar(&f.mqttKey, "mqtt_client_key", "", "PEM file of its key")
	flags.Uint8Var(&f.mqttQoS, "mqtt_qos", 1, "QoS of the subscription, 0 to 2; at 0 the broker keeps nothing while we are away, and 2 is taken for 1")
	flags.StringVar(&f.sharedGroup, "mqtt_shared_group", "", "group of a shared subscription; only with --preset ilagent")
	flags.StringArrayVarP(&f.eventTopics, "event_topic", "e", nil, "topic filter to listen to, may be repeated (default: those of the rules)")
	flags.StringVarP(&f.heartbeatTopic, "heartbeat_topic", "r", "", "topic on which others ask for a heartbeat")
	f.httpFlags(flags)
}

// mappingFlags registers the flags that only command lines of ilagent need.
func (f *daemonFlags) mappingFlags(flags *pflag.FlagSet) {
	m := &f.mapping
	flags.StringVar(&m.TypeKey, "map_key_etype", "", "key of a message that holds the event type; may be a path such as data.type")
	flags.StringVar(&m.AlertKey, "map_key_alert_key", "", "key that holds the alert key")
	flags.StringVar(&m.SummaryKey, "map_key_summary", "", "key that holds the summary")
	flags.StringVar(&m.Alert, "map_val_etype_alert", "", "event type that means ALERT")
	flags.StringVar(&m.Accept, "map_val_etype_accept", "", "event type that means ACCEPT")
	flags.StringVar(&m.Resolve, "map_val_etype_resolve", "", "event type that means RESOLVE")
	flags.StringVar(&m.FilterKey, "filter_key", "", "key that a message must have, or it is ignored")
	flags.StringVar(&m.FilterValue, "filter_val", "", "value that the key of --filter_key must have")
	flags.BoolVar(&m.ForwardPayload, "forward_message_payload", false, "send the whole message as custom details")
	flags.StringVar(&f.mqttURL, "mqtt_path", ilert.MQTTPath, "path of messages with --preset ilagent, below ilert's API")
	flags.UintVar(&f.maxRetries, "max_retries", 100, "no effect: an event is tried until ilert has accepted it")
	flags.BoolVar(&f.mqttBuffer, "mqtt_buffer", false, "no effect: messages are always stored first")
}
