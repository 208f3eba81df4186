package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

// checkFlags are those of the command that tries rules.
type checkFlags struct {
	*globals
	rules rulesFlags
	topic string
	brief bool

	settable []string // what a file may set
}

func checkCommand(g *globals) *cobra.Command {
	f := &checkFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Try rules: find mistakes, run their tests, say what messages would do",
		Long: `Try rules. All mistakes in the rules are named with their lines, and the tests that the
files of --config hold are run, with the options of their file whatever --option says; -v
shows what the messages of a test that fails did. Then for each message of the FILEs (- is
the standard input) it is said which rules match, why the others do not, and what ilert
would be told when; in the end, what would still be open if nothing more came. Time passes
as the messages say; nobody is told anything.

A FILE holds JSON values, one after the other: events as they stand in a payload, or
messages with topic and payload, such as
  mosquitto_sub -V 5 -h localhost -t 'mps/#' -F %j
writes (tst is the time; user properties stand below properties). The exit code is 0 if
the rules are right and their tests pass.`,
		Example: `  mps-ilert check --config rules.yaml
  mps-ilert check --preset mps event.json
  mosquitto_sub -V 5 -h localhost -t 'mps/#' -F %j -W 60 | mps-ilert check --brief -`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().SortFlags = false
	f.rules.add(cmd.Flags())
	f.rules.complete(cmd, rulefile.PresetNames)
	cmd.Flags().StringVar(&f.topic, "topic", mqtttopic.DefaultTopic, "topic of messages that do not say theirs")
	cmd.Flags().BoolVar(&f.brief, "brief", false, "say only what ilert would be told, and how many messages would be dead")
	return cmd
}

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
	return errors.Join(err, f.explain(cmd, loaded.Rules, files))
}

// test runs the tests of the files, with the options that these have.
func (f *checkFlags) test(cmd *cobra.Command) error {
	if len(f.rules.presets)+len(f.rules.files) == 0 {
		return nil // those of the built-in rules have passed before they were built in
	}
	own := f.rules
	own.options, own.topics = nil, nil
	loaded, err := own.load(f.settable)
	if err != nil {
		return err
	}
	return runTests(cmd.Context(), cmd.OutOrStdout(), loaded, f.verbose > 0)
}

// explain shows what the messages of files do.
func (f *checkFlags) explain(cmd *cobra.Command, r rules.Rules, files []string) error {
	show := &shower{out: cmd.OutOrStdout(), brief: f.brief}
	play, err := rehearse(cmd.Context(), r, show)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err = f.play(cmd, play, name); err != nil {
			break
		}
	}
	if err == nil {
		err = show.rest(cmd.Context(), play)
	}
	return errors.Join(err, play.close())
}

// loadAsDaemon reads the rules as the daemon does, with what the files themselves set.
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
	return f.rules.load(f.settable)
}

// runTests runs tests; verbosely those that fail are shown.
func runTests(ctx context.Context, out io.Writer, loaded rulefile.Loaded, verbosely bool) error {
	failed := 0
	for _, t := range loaded.Tests {
		failure, err := runTest(ctx, loaded.Rules, t)
		if err != nil {
			return err
		}
		if failure != "" {
			failed++
			_, _ = fmt.Fprintf(out, "%s:%d: test %q: %s\n", t.File, t.Line, t.Name, failure)
			if !verbosely {
				continue
			}
			if _, err := perform(ctx, loaded.Rules, t, &shower{out: out, since: testStart}); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(out)
		}
	}
	if failed > 0 {
		return fmt.Errorf("tests: %d of %d failed", failed, len(loaded.Tests))
	}
	if len(loaded.Tests) > 0 {
		_, _ = fmt.Fprintf(out, "tests: %d passed\n", len(loaded.Tests))
	}
	return nil
}

// play lets the messages of one file come.
func (f *checkFlags) play(cmd *cobra.Command, play *rehearsal, name string) error {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	decoder := json.NewDecoder(bufio.NewReader(in))
	for n := 1; ; n++ {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: value %d is no JSON: %w (rules are given by --config)", name, n, err)
		}
		m, at, err := f.message(raw)
		if err != nil {
			return fmt.Errorf("%s: value %d: %w", name, n, err)
		}
		if at.IsZero() {
			at = play.now
		}
		if at.IsZero() {
			at = time.Now().Truncate(time.Second)
		}
		if at.Before(play.now) {
			at = play.now // messages come one after the other
		}
		if _, err := play.receive(cmd.Context(), at, m); err != nil {
			return err
		}
	}
}

// message reads one value of a file: a message with its topic, or a payload.
func (f *checkFlags) message(raw json.RawMessage) (decision.Message, time.Time, error) {
	m := decision.Message{Topic: f.topic, Payload: raw}
	var captured struct {
		Topic      *string         `json:"topic"`
		Payload    json.RawMessage `json:"payload"`
		Tst        string          `json:"tst"` // of mosquitto_sub
		Time       string          `json:"time"`
		Properties json.RawMessage `json:"properties"`
	}
	var at time.Time
	if json.Unmarshal(raw, &captured) == nil && captured.Topic != nil && captured.Payload != nil {
		m.Topic, m.Payload = *captured.Topic, captured.Payload
		var text string
		if json.Unmarshal(captured.Payload, &text) == nil {
			m.Payload = []byte(text)
		}
		var err error
		if at, err = timeOf(captured.Tst + captured.Time); err != nil {
			return m, at, err
		}
		m.Properties = propertiesOf(captured.Properties)
	}
	if e, err := event.Parse(m.Payload); at.IsZero() && err == nil && e.Timestamp > 0 {
		at = time.UnixMilli(e.Timestamp)
	}
	return m, at, nil
}

// timeOf reads RFC 3339, and what mosquitto_sub makes of it.
func timeOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999Z-0700", "2006-01-02T15:04:05.999999-0700"} {
		if at, err := time.Parse(form, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("tst %q: want a time such as 2026-01-02T15:04:05Z", s)
}

// propertiesOf reads user properties: an object, or what mosquitto_sub makes of them, which
// may be a list of objects below user-properties.
func propertiesOf(raw json.RawMessage) (all []decision.Property) {
	var inner struct {
		User json.RawMessage `json:"user-properties"`
	}
	if json.Unmarshal(raw, &inner) == nil && inner.User != nil {
		raw = inner.User
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var one map[string]json.RawMessage
		_ = json.Unmarshal(raw, &one)
		list = []map[string]json.RawMessage{one}
	}
	for _, one := range list {
		for key, value := range one {
			text := string(value) // of a number, should a person have written it
			_ = json.Unmarshal(value, &text)
			all = append(all, decision.Property{Key: key, Value: text})
		}
	}
	return all
}
