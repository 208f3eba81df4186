package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/consumer"
	"github.com/mps-events/mps-events/internal/rules"
)

// rulesFlags say which rules decide.
type rulesFlags struct {
	config  string
	presets []string
	options []string
}

func (f *rulesFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "config", "", "YAML file of rules and settings")
	flags.StringSliceVar(&f.presets, "preset", nil, "built-in rules, after those of --config: mps, rps, calls; or ilagent")
	flags.StringArrayVar(&f.options, "option", nil, "an option of the rules, such as critical=GUID,GUID; may be repeated")
}

// values are the options by name.
func (f *rulesFlags) values() (map[string]string, error) {
	values := map[string]string{}
	for _, option := range f.options {
		name, value, ok := strings.Cut(option, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--option %q: want name=value", option)
		}
		values[name] = value
	}
	return values, nil
}

// load reads the rules.
func (f *rulesFlags) load(settings []string) (rules.Loaded, error) {
	options, err := f.values()
	if err != nil {
		return rules.Loaded{}, err
	}
	load := rules.Load{Options: options, Settings: settings}
	if f.config != "" {
		text, err := os.ReadFile(f.config)
		if err != nil {
			return rules.Loaded{}, fmt.Errorf("--config: %w", err)
		}
		load.Sources = append(load.Sources, rules.Source{Name: f.config, Text: text})
	}
	presets := f.presets
	if len(presets) == 0 && f.config == "" {
		presets = []string{"mps", "rps"}
	}
	for _, name := range presets {
		source, err := rules.Preset(name)
		if err != nil {
			return rules.Loaded{}, fmt.Errorf("--preset: %w", err)
		}
		load.Sources = append(load.Sources, source)
	}
	return load.Do()
}

// settings sets the flags that the file of --config sets and nothing else has.
func (f *rulesFlags) settings(flags *pflag.FlagSet) error {
	if f.config == "" {
		return nil
	}
	loaded, err := f.load(settable(flags))
	if err != nil {
		return err
	}
	for name, values := range loaded.Settings {
		flag := flags.Lookup(name)
		if flag.Changed {
			continue
		}
		for _, value := range values {
			if err := flag.Value.Set(value); err != nil {
				if isSecret(name) {
					value = "***"
				}
				return fmt.Errorf("%s: settings: %s %q: %w", f.config, name, value, err)
			}
		}
		flag.Changed = true
	}
	return nil
}

// settable are the flags that a file may set.
func settable(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !slices.Contains([]string{"help", "version", "config"}, f.Name) {
			names = append(names, f.Name)
		}
	})
	return names
}

// reloadOnHangup reads the rules again at SIGHUP, until ctx ends.
func reloadOnHangup(ctx context.Context, c *consumer.Consumer, log *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			if err := c.Reload(ctx); err != nil {
				log.Error("SIGHUP", slog.Any("error", err))
			}
		case <-ctx.Done():
			return
		}
	}
}

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Show the built-in rules",
		Example: `  mps-ilert rules print mps > rules.yaml    # to be changed
  mps-ilert check --config rules.yaml
  mps-ilert daemon --config rules.yaml`,
	}
	cmd.AddCommand(&cobra.Command{
		Use: "print " + strings.Join(rules.PresetNames, "|"), Short: "Print built-in rules, to be copied and changed",
		Args: cobra.ExactArgs(1), ValidArgs: rules.PresetNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := rules.Preset(args[0])
			if err != nil {
				if args[0] == presetIlagent {
					return errors.New("ilagent is no file of rules: its rule is the flags of the daemon's mapping")
				}
				return err
			}
			_, err = cmd.OutOrStdout().Write(source.Text)
			return err
		},
	})
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "mps-ilert "+version())
			return err
		},
	}
}
