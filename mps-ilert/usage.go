package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/ilert"
)

// noArguments returns an error if there are arguments. The error does not show them: one may be a
// key.
func noArguments(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return nil
	case 1:
		return usageError{errors.New("1 argument belongs to no flag: each flag wants its value behind it, one with blanks in quotes")}
	default:
		return usageError{fmt.Errorf("%d arguments belong to no flag: each flag wants its value behind it, one with blanks in quotes", len(args))}
	}
}

// group makes a command that only has subcommands name an unknown one in an error.
func group(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine, cmd.SuggestionsMinimumDistance = true, 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("there is no command %q", args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %q?", err, near[0])
		}
		return usageError{fmt.Errorf("%w: %s --help lists them", err, cmd.CommandPath())}
	}
}

// flagOf holds the flag of each field of consumer.Config that has one.
var flagOf = map[string]string{
	"Topics": "--event_topic", "HeartbeatTopic": "--heartbeat_topic", "SharedGroup": "--mqtt_shared_group", "Presets": "--preset",
	"MQTTPath": "--mqtt_path", "OpenStore": "--file", "IlertURL": "--ilert_url", "HeartbeatURL": "--heartbeat_url",
	"DecisionLog": decisionLogFlag,
}

// inFlags replaces the field that a consumer.ConfigError names by its flag, since it is a mistake in
// the command line. It returns other errors as they are.
func (f *daemonFlags) inFlags(err error) error {
	var wrong *consumer.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	named := *wrong
	switch flag := flagOf[wrong.Field]; {
	case flag != "":
		named.Field = flag
	case wrong.Field == "Address" && f.mqttHost != "":
		named.Field = "--mqtt_host, --mqtt_port"
	case wrong.Field == "Address":
		named.Field = addressVariable
	}
	return usageError{&named}
}

// checkListener returns an error if the flags cannot be the address of the listener for HTTP.
func (f *daemonFlags) checkListener(cmd *cobra.Command) error {
	if f.http == "" {
		return nil
	}
	if cmd.Flags().Changed("port") {
		return errors.New("--http and --port: want one of them")
	}
	_, port, err := net.SplitHostPort(f.http)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("--http %q: want a host and a port, such as 127.0.0.1:8977", f.http)
	}
	return nil
}

// checkKey returns an error if a text cannot be an integration key.
func checkKey(name, key string) error {
	if err := ilert.CheckKey(key); err != nil {
		return usageError{fmt.Errorf("%s: %w", name, err)}
	}
	return nil
}

// warnOfPlainText logs the flags for certificates that have no effect: as in ilagent, only --mqtt_tls
// turns TLS on.
func (f *daemonFlags) warnOfPlainText(cmd *cobra.Command, log *slog.Logger) {
	for _, name := range []string{"mqtt_ca", "mqtt_client_cert", "mqtt_client_key"} {
		if !f.mqttTLS && cmd.Flags().Changed(name) {
			log.Warn("without --mqtt_tls nothing is encrypted, and the flag has no effect", slog.String("flag", "--"+name))
		}
	}
}
