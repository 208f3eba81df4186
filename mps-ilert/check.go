package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/mps-ilert/internal/rehearsal"
)

// checkFlags are the flags of the command check.
type checkFlags struct {
	*globals
	rules rulesFlags
	topic string
	brief bool

	maxSkew time.Duration // of the daemon

	settable []string // the flags that a file may set
}

// checkCommand returns the command that tries rules.
func checkCommand(g *globals) *cobra.Command {
	f := &checkFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Try rules: find mistakes, run their tests, show what messages would do",
		Long: `Try rules. The command lists all mistakes in the rules with their lines, and runs the tests
in the files of --config, with the options of the file, not those of --option; -v shows what
the messages of a failing test did. For each message of the FILEs (- is the standard input)
it then shows which rules match, why the others do not, and what ilert would be sent, and
when; at the end, which alerts would stay open if no more message came. Time passes as the
messages have it. The command sends nothing to ilert.

A FILE holds JSON values, one after the other: events as they stand in a payload, or
messages with topic and payload, such as
  mosquitto_sub -V 5 -h localhost -t 'mps/#' -F %j
writes (tst is the time; user properties stand below properties). The line
{"connection": "lost", "tst": TIME} says that no message could come from then on, and
"restored" that the broker was back. The exit code is 0 if the rules are right and their
tests pass.`,
		Example: `  mps-ilert check --config rules.yaml
  mps-ilert check --preset mps event.json
  mosquitto_sub -V 5 -h localhost -t 'mps/#' -F %j -W 60 | mps-ilert check --brief -`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().SortFlags = false
	f.rules.add(cmd.Flags())
	f.rules.complete(cmd, rulefile.PresetNames)
	cmd.Flags().StringVar(&f.topic, "topic", mqtttopic.DefaultTopic, "topic of messages that do not say theirs")
	cmd.Flags().BoolVar(&f.brief, "brief", false, "show only what ilert would be sent, and the number of messages that would be dead")
	return cmd
}

// run reads the rules, runs their tests and explains messages.
func (f *checkFlags) run(cmd *cobra.Command, files []string) error {
	loaded, err := f.loadAsDaemon(cmd)
	var mistakes rulefile.MistakesError
	if errors.As(err, &mistakes) {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), mistakes)
		return fmt.Errorf("mistakes in the rules: %d", len(mistakes))
	}
	if err != nil {
		return err
	}
	topics := loaded.Topics
	if len(f.rules.topics) > 0 {
		topics = mqtttopic.Uncovered(f.rules.topics)
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "rules: %d without mistakes, for %s\n", len(loaded.Names), cmp.Or(strings.Join(topics, ", "), mqtttopic.DefaultTopic))
	err = f.test(cmd)
	if len(files) == 0 {
		return err
	}
	return errors.Join(err, f.explain(cmd, rehearsal.Setup{Rules: loaded.Rules, Topics: topics, MaxSkew: f.maxSkew}, files))
}

// test runs the tests of the files, with the options of the files.
func (f *checkFlags) test(cmd *cobra.Command) error {
	if len(f.rules.presets)+len(f.rules.files) == 0 {
		return nil // our own tests run those of the built-in rules
	}
	own := f.rules
	own.options, own.topics = nil, nil
	loaded, err := own.load(f.settable)
	if err != nil {
		return err
	}
	return rehearsal.RunTests(cmd.Context(), cmd.OutOrStdout(), loaded, f.verbose > 0)
}

// explain prints what the messages of files do.
func (f *checkFlags) explain(cmd *cobra.Command, by rehearsal.Setup, files []string) error {
	explanation, err := rehearsal.Explain(cmd.Context(), by, cmd.OutOrStdout(), f.brief)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err = f.play(cmd, explanation, name); err != nil {
			break
		}
	}
	if err == nil {
		err = explanation.Rest(cmd.Context())
	}
	return errors.Join(err, explanation.Close())
}

// play plays the messages of a file.
func (f *checkFlags) play(cmd *cobra.Command, explanation *rehearsal.Explanation, name string) error {
	if name == "-" {
		return explanation.Play(cmd.Context(), name, f.topic, cmd.InOrStdin())
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return explanation.Play(cmd.Context(), name, f.topic, file)
}

// loadAsDaemon reads the rules as the daemon does, with the flags that the files set.
func (f *checkFlags) loadAsDaemon(cmd *cobra.Command) (rulefile.Loaded, error) {
	flags := daemonCommand(&globals{}).Flags()
	flags.AddFlagSet(cmd.Root().PersistentFlags())
	f.settable = settable(flags)
	if err := f.rules.settings(flags); err != nil {
		return rulefile.Loaded{}, err
	}
	for name, to := range map[string]*[]string{"preset": &f.rules.presets, "option": &f.rules.options, "event_topic": &f.rules.topics} {
		if list, ok := flags.Lookup(name).Value.(pflag.SliceValue); ok && !cmd.Flags().Changed(name) {
			*to = list.GetSlice()
		}
	}
	maxSkew, err := flags.GetDuration("max_skew")
	if err != nil {
		return rulefile.Loaded{}, err
	}
	f.maxSkew = maxSkew
	return f.rules.load(f.settable)
}
