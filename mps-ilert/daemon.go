package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/loglimit"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/redact"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/internal/store/sqlite"
	"github.com/mps-events/mps-events/mps-ilert/internal/httpapi"
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
	heartbeat                       string
	ilertURL, heartbeatURL, mqttURL string
	rate                            uint16
	rules                           rulesFlags
	dryRun                          bool
}

const (
	keyVariable     = "ILERT_INTEGRATION_KEY"
	addressVariable = "MPS_MQTT_ADDRESS"

	presetIlagent = "ilagent"
)

// daemonCommand returns the command that keeps ilert true to the messages.
func daemonCommand(g *globals) *cobra.Command {
	f := daemonFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Listen to MQTT and HTTP and tell ilert, until stopped",
		Long: `Listen to MQTT and HTTP and tell ilert, until stopped by Ctrl-C or SIGTERM.

What has been received is stored before it is acknowledged to the broker, and
what is stored is told until ilert has taken it, over restarts of all three.

What the messages mean is said by rules: those of --config, files of your own, or
built-in ones, --preset. "mps" and "rps" are for the events of MPS, RPS and Console:
silent on an ordinary day, right on a bad one. "calls" alerts of each failed call.
"ilagent" is for messages that are events for ilert themselves, as ilert's ilagent takes
them. The default is mps and rps, or ilagent if a flag of its mapping or an
--event_topic that does not begin with mps/ or rps/ is given. "mps-ilert rules print
mps" shows them, "mps-ilert check" tries them, and SIGHUP reads all files of --config again.

With --port or --http, /health and /ready say whether it works, /status in JSON how, and
/metrics the same to Prometheus: what became of the messages, what the rules matched and
how the alerts stand. Neither names a device.

Each flag has an environment variable, named in brackets; those of secrets may
have _FILE behind them and name a file. A flag may also stand in a file of --config,
below settings, as in "settings: {mqtt_host: localhost}". A flag comes before its
variable, and both before the files, of which the first that sets it counts. Beside these:
  ` + keyVariable + `   the key of an alert source of ilert, for messages that have none of their own
  ` + addressVariable + `        the broker's address where --mqtt_host is not given, such as
                          mqtts://user:password@broker:8883; MPS_MQTT_USERNAME,
                          MPS_MQTT_PASSWORD(_FILE), MPS_MQTT_CA_FILE, MPS_MQTT_CERT_FILE
                          and MPS_MQTT_KEY_FILE go with it`,
		Example: `  ` + keyVariable + `=il1api... mps-ilert daemon -m localhost -p 8977
  mps-ilert daemon -m localhost -e 'factory/#' --map_key_summary data.message`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().SortFlags = false // the most needed ones first
	f.otherFlags(cmd.Flags())
	f.brokerFlags(cmd.Flags())
	f.mappingFlags(cmd.Flags())
	f.rules.complete(cmd, append(slices.Clone(rulefile.PresetNames), presetIlagent))
	for _, name := range notSupported {
		cmd.Flags().String(name, "", "")
		_ = cmd.Flags().MarkHidden(name) // its only error is that there is no such flag
	}
	return cmd
}

const notSupportedYet = "not supported yet: mps-ilert listens to MQTT and HTTP, not to Kafka, and asks ilert nothing"

// notSupported are flags of ilagent for Kafka and escalation policies.
var notSupported = []string{
	"kafka_brokers", "kafka_group_id", "policy_topic", "policy_routing_keys", "map_key_email", "map_key_shift", "shift_offset",
}

// otherFlags registers the flags that ilagent does not have, and --ilert_url.
func (f *daemonFlags) otherFlags(flags *pflag.FlagSet) {
	f.rules.add(flags)
	flags.BoolVar(&f.dryRun, "dry_run", false, "log what ilert would be told, and tell it nothing; may run beside the daemon")
	flags.Uint16Var(&f.rate, "rate", 48, "requests a minute for each integration key; ilert takes about 50; 0: no limit")
	flags.StringVar(&f.eventKey, "event_key", "", "integration key for all messages, whatever they say")
	flags.StringVar(&f.ilertURL, "ilert_url", ilert.DefaultURL, "ilert's API")
	f.letterFlags(flags)
	flags.DurationVar(&f.maxSkew, "max_skew", time.Minute, "how far a server's clock may be behind ours before the log and /status name it")
}

// httpFlags registers the flags of HTTP and of the heartbeat.
func (f *daemonFlags) httpFlags(flags *pflag.FlagSet) {
	flags.Uint16VarP(&f.port, "port", "p", 0, "port for HTTP, on all interfaces; 0 is any free one (default: no HTTP)")
	flags.StringVar(&f.http, "http", "", "address for HTTP, such as 127.0.0.1:8977, instead of --port")
	flags.StringVar(&f.httpToken, "http_token", "", "bearer token that HTTP asks for, for /metrics and /status too, but for /, /health and /ready")
	flags.Uint16Var(&f.maxConnections, "max_connections", 256, "HTTP connections at a time: one more closes the one that has done nothing for longest")
	flags.StringVarP(&f.heartbeat, "heartbeat", "b", "", "key of a heartbeat of ilert, pinged while /ready says yes")
	flags.StringVar(&f.heartbeatURL, "heartbeat_url", ilert.DefaultHeartbeatURL, "where ilert takes heartbeats")
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
	flags.StringVar(&m.FilterValue, "filter_val", "", "text that must stand there")
	flags.BoolVar(&m.ForwardPayload, "forward_message_payload", false, "send the whole message as custom details")
	flags.StringVar(&f.mqttURL, "mqtt_path", ilert.MQTTPath, "where messages go with --preset ilagent, below ilert's API")
	flags.UintVar(&f.maxRetries, "max_retries", 100, "no effect: what ilert has not taken is tried for ever")
	flags.BoolVar(&f.mqttBuffer, "mqtt_buffer", false, "no effect: messages are always stored first")
}

// run runs the daemon until the command's context ends.
func (f *daemonFlags) run(cmd *cobra.Command) error {
	for _, name := range notSupported {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s: %s", name, notSupportedYet)}
		}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // first, because until then SIGHUP ends the process
	defer signal.Stop(hangup)
	if err := f.rules.settings(cmd.Flags()); err != nil {
		return err
	}
	logger := f.logger(cmd)
	config, err := f.config(cmd)
	if err != nil {
		return usageError{err}
	}
	f.warnOfPlainText(cmd, logger)
	metrics := httpapi.NewMetrics(version())
	config.Logger, config.Hooks.Requested = logger, metrics.Requested
	listener, err := f.listen(cmd)
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	if config.Address == "" {
		if listener == nil {
			return usageError{fmt.Errorf("nothing to do: set --mqtt_host, %s or --port", addressVariable)}
		}
		logger.Warn("no MQTT broker is named: only what is posted to /api/events is taken", slog.String("mend", "set --mqtt_host or "+addressVariable))
	}
	c, err := consumer.New(config)
	if err != nil {
		return f.orOwner(f.inFlags(err))
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	go reloadOnHangup(ctx, c, hangup, logger)
	lines := loglimit.New(logger)
	defer lines.Close()
	server := httpapi.NewServer(ctx, c, httpapi.Config{Version: version(), Token: f.httpToken, MaxConnections: int(f.maxConnections), Metrics: metrics, Lines: lines})
	served := make(chan error, 1)
	if listener != nil {
		logger.Info("listening for HTTP", slog.String("address", listener.Addr().String()))
		go func() {
			served <- server.Serve(listener)
			cancel() // a daemon whose health nobody can ask must not go on
		}()
	} else {
		served <- http.ErrServerClosed
	}
	err = c.Run(ctx)
	cancel()
	httpapi.Stop(server) // last: until the work has ended, /health answers that the daemon is stopping
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	logger.Info("stopped")
	return err
}

// orOwner adds to the error of a store that may not be written who should own its folder: the
// user of our image owns no folder that is mounted into it.
func (f *daemonFlags) orOwner(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	folder := filepath.Dir(f.file)
	return fmt.Errorf("%w: this process is user %d, which may not write in %s: let it own that folder (chown -R %[2]d %[3]s), or run as the user who does (docker run --user ...)", err, os.Getuid(), folder)
}

// listen returns the listener for HTTP, or nil if no flag asks for one.
func (f *daemonFlags) listen(cmd *cobra.Command) (net.Listener, error) {
	switch {
	case f.http != "":
		listener, err := net.Listen("tcp", f.http)
		if err != nil {
			return nil, fmt.Errorf("--http %s: %w", f.http, err)
		}
		return listener, nil
	case cmd.Flags().Changed("port"):
		listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(f.port))))
		if err != nil {
			return nil, fmt.Errorf("--port %d: %w", f.port, err)
		}
		return listener, nil
	default:
		return nil, nil //nolint:nilnil // as documented
	}
}

// config returns the consumer's configuration.
func (f *daemonFlags) config(cmd *cobra.Command) (consumer.Config, error) {
	key, err := mqttconn.Secret(f.env, keyVariable)
	if err != nil {
		return consumer.Config{}, err
	}
	config := consumer.Config{
		ClientID:       f.mqttName,
		AtMostOnce:     f.mqttQoS == 0,
		SharedGroup:    f.sharedGroup,
		IlertURL:       f.ilertURL,
		IntegrationKey: cmp.Or(f.eventKey, key),
		HeartbeatKey:   f.heartbeat,
		HeartbeatTopic: f.heartbeatTopic,
		HeartbeatURL:   f.heartbeatURL,
		MQTTPath:       f.mqttURL,
		MaxSkew:        f.maxSkew,
		UserAgent:      userAgent(),
		LookForIlert:   true,

		MaxDeadLetters: int(f.maxLetters), MaxDeadLetterBytes: int64(f.maxLetterMiB) << 20, MaxDeadLetterAge: f.maxLetterAge,
	}
	if f.file != "" {
		config.OpenStore = func(ctx context.Context) (alerting.Store, error) { return sqlite.Open(ctx, f.file) }
	}
	config.DryRun = f.dryRun
	if config.Rate = int(f.rate); f.rate == 0 {
		config.Rate = -1
	}
	if err := cmp.Or(checkKey(keyVariable, key), checkKey("--event_key", f.eventKey), f.checkListener(cmd)); err != nil {
		return config, err
	}
	if f.mqttName == "" {
		return config, errors.New("--mqtt_name: want a client id")
	}
	if f.maxSkew <= 0 {
		return config, fmt.Errorf("--max_skew %v: want a positive duration", f.maxSkew)
	}
	if err := f.checkBounds(); err != nil {
		return config, err
	}
	if f.mqttQoS > 2 {
		return config, fmt.Errorf("--mqtt_qos %d: want 0, 1 or 2", f.mqttQoS)
	}
	if err := f.broker(cmd, &config); err != nil {
		return config, err
	}
	if config.Address == "" {
		for _, name := range append([]string{"config", "preset", "event_topic", "heartbeat_topic", "mqtt_shared_group", "dry_run"}, mappingFlags...) {
			if cmd.Flags().Changed(name) {
				return config, fmt.Errorf("--%s needs a broker: set --mqtt_host or %s", name, addressVariable)
			}
		}
	}
	mapped := slices.IndexFunc(mappingFlags, cmd.Flags().Changed)
	switch {
	case f.isIlagent(mapped >= 0):
		f.mapping.IntegrationKey = f.eventKey
		config.Mapping = &f.mapping
		return config, nil
	case mapped >= 0:
		return config, fmt.Errorf("--%s goes with --preset ilagent", mappingFlags[mapped])
	case config.IntegrationKey == "" && config.Address != "" && !f.dryRun && (len(f.eventTopics) > 0 || f.heartbeatTopic == "" || f.hasRules()):
		return config, fmt.Errorf("no integration key: set %s or --event_key", keyVariable)
	}
	config.RulesFiles, config.Presets = f.rules.files, f.rules.presets
	config.Options, err = f.rules.values()
	return config, err
}

// mappingFlags are the flags that select ilagent's mapping.
var mappingFlags = []string{
	"map_key_etype", "map_key_alert_key", "map_key_summary", "map_val_etype_alert", "map_val_etype_accept",
	"map_val_etype_resolve", "filter_key", "filter_val", "forward_message_payload",
}

// isIlagent reports whether messages are events for ilert: if the flags say so, or if the command
// line looks like one of ilagent.
func (f *daemonFlags) isIlagent(mapped bool) bool {
	if f.hasRules() {
		return slices.Equal(f.rules.presets, []string{presetIlagent}) && len(f.rules.files) == 0
	}
	return mapped || slices.ContainsFunc(f.eventTopics, func(topic string) bool {
		topic = mqtttopic.Unshared(topic)
		return !strings.HasPrefix(topic, "mps/") && !strings.HasPrefix(topic, "rps/")
	})
}

// hasRules reports whether flags name rules.
func (f *daemonFlags) hasRules() bool { return len(f.rules.presets)+len(f.rules.files) > 0 }

// broker sets the broker and the topics of a configuration.
func (f *daemonFlags) broker(cmd *cobra.Command, config *consumer.Config) error {
	broker, err := mqttconn.BrokerFromEnv(f.env)
	if err != nil {
		return err
	}
	switch config.Topics = slices.Clone(f.eventTopics); {
	case len(config.Topics) > 0 || f.heartbeatTopic != "" && !f.hasRules():
	case broker.Topic != "" && broker.Topic != mqtttopic.DefaultTopic: // the rules do not name it
		config.Topics = []string{broker.Filter(), "mps/status/+"}
	}
	if f.mqttHost == "" {
		for _, name := range []string{"mqtt_port", "mqtt_username", "mqtt_password", "mqtt_tls", "mqtt_ca", "mqtt_client_cert", "mqtt_client_key"} {
			if cmd.Flags().Changed(name) {
				return fmt.Errorf("--%s goes with --mqtt_host", name)
			}
		}
		config.Address, config.Username, config.Password = broker.Address, broker.Username, broker.Password
		config.CAFile, config.CertFile, config.KeyFile = broker.TLS.CA, broker.TLS.Cert, broker.TLS.Key
		return nil
	}
	if strings.ContainsAny(f.mqttHost, "/@") || strings.Contains(f.mqttHost, ":") && net.ParseIP(f.mqttHost) == nil {
		return fmt.Errorf("--mqtt_host: want a host alone; its port is --mqtt_port, and a whole address goes into %s", addressVariable)
	}
	scheme := "mqtt"
	if f.mqttTLS {
		scheme = "mqtts"
	}
	config.Address = scheme + "://" + net.JoinHostPort(f.mqttHost, strconv.Itoa(int(f.mqttPort)))
	config.Username, config.Password = f.mqttUsername, f.mqttPassword
	config.CAFile, config.CertFile, config.KeyFile = f.mqttCA, f.mqttCert, f.mqttKey
	return nil
}
