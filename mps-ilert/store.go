package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/store"
)

// storeFlags are those of the commands that look into the store, beside the daemon or
// without it.
type storeFlags struct {
	*globals
	json      bool
	which     store.Letters
	olderThan time.Duration
	all       bool
}

func storeCommand(g *globals) *cobra.Command {
	f := &storeFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look into the store: what became of the messages, the alerts, and the dead letters",
		Long: `Look into the store (--file): what became of the messages, which alerts are open or wait,
and the dead letters, which are messages that could not be understood or that ilert called
invalid. It may be used while the daemon runs.`,
		Example: `  mps-ilert store stats
  mps-ilert store alerts
  mps-ilert store list --reason 'want a text'
  mps-ilert store retry 17 18        # once the mapping or the rules are mended
  mps-ilert store purge --older_than 720h`,
	}
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "write JSON, a line each")
	cmd.AddCommand(
		&cobra.Command{Use: "stats", Short: "Count what became of the messages of each topic filter, and how often each rule matched", Args: cobra.NoArgs, RunE: f.stats},
		f.alertsCommand(),
		f.choosing(&cobra.Command{Use: "list [ID...]", Short: "List dead letters, the oldest first", RunE: f.list}),
		&cobra.Command{Use: "show ID...", Short: "Show dead letters whole", Args: cobra.MinimumNArgs(1), RunE: f.show},
		f.changing(&cobra.Command{Use: "retry [ID...]", Short: "Let the daemon take dead letters in again", RunE: f.retry}),
		f.changing(&cobra.Command{Use: "purge [ID...]", Short: "Throw dead letters away", RunE: f.purge}),
	)
	return cmd
}

// choosing gives a command the flags that choose dead letters.
func (f *storeFlags) choosing(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.which.Filter, "filter", "", `of this topic filter, or "http"`)
	flags.StringVar(&f.which.Topic, "topic", "", "of this topic")
	flags.StringVar(&f.which.Reason, "reason", "", "with this text in their reason")
	flags.DurationVar(&f.olderThan, "older_than", 0, "that died longer ago than this, such as 24h")
	flags.IntVar(&f.which.Limit, "limit", 0, "the oldest so many; 0 is all")
	return cmd
}

// changing is choosing, and wants to be told what to change.
func (f *storeFlags) changing(cmd *cobra.Command) *cobra.Command {
	f.choosing(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all of them")
	return cmd
}

// open opens the store and reads which letters are meant.
func (f *storeFlags) open(cmd *cobra.Command, ids []string) (*store.Store, error) {
	for _, text := range ids {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no ID of a dead letter: want a number", text)
		}
		f.which.IDs = append(f.which.IDs, id)
	}
	if f.olderThan > 0 {
		f.which.Before = time.Now().Add(-f.olderThan)
	}
	return store.OpenBeside(cmd.Context(), f.file)
}

func (f *storeFlags) stats(cmd *cobra.Command, _ []string) error {
	s, err := f.open(cmd, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	tallies, err := s.Tallies(cmd.Context())
	if err != nil {
		return err
	}
	matches, err := s.Matches(cmd.Context())
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(statsJSON{tallies, matches})
	}
	err = table(cmd.OutOrStdout(), "FILTER\tRECEIVED\tIGNORED\tDUPLICATE\tMERGED\tDELIVERED\tDEAD\tPURGED\tPENDING", func(w io.Writer) {
		for _, filter := range slices.Sorted(maps.Keys(tallies)) {
			t := tallies[filter]
			_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", filter, t.Received, t.Ignored, t.Duplicate, t.Merged, t.Delivered, t.Dead, t.Purged, t.Pending)
		}
	})
	if err != nil || len(matches) == 0 {
		return err
	}
	return table(cmd.OutOrStdout(), "\nRULE\tMATCHED", func(w io.Writer) {
		for _, rule := range slices.Sorted(maps.Keys(matches)) {
			_, _ = fmt.Fprintf(w, "%s\t%d\n", rule, matches[rule])
		}
	})
}

// statsJSON is what stats writes with --json.
type statsJSON struct {
	Messages map[string]store.Tally `json:"messages"` // by topic filter
	Rules    map[string]uint64      `json:"rules"`    // how often each matched
}

// letterJSON is a dead letter as --json writes it. A payload that is no text is written
// in base64.
type letterJSON struct {
	ID         int64     `json:"id"`
	Filter     string    `json:"filter"`
	Topic      string    `json:"topic"`
	ReceivedAt time.Time `json:"receivedAt"`
	DiedAt     time.Time `json:"diedAt"`
	Tries      int       `json:"tries"`
	Retry      bool      `json:"retry"`
	Reason     string    `json:"reason"`
	Payload    string    `json:"payload,omitempty"`
	Base64     []byte    `json:"payloadBase64,omitempty"`
}

func toJSON(l store.Letter) letterJSON {
	j := letterJSON{
		ID: l.ID, Filter: l.Filter, Topic: l.Topic, ReceivedAt: l.ReceivedAt.UTC(), DiedAt: l.DiedAt.UTC(),
		Tries: l.Tries, Retry: l.Retry, Reason: l.Reason,
	}
	if utf8.Valid(l.Payload) {
		j.Payload = string(l.Payload)
	} else {
		j.Base64 = l.Payload
	}
	return j
}

func (f *storeFlags) list(cmd *cobra.Command, ids []string) error {
	letters, err := f.letters(cmd, ids)
	if err != nil {
		return err
	}
	if f.json {
		return linesOf(cmd.OutOrStdout(), letters)
	}
	return table(cmd.OutOrStdout(), "ID\tDIED\tTOPIC\tTRIES\tREASON", func(w io.Writer) {
		for _, l := range letters {
			_, _ = fmt.Fprintf(w, "%d\t%s\t%q\t%d\t%.100q\n", l.ID, l.DiedAt.Format(time.DateTime), l.Topic, l.Tries, l.Reason)
		}
	})
}

func (f *storeFlags) show(cmd *cobra.Command, ids []string) error {
	letters, err := f.letters(cmd, ids)
	if err != nil {
		return err
	}
	if len(letters) < len(ids) {
		return fmt.Errorf("%d of these %d dead letters are not there", len(ids)-len(letters), len(ids))
	}
	if f.json {
		return linesOf(cmd.OutOrStdout(), letters)
	}
	out := cmd.OutOrStdout()
	for _, l := range letters {
		_, err := fmt.Fprintf(out, "ID:       %d\nFilter:   %s\nTopic:    %q\nReceived: %s\nDied:     %s\nTries:    %d\nReason:   %q\nPayload:  %q\n\n",
			l.ID, l.Filter, l.Topic, l.ReceivedAt.Format(time.RFC3339Nano), l.DiedAt.Format(time.RFC3339Nano), l.Tries, l.Reason, l.Payload)
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *storeFlags) letters(cmd *cobra.Command, ids []string) ([]store.Letter, error) {
	s, err := f.open(cmd, ids)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.DeadLetters(cmd.Context(), f.which)
}

func linesOf(w io.Writer, letters []store.Letter) error {
	out := json.NewEncoder(w)
	for _, l := range letters {
		if err := out.Encode(toJSON(l)); err != nil {
			return err
		}
	}
	return nil
}

func (f *storeFlags) retry(cmd *cobra.Command, ids []string) error {
	return f.change(cmd, ids, (*store.Store).AskToRetry, "will be taken in again by the daemon")
}

func (f *storeFlags) purge(cmd *cobra.Command, ids []string) error {
	return f.change(cmd, ids, (*store.Store).Purge, "purged")
}

// storeChange is a method of the store that changes dead letters and counts them.
type storeChange func(*store.Store, context.Context, store.Letters) (int64, error)

func (f *storeFlags) change(cmd *cobra.Command, ids []string, do storeChange, done string) error {
	w := f.which
	chosen := f.all || len(ids) > 0 || w.Filter+w.Topic+w.Reason != "" || w.Limit > 0 || f.olderThan > 0
	if !chosen {
		return errors.New("which? Name IDs, choose by flags, or say --all")
	}
	s, err := f.open(cmd, ids)
	if err != nil {
		return err
	}
	defer s.Close()
	n, err := do(s, cmd.Context(), f.which)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]int64{"letters": n})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d dead letters %s\n", n, done)
	return err
}

func table(out io.Writer, head string, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, head) // Flush tells of all errors
	rows(w)
	return w.Flush()
}
