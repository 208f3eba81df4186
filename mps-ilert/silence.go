package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// silenceFlags are the flags of the commands about silences.
type silenceFlags struct {
	*globals
	json                   bool
	match, length, comment string
	all                    bool
}

// silenceCommand returns the command that adds, lists and removes silences.
func silenceCommand(g *globals) *cobra.Command {
	f := &silenceFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "silence",
		Short: "Do not send alerts with some keys for a time, for instance during work on a site",
		Long: `Add, list and remove silences in the store (--file), while the daemon runs or not. A daemon
that runs follows them within two seconds, another one as soon as it starts.

While a silence is active, the daemon sends no alert whose key matches it: no new one, and no
news of one that ilert knows. It still sends that an alert has ended, and that a person looks
after one that ilert knows. What is still true when the silence ends is sent then.
"store alerts" shows the alerts that are silenced.`,
		Example: `  mps-ilert silence add --match 'device/berlin-*' --for 2h --comment 'new switches'
  mps-ilert silence list
  mps-ilert silence remove 3`,
	}
	group(cmd)
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "write JSON, a line each")
	add := &cobra.Command{
		Use: "add", Short: "Add a silence, and print its ID", Args: noArguments, RunE: f.add,
		Long: `Add a silence, and print its ID. In --match a * stands for any characters, and everything
else for itself; case does not matter, as in alert keys. A silence is for the alerts of all
integration keys. It begins at once. At most 1,000 silences can be active.`,
	}
	flags := add.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.match, "match", "", "alert key, in which * stands for any characters")
	flags.StringVar(&f.length, "for", "", "how long, such as 90s, 10m, 2h or 7d")
	flags.StringVar(&f.comment, "comment", "", "why: people see it in the lists")
	flags.BoolVar(&f.all, "all", false, "instead of --match: all alerts, also about the MQTT broker and the servers")
	cmd.AddCommand(add,
		&cobra.Command{Use: "list", Short: "List the silences, also those that ended within the last day", Args: noArguments, RunE: f.list},
		&cobra.Command{Use: "remove ID...", Short: "End silences now", RunE: f.remove})
	return cmd
}

// beside opens the store beside the daemon.
func (g *globals) beside(cmd *cobra.Command) (*alerting.Engine, error) {
	s, err := sqlite.OpenBeside(cmd.Context(), g.file)
	if err != nil {
		return nil, err
	}
	return alerting.Beside(s), nil
}

// maxWords limits the lengths of patterns and comments, in bytes.
const maxWords = 1000

// silence returns the silence that the flags describe.
func (f *silenceFlags) silence(now time.Time) (s alerting.Silence, err error) {
	switch pattern := strings.TrimSpace(f.match); {
	case f.all && pattern != "":
		return s, errors.New("--match and --all: want one of them")
	case f.all:
		f.match = "*"
	case pattern == "":
		return s, errors.New("--match: want the key of an alert, in which * stands for any characters, such as 'device/*', or --all for all alerts")
	case strings.Trim(pattern, "*") == "":
		return s, fmt.Errorf("--match %.80q matches all alerts, also about the MQTT broker and the servers: if you mean that, say --all instead", f.match)
	case len(pattern) > maxWords:
		return s, fmt.Errorf("--match: %d bytes are too many: want at most %d", len(pattern), maxWords)
	}
	if len(f.comment) > maxWords {
		return s, fmt.Errorf("--comment: %d bytes are too many: want at most %d", len(f.comment), maxWords)
	}
	if f.length == "" {
		return s, errors.New("--for: want how long the silence lasts, such as 90s, 10m, 2h or 7d")
	}
	length, err := rulefile.ParseDuration(f.length)
	if err != nil {
		return s, fmt.Errorf("--for %w", err)
	}
	now = now.Truncate(time.Millisecond)
	return alerting.Silence{Pattern: strings.TrimSpace(f.match), Comment: f.comment, Creator: operator(), CreatedAt: now, EndsAt: now.Add(length)}, nil
}

// operator returns the name of the user of the operating system.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// add adds a silence.
func (f *silenceFlags) add(cmd *cobra.Command, _ []string) error {
	silence, err := f.silence(time.Now())
	if err != nil {
		return usageError{err}
	}
	s, err := f.beside(cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	if silence.ID, err = s.AddSilence(cmd.Context(), silence); err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(silenceLine(silence, silence.CreatedAt))
	}
	if _, err = fmt.Fprintln(cmd.OutOrStdout(), silence.ID); err != nil { // the other words are for no program
		return err
	}
	open, err := s.Alerts(cmd.Context(), time.Now(), "", -1)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(a alerting.AlertState) bool { return a.Ending || !silence.Matches(a.Key.Alert) })
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "alerts that match %q are not sent until %s; open alerts that match now: %d; to end that: mps-ilert silence remove %d\n",
		silence.Pattern, silence.EndsAt.Format(time.DateTime), len(open), silence.ID)
	return err
}

// silenceJSON is a silence in the output of --json.
type silenceJSON struct {
	ID        int64     `json:"id"`
	Match     string    `json:"match"`
	Active    bool      `json:"active"`
	EndsAt    time.Time `json:"endsAt"` // or ended
	CreatedAt time.Time `json:"createdAt"`
	Creator   string    `json:"creator"`
	Comment   string    `json:"comment,omitempty"`
}

// silenceLine returns the JSON form of a silence.
func silenceLine(s alerting.Silence, now time.Time) silenceJSON {
	return silenceJSON{s.ID, s.Pattern, s.EndsAt.After(now), s.EndsAt.UTC(), s.CreatedAt.UTC(), s.Creator, s.Comment}
}

// list prints the silences.
func (f *silenceFlags) list(cmd *cobra.Command, _ []string) error {
	s, err := f.beside(cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Silences(cmd.Context())
	if err != nil {
		return err
	}
	now := time.Now()
	if f.json {
		out := json.NewEncoder(cmd.OutOrStdout())
		for _, one := range all {
			if err := out.Encode(silenceLine(one, now)); err != nil {
				return err
			}
		}
		return nil
	}
	return table(cmd.OutOrStdout(), "ID\tMATCH\tSTATE\tBY\tSINCE\tCOMMENT", func(w io.Writer) {
		for _, one := range all {
			state := "ended "
			if one.EndsAt.After(now) {
				state = "until "
			}
			_, _ = fmt.Fprintf(w, "%d\t%q\t%s%s\t%s\t%s\t%s\n", one.ID, one.Pattern, state, one.EndsAt.Format(time.DateTime),
				ilert.Line(one.Creator), one.CreatedAt.Format(time.DateTime), orDash(ilert.Line(one.Comment)))
		}
	})
}

// remove ends silences.
func (f *silenceFlags) remove(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("which? Name the IDs of silences, which silence list shows")}
	}
	var ids []int64
	for _, text := range args {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%q is no ID of a silence: want a number, which silence list shows", text)}
		}
		ids = append(ids, id)
	}
	s, err := f.beside(cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	unknown, err := s.RemoveSilences(cmd.Context(), time.Now(), ids)
	for _, id := range ids {
		if err == nil && !slices.Contains(unknown, id) {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "silence %d has ended\n", id)
		}
	}
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("no active silence has the ID %s: silence list shows them", strings.Trim(fmt.Sprint(unknown), "[]"))
	}
	return err
}
