package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/alerting"
)

// storeFlags are the flags of the commands that read or change the store, while the daemon runs
// or not.
type storeFlags struct {
	*globals
	json      bool
	which     alerting.LetterQuery
	olderThan time.Duration
	all       bool
}

// storeCommand returns the command that shows and changes the store.
func storeCommand(g *globals) *cobra.Command {
	f := &storeFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Show the store: the fates of the messages, the alerts, and the dead letters; close alerts",
		Long: `Show the store (--file): the fates of the messages, the alerts that are open or wait, and the
dead letters, which are messages that could not be understood or that ilert called invalid.
The commands may run while the daemon runs.

"list" also shows the integration keys that messages brought and that ilert does not accept, as
message: and the first 8 digits of their SHA-256, with the number of events that wait for each.
"purge" drops the events that wait for a key that you name or, with flags or --all, for keys
that ilert has never accepted. For these keys the daemon keeps at most 10,000 events of 64 MiB
in all, each for at most a day; --max_dead_letters, --max_dead_letter_mib and
--max_dead_letter_age of the daemon limit the dead letters. The daemon purges the oldest first
and counts them as purged.

"retry" lets the daemon decide about dead letters again, by its present rules and the present
alerts. One that it cannot take in again stays, and "list" and "show" give the reason: its
alert has ended since, for instance, or no rule listens to its topic any more.`,
		Example: `  mps-ilert store stats
  mps-ilert store alerts
  mps-ilert store close server/mps-1
  mps-ilert store list --reason 'want a text'
  mps-ilert store retry 17 18        # once the mapping or the rules are mended
  mps-ilert store purge --older_than 720h
  mps-ilert store purge message:3f2a9c1b`,
	}
	group(cmd)
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "write JSON, a line each")
	cmd.AddCommand(
		&cobra.Command{Use: "stats", Short: "Count the fates of the messages of each topic filter, and the matches of each rule", Args: noArguments, RunE: f.stats},
		f.alertsCommand(),
		f.closeCommand(),
		f.choosing(&cobra.Command{Use: "list [ID|KEY...]", Short: "List dead letters, the oldest first, and integration keys that ilert does not accept", RunE: f.list}),
		&cobra.Command{Use: "show ID...", Short: "Show dead letters whole", RunE: f.show},
		f.changing(&cobra.Command{Use: "retry [ID...]", Short: "Let the daemon decide about dead letters again", RunE: f.retry}),
		f.changing(&cobra.Command{Use: "purge [ID|KEY...]", Short: "Delete dead letters, and events that wait for integration keys that ilert does not accept", RunE: f.purge}),
	)
	return cmd
}

// choosing adds the flags that choose dead letters to a command.
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

// changing adds the same flags and --all to a command that changes letters, for which the caller must choose some.
func (f *storeFlags) changing(cmd *cobra.Command) *cobra.Command {
	f.choosing(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all of them")
	return cmd
}

// open notes the chosen letters and keys in f and opens the store.
func (f *storeFlags) open(cmd *cobra.Command, ids []string) (*alerting.Engine, error) {
	for _, text := range ids {
		if strings.HasPrefix(text, "message:") {
			if cmd.Name() != "list" && cmd.Name() != "purge" {
				return nil, usageError{fmt.Errorf("%s is an integration key, for which events wait: want the ID of a dead letter", text)}
			}
			f.which.Keys = append(f.which.Keys, text)
			continue
		}
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is no ID of a dead letter: want a number", text)}
		}
		f.which.IDs = append(f.which.IDs, id)
	}
	if f.which.Limit < 0 {
		return nil, usageError{fmt.Errorf("--limit %d: want a number from 0 on", f.which.Limit)}
	}
	if f.olderThan > 0 {
		f.which.Before = time.Now().Add(-f.olderThan)
	}
	return f.beside(cmd)
}

// stats prints the fates of the messages and the matches of the rules.
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

// statsJSON is the output of stats --json.
type statsJSON struct {
	Messages map[string]alerting.Tally `json:"messages"` // by topic filter
	Rules    map[string]uint64         `json:"rules"`    // matches of each
}

// letterJSON is a dead letter in the output of --json. A payload that is no text is in base64.
type letterJSON struct {
	ID         int64     `json:"id"`
	Filter     string    `json:"filter"`
	Topic      string    `json:"topic"`
	ReceivedAt time.Time `json:"receivedAt"`
	DiedAt     time.Time `json:"diedAt"`
	Tries      int       `json:"tries"`
	Retry      bool      `json:"retry"`
	Reason     string    `json:"reason"`
	Kept       string    `json:"kept,omitempty"`   // the reason why it was not taken in again
	Source     string    `json:"source,omitempty"` // the integration key, if ilert refused the event
	Payload    string    `json:"payload,omitempty"`
	Base64     []byte    `json:"payloadBase64,omitempty"`
}

// toJSON returns the JSON form of a letter.
func toJSON(l alerting.Letter) letterJSON {
	j := letterJSON{
		ID: l.ID, Filter: l.Filter, Topic: l.Topic, ReceivedAt: l.ReceivedAt.UTC(), DiedAt: l.DiedAt.UTC(),
		Tries: l.Tries, Retry: l.Retry, Reason: l.Reason, Kept: l.Kept,
	}
	if l.Kind != alerting.Unread {
		j.Source = l.Alert.Integration.String()
	}
	if utf8.Valid(l.Payload) {
		j.Payload = string(l.Payload)
	} else {
		j.Base64 = l.Payload
	}
	return j
}

// list prints the dead letters and the integration keys for which events wait.
func (f *storeFlags) list(cmd *cobra.Command, ids []string) error {
	s, err := f.open(cmd, ids)
	if err != nil {
		return err
	}
	defer s.Close()
	keys, err := s.WaitingKeys(cmd.Context(), f.which)
	if err != nil {
		return err
	}
	if f.json {
		err := f.pages(cmd.Context(), s, func(page []alerting.Letter) error { return linesOf(cmd.OutOrStdout(), page) })
		return errors.Join(err, keyLines(cmd.OutOrStdout(), keys))
	}
	var rows bytes.Buffer
	err = f.pages(cmd.Context(), s, func(page []alerting.Letter) error {
		for _, l := range page {
			_, _ = fmt.Fprintf(&rows, "%d\t%s\t%q\t%d\t%.100q%s\n", l.ID, l.DiedAt.Format(time.DateTime), l.Topic, l.Tries, l.Reason, stays(l.Kept))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return table(cmd.OutOrStdout(), "ID\tDIED\tTOPIC\tTRIES\tREASON", func(w io.Writer) {
		_, _ = rows.WriteTo(w)
		for _, k := range keys {
			_, _ = fmt.Fprintf(w, "%v\twaits\t%q\t%d\t%s\n", k.Key, k.Topic, k.Tries, waitsFor(k))
		}
	})
}

// pages calls do with one page of the chosen dead letters after the other: all of them may be
// more than memory holds.
func (f *storeFlags) pages(ctx context.Context, s *alerting.Engine, do func([]alerting.Letter) error) error {
	const lettersPerPage = 100
	which := f.which
	for left := f.which.Limit; ; {
		which.Limit = lettersPerPage
		if f.which.Limit > 0 {
			which.Limit = min(lettersPerPage, left)
		}
		page, err := s.DeadLetters(ctx, which)
		if err == nil {
			err = do(page)
		}
		if left -= len(page); err != nil || len(page) < lettersPerPage || left == 0 {
			return err
		}
		which.After = page[len(page)-1].ID
	}
}

// show prints whole dead letters.
func (f *storeFlags) show(cmd *cobra.Command, ids []string) error {
	if len(ids) == 0 {
		return usageError{errors.New("which? Name the IDs of dead letters, which store list shows")}
	}
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
		_, err := fmt.Fprintf(out, "ID:       %d\nFilter:   %s\nTopic:    %q\nReceived: %s\nDied:     %s\nTries:    %d\nReason:   %q%s\nPayload:  %q\n\n",
			l.ID, l.Filter, l.Topic, l.ReceivedAt.Format(time.RFC3339Nano), l.DiedAt.Format(time.RFC3339Nano), l.Tries, l.Reason, stays(l.Kept), l.Payload)
		if err != nil {
			return err
		}
	}
	return nil
}

// stays describes why a letter could not be taken in again, if somebody has tried.
func stays(kept string) string {
	if kept == "" {
		return ""
	}
	return fmt.Sprintf(", not taken in again: %.200q", kept)
}

// waitsFor describes the events that wait for an integration key of a message.
func waitsFor(k alerting.WaitingKey) string {
	why := "ilert did not take it"
	if k.Unproven {
		why = "ilert has never taken this integration key"
	}
	return fmt.Sprintf("%d events wait since %s: %s", k.Items, k.Since.Format(time.DateTime), why)
}

// keyJSON is an integration key for which events wait, in the output of --json.
type keyJSON struct {
	Key          string    `json:"key"`
	Topic        string    `json:"topic"` // the topic of one event
	Waiting      int       `json:"waiting"`
	WaitingSince time.Time `json:"waitingSince"`
	Tries        int       `json:"tries"`
	Unproven     bool      `json:"unproven"` // ilert has never taken it
}

// keyLines prints integration keys as lines of JSON.
func keyLines(w io.Writer, keys []alerting.WaitingKey) error {
	out := json.NewEncoder(w)
	for _, k := range keys {
		if err := out.Encode(keyJSON{k.Key.String(), k.Topic, k.Items, k.Since.UTC(), k.Tries, k.Unproven}); err != nil {
			return err
		}
	}
	return nil
}

// letters returns the chosen dead letters.
func (f *storeFlags) letters(cmd *cobra.Command, ids []string) ([]alerting.Letter, error) {
	s, err := f.open(cmd, ids)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.DeadLetters(cmd.Context(), f.which)
}

// linesOf prints letters as lines of JSON.
func linesOf(w io.Writer, letters []alerting.Letter) error {
	out := json.NewEncoder(w)
	for _, l := range letters {
		if err := out.Encode(toJSON(l)); err != nil {
			return err
		}
	}
	return nil
}

// retry lets the daemon take letters in again.
func (f *storeFlags) retry(cmd *cobra.Command, ids []string) error {
	return f.change(cmd, ids, "dead letters will be decided anew by the running daemon, and taken in again if that can be: store list says what stays",
		func(ctx context.Context, s *alerting.Engine) (n, waiting int64, err error) {
			n, err = s.AskToRetry(ctx, f.which)
			return n, 0, err
		})
}

// purge drops letters and waiting events.
func (f *storeFlags) purge(cmd *cobra.Command, ids []string) error {
	return f.change(cmd, ids, "dead letters purged", func(ctx context.Context, s *alerting.Engine) (n, waiting int64, err error) {
		purged, err := s.Purge(ctx, f.which)
		return purged.Letters, purged.Waiting, err
	})
}

// change changes the chosen dead letters and waiting events, and prints how many.
func (f *storeFlags) change(cmd *cobra.Command, ids []string, done string, do func(context.Context, *alerting.Engine) (n, waiting int64, err error)) error {
	w := f.which
	chosen := f.all || len(ids) > 0 || w.Filter+w.Topic+w.Reason != "" || w.Limit > 0 || f.olderThan > 0
	if !chosen {
		return usageError{errors.New("which? Name IDs, choose by flags, or say --all")}
	}
	s, err := f.open(cmd, ids)
	if err != nil {
		return err
	}
	defer s.Close()
	n, waiting, err := do(cmd.Context(), s)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]int64{"letters": n, "waiting": waiting})
	}
	if _, err = fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", n, done); err == nil && waiting > 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d waiting events purged\n", waiting)
	}
	return err
}

// table prints rows with aligned columns.
func table(out io.Writer, head string, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, head) // Flush returns all errors
	rows(w)
	return w.Flush()
}
