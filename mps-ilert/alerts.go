package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/store"
)

// alertsCommand lists the alerts.
func (f *storeFlags) alertsCommand() *cobra.Command {
	var rule string
	var limit int
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "List the alerts that are open or wait to be told, in the order of their keys",
		Long: `List the alerts that are open or wait to be told, in the order of their keys. SINCE is
when ilert was told last, or, of what it was not told yet, since when that waits. MEMBERS
are those of a window, or the alerts that one speaks for when there were too many to be
told one by one. SOURCE is the alert source: where its integration key stands, as the rules say it.
An alert is refused when ilert called what it was told invalid: "store list" has the dead letter.`,
		Example: `  mps-ilert store alerts --rule silent
  mps-ilert store alerts --json --limit 0 | jq -r 'select(.state == "waits").key'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.alerts(cmd, rule, limit) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&rule, "rule", "", "of this rule")
	cmd.Flags().IntVar(&limit, "limit", 100, "the first so many; 0 is all")
	return cmd
}

func (f *storeFlags) alerts(cmd *cobra.Command, rule string, limit int) error {
	s, err := f.open(cmd, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	most := -1 // any number, to SQLite
	if limit > 0 {
		most = limit + 1
	}
	all, err := s.Alerts(cmd.Context(), time.Now(), rule, most)
	if err != nil {
		return err
	}
	more := limit > 0 && len(all) > limit
	if more {
		all = all[:limit]
	}
	if f.json {
		err = alertLines(cmd.OutOrStdout(), all)
	} else {
		err = alertTable(cmd.OutOrStdout(), all)
	}
	if err == nil && more { // beside what a program reads
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "there are more than these %d: --limit 0 lists all\n", limit)
	}
	return err
}

func alertTable(out io.Writer, all []store.Alert) error {
	return table(out, "KEY\tRULE\tPRIORITY\tSTATE\tSINCE\tMEMBERS\tSOURCE", func(w io.Writer) {
		for _, a := range all {
			since, members := a.ToldAt, "-"
			if !a.Since.IsZero() && a.State != store.IsOpen && a.State != store.Accepted {
				since = a.Since
			}
			if a.Members > 0 {
				members = strconv.Itoa(a.Members)
			}
			_, _ = fmt.Fprintf(w, "%.200q\t%s\t%s\t%s\t%s\t%s\t%s\n",
				a.Key.Alert, orDash(a.Rule), orDash(a.Priority), howItStands(a), since.Format(time.DateTime), members, a.Key.Integration.String())
		}
	})
}

// howItStands is the state in words.
func howItStands(a store.Alert) string {
	switch {
	case a.State == store.Delayed:
		return "waits for its time until " + a.Until.Format(time.DateTime)
	case a.Tries > 0 && (a.State == store.Waits || a.State == store.Ending):
		return fmt.Sprintf("%s, tried %d times, again at %s", a.State, a.Tries, a.Until.Format(time.DateTime))
	default:
		return string(a.State)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// alertJSON is an alert as --json writes it.
type alertJSON struct {
	Key          string      `json:"key"`
	Rule         string      `json:"rule,omitempty"`
	Source       string      `json:"source"`
	Priority     string      `json:"priority,omitempty"`
	State        store.State `json:"state"`
	ToldAt       time.Time   `json:"toldAt,omitzero"` // the last time
	WaitingSince time.Time   `json:"waitingSince,omitzero"`
	WaitingUntil time.Time   `json:"waitingUntil,omitzero"`
	Tries        int         `json:"tries,omitempty"`
	Members      int         `json:"members,omitempty"`
	Storm        bool        `json:"storm,omitempty"` // the members are alerts of the rule
}

func alertLines(out io.Writer, all []store.Alert) error {
	encoder := json.NewEncoder(out)
	for _, a := range all {
		line := alertJSON{
			Key: a.Key.Alert, Rule: a.Rule, Source: a.Key.Integration.String(), Priority: a.Priority, State: a.State,
			ToldAt: a.ToldAt.UTC(), WaitingSince: a.Since.UTC(), WaitingUntil: a.Until.UTC(), Tries: a.Tries, Members: a.Members, Storm: a.Storm,
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
