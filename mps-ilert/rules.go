package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/consumer"
	"github.com/mps-events/mps-events/internal/rules"
)

// rulesFlags say which rules decide.
type rulesFlags struct {
	files   []string
	presets []string
	options []string
	topics  []string // instead of those that files name
}

func (f *rulesFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.files, "config", nil, "YAML file of rules and settings, may be repeated: the rules of the first come first, and its settings go before those of the others")
	flags.StringSliceVar(&f.presets, "preset", nil, "built-in rules, after those of --config: mps, rps, calls; or ilagent")
	flags.StringArrayVar(&f.options, "option", nil, "an option of the rules, such as critical=GUID,GUID; may be repeated")
}

// complete lets a shell complete the flags of a command that takes these presets.
func (f *rulesFlags) complete(cmd *cobra.Command, presets []string) {
	completes(cmd.MarkFlagFilename("config", "yaml", "yml"))
	completes(cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(presets, cobra.ShellCompDirectiveNoFileComp)))
	completes(cmd.RegisterFlagCompletionFunc("option", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return f.optionNames(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}

// completes panics if a flag that a shell should complete is none.
func completes(err error) {
	if err != nil {
		panic(err)
	}
}

// optionNames are the options that the rules have, as a command line sets them.
func (f *rulesFlags) optionNames() (names []string) {
	sources, err := f.allSources()
	if err != nil {
		return nil
	}
	for len(sources) > 0 {
		var file struct {
			Options map[string]any
			Include []string
		}
		_ = yaml.Unmarshal(sources[0].Text, &file) // what cannot be read has none
		sources = sources[1:]
		for name := range file.Options {
			names = append(names, name+"=")
		}
		for _, name := range file.Include {
			if included, err := rules.Preset(name); err == nil {
				sources = append(sources, included)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// values are the options by name.
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

// load reads the rules.
func (f *rulesFlags) load(settings []string) (rules.Loaded, error) {
	options, err := f.values()
	if err != nil {
		return rules.Loaded{}, err
	}
	load := rules.Load{Options: options, Topics: f.topics, Settings: settings}
	if load.Sources, err = f.allSources(); err != nil {
		return rules.Loaded{}, err
	}
	return load.Do()
}

// allSources reads the files and the presets.
func (f *rulesFlags) allSources() ([]rules.Source, error) {
	all, err := f.sources()
	if err != nil {
		return nil, err
	}
	presets := f.presets
	if len(presets)+len(f.files) == 0 {
		presets = rules.DefaultPresets
	}
	builtIn, err := rules.Presets(presets)
	if err != nil {
		return nil, usageError{fmt.Errorf("--preset: %w", err)}
	}
	return append(all, builtIn...), nil
}

// sources reads the files.
func (f *rulesFlags) sources() (all []rules.Source, err error) {
	for _, name := range f.files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
		all = append(all, rules.Source{Name: name, Text: text})
	}
	return all, nil
}

// settings sets the flags that a file of --config sets and nothing else has, nor a file
// before it.
func (f *rulesFlags) settings(flags *pflag.FlagSet) error {
	if len(f.files) == 0 {
		return nil
	}
	names := settable(flags)
	first := rulesFlags{files: f.files, presets: f.presets} // options may be those of a preset that a file names
	if _, err := first.load(names); err != nil {
		return err
	}
	all, err := f.settingsOf(names)
	if err != nil {
		return err
	}
	for i, ofFile := range all {
		for name, values := range ofFile {
			flag := flags.Lookup(name)
			if flag.Changed {
				continue
			}
			for _, value := range values {
				if err := flag.Value.Set(value); err != nil {
					if isSecret(name) {
						value = "***"
					}
					return fmt.Errorf("%s: settings: %s %q: %w", f.files[i], name, value, inOurWords(flag, err))
				}
			}
			flag.Changed = true
		}
	}
	return nil
}

// settingsOf is what each file sets of these flags.
func (f *rulesFlags) settingsOf(names []string) ([]map[string][]string, error) {
	sources, err := f.sources()
	if err != nil {
		return nil, err
	}
	all := make([]map[string][]string, len(sources))
	for i := range sources {
		// What is wrong with the rules has been said of all files together.
		loaded, _ := rules.Load{Sources: sources[i : i+1], Settings: names}.Do()
		all[i] = loaded.Settings
	}
	return all, nil
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
		Use: "print " + strings.Join(rules.PresetNames, "|"), Short: "Print built-in rules, to be copied and changed",
		ValidArgs: rules.PresetNames,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("which? Name one of %s", strings.Join(rules.PresetNames, ", "))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := rules.Preset(args[0])
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

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "mps-ilert "+version())
			return err
		},
	}
}
