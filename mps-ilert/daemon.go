package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// daemonFlags are ilagent's, by the same names, and a few of ours.
type daemonFlags struct {
	mqttHost, mqttName, eventTopic string
	mqttPort                       uint16
	mqttQoS                        uint8
	file                           string
	port                           uint16
	eventKey, ilertURL, preset     string
	verbose                        int
}

const (
	keyVariable     = "ILERT_INTEGRATION_KEY"
	addressVariable = "MPS_MQTT_ADDRESS"
)

func daemonCommand(env func(string) string) *cobra.Command {
	var f daemonFlags
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Listen to MQTT and tell ilert, until stopped",
		Long: `Listen to MQTT and tell ilert, until stopped by Ctrl-C or SIGTERM.

What has been received is stored before it is acknowledged to the broker, and
what is stored is told until ilert has taken it, over restarts of all three.

Environment:
  ` + keyVariable + `   the key of an alert source of ilert (or --event_key)
  ` + addressVariable + `        the broker's address where --mqtt_host is not given, such as
                          mqtts://user:password@broker:8883; MPS_MQTT_USERNAME,
                          MPS_MQTT_PASSWORD(_FILE), MPS_MQTT_CA_FILE, MPS_MQTT_CERT_FILE
                          and MPS_MQTT_KEY_FILE go with it`,
		Example: `  ` + keyVariable + `=il1api... mps-ilert daemon -m localhost -e mps/events -p 8977`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd, env)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.mqttHost, "mqtt_host", "m", "", "host of the MQTT broker (default: "+addressVariable+")")
	flags.Uint16VarP(&f.mqttPort, "mqtt_port", "q", 1883, "port of the MQTT broker")
	flags.StringVarP(&f.mqttName, "mqtt_name", "n", "mps-ilert", "client id; the broker keeps messages for it while it is away")
	flags.StringVarP(&f.eventTopic, "event_topic", "e", "", "topic filter to listen to (default: that of MPS_MQTT_TOPIC, or mps/events)")
	flags.Uint8Var(&f.mqttQoS, "mqtt_qos", 1, "QoS of the subscription, 0 or 1; at 0 the broker keeps nothing while we are away")
	flags.StringVarP(&f.file, "file", "f", "./mps-ilert.db", "SQLite file that holds the state")
	flags.Uint16VarP(&f.port, "port", "p", 0, "port for /health and /ready, on all interfaces; 0 is any free one (default: no HTTP)")
	flags.StringVar(&f.eventKey, "event_key", "", "integration key (default: "+keyVariable+", which other users of this machine cannot see)")
	flags.StringVar(&f.ilertURL, "ilert_url", ilert.DefaultURL, "ilert's API")
	flags.StringVar(&f.preset, "preset", "calls", "built-in rules: calls")
	flags.CountVarP(&f.verbose, "verbose", "v", "log more")
	return cmd
}

func (f *daemonFlags) run(cmd *cobra.Command, env func(string) string) error {
	level := slog.LevelInfo
	if f.verbose > 0 {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	config, err := f.config(cmd, env)
	if err != nil {
		return err
	}
	config.Logger = logger

	var listener net.Listener
	if f.port != 0 || cmd.Flags().Changed("port") {
		listener, err = net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(f.port))))
		if err != nil {
			return fmt.Errorf("--port %d: %w", f.port, err)
		}
		defer listener.Close()
	}
	c, err := consumer.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	server := newServer(ctx, c)
	served := make(chan error, 1)
	if listener != nil {
		logger.Info("listening for HTTP", slog.String("address", listener.Addr().String()))
		go func() {
			served <- server.Serve(listener)
			cancel() // without its health the daemon must not go on
		}()
	} else {
		served <- http.ErrServerClosed
	}
	err = c.Run(ctx)
	cancel()
	stopServer(server) // only now: until the work has ended, /health says that it is ending
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	logger.Info("stopped")
	return err
}

func (f *daemonFlags) config(cmd *cobra.Command, env func(string) string) (consumer.Config, error) {
	config := consumer.Config{
		ClientID:       f.mqttName,
		Topics:         []string{f.eventTopic},
		AtMostOnce:     f.mqttQoS == 0,
		Preset:         f.preset,
		StorePath:      f.file,
		IlertURL:       f.ilertURL,
		IntegrationKey: f.eventKey,
	}
	if f.mqttQoS > 1 {
		return config, fmt.Errorf("--mqtt_qos %d: want 0 or 1", f.mqttQoS)
	}
	if config.IntegrationKey == "" {
		config.IntegrationKey = env(keyVariable)
	}
	if config.IntegrationKey == "" {
		return config, fmt.Errorf("no integration key: set %s or --event_key", keyVariable)
	}
	broker, err := mqttconn.BrokerFromEnv(env)
	if err != nil {
		return config, err
	}
	if f.eventTopic == "" {
		config.Topics = []string{broker.Filter()}
	}
	if f.mqttHost != "" {
		if strings.ContainsAny(f.mqttHost, "/@") || strings.Contains(f.mqttHost, ":") && net.ParseIP(f.mqttHost) == nil {
			return config, fmt.Errorf("--mqtt_host: want a host alone; its port is --mqtt_port, and a whole address goes into %s", addressVariable)
		}
		config.Address = "mqtt://" + net.JoinHostPort(f.mqttHost, strconv.Itoa(int(f.mqttPort)))
		return config, nil
	}
	if cmd.Flags().Changed("mqtt_port") {
		return config, errors.New("--mqtt_port goes with --mqtt_host")
	}
	if broker.Address == "" {
		return config, fmt.Errorf("no MQTT broker: set --mqtt_host or %s", addressVariable)
	}
	config.Address, config.Username, config.Password = broker.Address, broker.Username, broker.Password
	config.CAFile, config.CertFile, config.KeyFile = broker.TLS.CA, broker.TLS.Cert, broker.TLS.Key
	return config, nil
}
