package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// rulesFlags are the flags that select the rules.
type rulesFlags struct {
	files   []string
	presets []string
	options []string
	topics  []string // replace the topic filters of the files
}

// add registers the flags.
func (f *rulesFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.files, "config", nil, "YAML file of rules and settings, may be repeated: the rules of the first come first, and its settings go before those of the others")
	flags.StringSliceVar(&f.presets, "preset", nil, "built-in rules, after those of --config: mps, rps, calls; or ilagent")
	flags.StringArrayVar(&f.options, "option", nil, "an option of the rules, such as critical=GUID,GUID; may be repeated")
}

// complete lets a shell complete the flags. presets are the values of --preset.
func (f *rulesFlags) complete(cmd *cobra.Command, presets []string) {
	completes(cmd.MarkFlagFilename("config", "yaml", "yml"))
	completes(cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(presets, cobra.ShellCompDirectiveNoFileComp)))
	completes(cmd.RegisterFlagCompletionFunc("option", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return f.optionNames(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}

// completes panics if a flag that a shell should complete does not exist.
func completes(err error) {
	if err != nil {
		panic(err)
	}
}

// optionNames returns the names of the rules' options, with = behind each.
func (f *rulesFlags) optionNames() (names []string) {
	sources, err := f.allSources()
	if err != nil {
		return nil
	}
	loaded, _ := rulefile.Load{Sources: sources, AnySetting: true}.Do() // a file with mistakes may have options, too
	for _, name := range loaded.Options {
		names = append(names, name+"=")
	}
	return names
}

// values returns the values of the options by name.
func (f *rulesFlags) values() (map[string]string, error) {
	values := map[string]string{}
	for _, option := range f.options {
		name, value, ok := strings.Cut(option, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--option %q: want name=value", option)}
		}
		values[name] = value
	}
	return values, nil
}

// load reads the rules. settings are the flags that a file may set.
func (f *rulesFlags) load(settings []string) (rulefile.Loaded, error) {
	options, err := f.values()
	if err != nil {
		return rulefile.Loaded{}, err
	}
	load := rulefile.Load{Options: options, Topics: f.topics, Settings: settings}
	if load.Sources, err = f.allSources(); err != nil {
		return rulefile.Loaded{}, err
	}
	return load.Do()
}

// allSources reads the files and the presets.
func (f *rulesFlags) allSources() ([]rulefile.Source, error) {
	all, err := f.sources()
	if err != nil {
		return nil, err
	}
	presets := f.presets
	if len(presets)+len(f.files) == 0 {
		presets = rulefile.DefaultPresets
	}
	builtIn, err := rulefile.Presets(presets)
	if err != nil {
		return nil, usageError{fmt.Errorf("--preset: %w", err)}
	}
	return append(all, builtIn...), nil
}

// sources reads the files.
func (f *rulesFlags) sources() (all []rulefile.Source, err error) {
	for _, name := range f.files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
		all = append(all, rulefile.Source{Name: name, Text: text})
	}
	return all, nil
}

// settings sets the flags that files of --config set, unless the command line or a variable has
// set them. The first file that sets a flag wins.
func (f *rulesFlags) settings(flags *pflag.FlagSet) error {
	if len(f.files) == 0 {
		return nil
	}
	first := rulesFlags{files: f.files, presets: f.presets} // without --option, which may belong to a preset that a file's settings name
	loaded, err := first.load(settable(flags))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(loaded.Settings)) {
		flag := flags.Lookup(name)
		if flag.Changed {
			continue
		}
		set := loaded.Settings[name]
		for _, value := range set.Values {
			if err := flag.Value.Set(value); err != nil {
				if isSecret(name) {
					value = "***"
				}
				return fmt.Errorf("%s:%d:%d: settings: %s %q: %w", set.File, set.Line, set.Column, name, value, inOurWords(flag, err))
			}
		}
		flag.Changed = true
	}
	return nil
}

// settable returns the names of the flags that a file may set.
func settable(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !slices.Contains([]string{"help", "version", "config"}, f.Name) {
			names = append(names, f.Name)
		}
	})
	return names
}

// reloadOnHangup reads the rules again at each SIGHUP, until ctx ends.
func reloadOnHangup(ctx context.Context, c *consumer.Consumer, hangup <-chan os.Signal, log *slog.Logger) {
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

// rulesCommand returns the command that prints built-in rules.
func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Show the built-in rules",
		Example: `  mps-ilert rules print mps > rules.yaml    # to be changed
  mps-ilert check --config rules.yaml
  mps-ilert daemon --config rules.yaml`,
	}
	group(cmd)
	cmd.AddCommand(&cobra.Command{
		Use: "print " + strings.Join(rulefile.PresetNames, "|"), Short: "Print built-in rules, to be copied and changed",
		ValidArgs: rulefile.PresetNames,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("which? Name one of %s", strings.Join(rulefile.PresetNames, ", "))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := rulefile.Preset(args[0])
			if err != nil {
				if args[0] == presetIlagent {
					err = errors.New("ilagent is no file of rules: its rule is the flags of the daemon's mapping")
				}
				return usageError{err}
			}
			_, err = cmd.OutOrStdout().Write(source.Text)
			return err
		},
	})
	return cmd
}

// versionCommand returns the command that prints the version.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "mps-ilert "+version())
			return err
		},
	}
}
