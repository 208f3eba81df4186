package main

import (
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
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/loglimit"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/mps-ilert/internal/httpapi"
)

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
		Short: "Receive messages by MQTT and HTTP, and send alerts to ilert, until stopped",
		Long: `Receive messages by MQTT and HTTP, and send alerts to ilert, until stopped by Ctrl-C or SIGTERM.

The daemon stores each message before it acknowledges it to the broker, and sends what
follows from it until ilert has accepted it, over restarts of all three.

Rules decide what a message means: those of --config, files of your own, or built-in
ones, --preset. "mps" and "rps" are for the events of MPS, RPS and Console: silent on an
ordinary day, right on a bad one. "calls" raises an alert for each failed call. "ilagent"
is for messages that are events for ilert themselves, as ilert's ilagent takes them. The
default is mps and rps, or ilagent if a flag of its mapping or an --event_topic that does
not begin with mps/ or rps/ is given. "mps-ilert rules print mps" shows built-in rules,
"mps-ilert check" tries rules, and SIGHUP makes the daemon read all files of --config again.

With --port or --http, /health and /ready answer whether the daemon works. /status in JSON
and /metrics for Prometheus show the fates of the messages, the matches of the rules and
the states of the alerts. Neither names a device.

Each flag has an environment variable, named in brackets; the variable of a secret has a
twin with _FILE at its end, which names a file. A file of --config may set flags, too,
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

// run runs the daemon until the command's context ends.
func (f *daemonFlags) run(cmd *cobra.Command) error {
	for _, name := range notSupported {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s: %s", name, whyNotSupported)}
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

// orOwner adds to the error of a file that may not be written who should own its folder: the
// user of our image owns no folder that is mounted into it.
func (f *daemonFlags) orOwner(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	folder := filepath.Dir(f.file)
	var wrong *consumer.ConfigError
	if errors.As(err, &wrong) && wrong.Field == decisionLogFlag {
		folder = filepath.Dir(f.decisionLog)
	}
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
