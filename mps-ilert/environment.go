package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// secrets are the flags whose values nobody else may see. The variable of each has a twin, with
// _FILE at its end, that names a file.
var secrets = []string{"event_key", "heartbeat", "ilert_api_key", "integration_key", "mqtt_password", "http_token"}

// isSecret reports whether the value of a flag is a secret.
func isSecret(flag string) bool {
	for _, s := range secrets {
		if s == flag {
			return true
		}
	}
	return false
}

// variable returns the environment variable of a flag. That of the API key has the name that other tools for ilert use.
func variable(flag string) string {
	if flag == "ilert_api_key" {
		return "ILERT_API_KEY"
	}
	return "MPS_ILERT_" + strings.ToUpper(flag)
}

// nameVariables adds to the help of each flag its variable.
func nameVariables(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" && !f.Hidden {
			f.Usage += " [" + variable(f.Name) + "]"
		}
	})
}

// fromEnvironment sets the flags that are not on the command line from their variables. It warns
// of secrets on the daemon's command line, which everybody can see while the daemon runs.
func fromEnvironment(cmd *cobra.Command, env func(string) string, log *slog.Logger) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case err != nil:
		case f.Changed && isSecret(f.Name) && cmd.Name() == "daemon":
			log.Warn("a secret on the command line is seen by every user of this machine; use the variable",
				slog.String("flag", "--"+f.Name), slog.String("variable", variable(f.Name)))
		case !f.Changed:
			err = setFrom(f, env)
		}
	})
	return err
}

// setFrom sets a flag from its variable, if that is set.
func setFrom(f *pflag.Flag, env func(string) string) error {
	name := variable(f.Name)
	value := env(name)
	if isSecret(f.Name) {
		var err error
		if value, err = mqttconn.Secret(env, name); err != nil {
			return err
		}
	}
	if value == "" {
		return nil
	}
	if err := f.Value.Set(value); err != nil { // of a secret, which is a text, it never fails
		return fmt.Errorf("%s %q: %w", name, value, inOurWords(f, err))
	}
	f.Changed = true
	return nil
}

// inOurWords returns an error that names what a flag accepts.
func inOurWords(f *pflag.Flag, err error) error {
	switch f.Value.Type() {
	case "uint8":
		return errors.New("want a number from 0 to 255")
	case "uint32":
		return errors.New("want a number from 0 to 4294967295")
	case "uint16":
		return errors.New("want a number from 0 to 65535")
	case "int", "uint":
		return errors.New("want a number")
	case "bool":
		return errors.New("want true or false")
	case "duration":
		return errors.New("want a duration such as 90s, 15m or 24h")
	default:
		return err
	}
}

// wrongFlag returns the error of a command line that cannot be parsed.
func wrongFlag(err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && strings.HasPrefix(strings.ReplaceAll(unknown.GetSpecifiedName(), "-", "_"), "edge_") {
		return fmt.Errorf("--%s, of ilagents newer than 0.9: %s", unknown.GetSpecifiedName(), whyNotSupported)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		return fmt.Errorf("--%s %q: %w", f.Name, invalid.GetValue(), inOurWords(f, errors.Unwrap(err)))
	}
	return err
}
