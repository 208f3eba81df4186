package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// alertsCommand returns the command that lists the alerts.
func (f *storeFlags) alertsCommand() *cobra.Command {
	var rule string
	var limit int
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "List the alerts that are open or wait to be sent, in the order of their keys",
		Long: `List the alerts that are open or wait to be sent, in the order of their keys. SINCE is the
time at which the alert was sent last or, if it waits, since when. MEMBERS counts the
members of its window, or the alerts that it stands for, when there were too many to send
each. SOURCE is the alert source: the variable or file of its integration key, as the rules
name it. An alert is refused if ilert called it invalid: "store list" has the dead letter. One
that waits while another is open depends on that by "unless_open" of its rule, and one that is
silenced by "silence add".`,
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

// alerts prints the alerts.
func (f *storeFlags) alerts(cmd *cobra.Command, rule string, limit int) error {
	s, err := f.open(cmd, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	maxRows := -1 // any number, to SQLite
	if limit > 0 {
		maxRows = limit + 1
	}
	all, err := s.Alerts(cmd.Context(), time.Now(), rule, maxRows)
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
	if err == nil && more { // not in the output that a program reads
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "there are more than these %d: --limit 0 lists all\n", limit)
	}
	return err
}

// alertTable prints alerts as a table.
func alertTable(out io.Writer, all []alerting.AlertState) error {
	return table(out, "KEY\tRULE\tPRIORITY\tSTATE\tSINCE\tMEMBERS\tSOURCE", func(w io.Writer) {
		for _, a := range all {
			since, members := a.ToldAt, "-"
			if !a.Since.IsZero() && a.State != alerting.StateOpen && a.State != alerting.StateAccepted {
				since = a.Since
			}
			if a.Members > 0 {
				members = strconv.Itoa(a.Members)
			}
			_, _ = fmt.Fprintf(w, "%.200q\t%s\t%s\t%s\t%s\t%s\t%s\n",
				a.Key.Alert, orDash(a.Rule), orDash(a.Priority), describeState(a), since.Format(time.DateTime), members, a.Key.Integration.String())
		}
	})
}

// describeState describes the state of an alert.
func describeState(a alerting.AlertState) string {
	switch {
	case a.State == alerting.StateHeld:
		return fmt.Sprintf("waits while %.200s is open", ilert.Line(a.HeldBy))
	case a.Silence != nil:
		text := fmt.Sprintf("silenced until %s by %d", a.Until.Format(time.DateTime), a.Silence.ID)
		if a.Silence.Comment != "" {
			text += ": " + ilert.Line(a.Silence.Comment)
		}
		return text
	case !a.EndHeldUntil.IsZero():
		return fmt.Sprintf("%s, its end is held until %s", a.State, a.EndHeldUntil.Format(time.DateTime))
	case a.State == alerting.StateDelayed && a.Until.IsZero():
		return "waits for its time, which counts only while mps-ilert listens"
	case a.State == alerting.StateDelayed:
		return "waits for its time until " + a.Until.Format(time.DateTime)
	case a.Tries > 0 && (a.State == alerting.StateWaiting || a.State == alerting.StateEnding):
		return fmt.Sprintf("%s, tried %d times, again at %s", a.State, a.Tries, a.Until.Format(time.DateTime))
	default:
		return string(a.State)
	}
}

// orDash returns "-" for an empty text.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// alertJSON is an alert in the output of --json.
type alertJSON struct {
	Key          string         `json:"key"`
	Rule         string         `json:"rule,omitempty"`
	Source       string         `json:"source"`
	Priority     string         `json:"priority,omitempty"`
	State        alerting.State `json:"state"`
	ToldAt       time.Time      `json:"toldAt,omitzero"` // the last time that it was sent
	WaitingSince time.Time      `json:"waitingSince,omitzero"`
	WaitingUntil time.Time      `json:"waitingUntil,omitzero"`
	EndHeldUntil time.Time      `json:"heldUntil,omitzero"` // the time at which the alert ends, unless it is raised again before
	Tries        int            `json:"tries,omitempty"`
	Members      int            `json:"members,omitempty"`
	Storm        bool           `json:"storm,omitempty"`   // its members are alerts of the rule
	HeldBy       string         `json:"heldBy,omitempty"`  // the key of the alert that holds it, in lower case
	Silence      int64          `json:"silence,omitempty"` // the ID of the silence that holds it until waitingUntil
}

// alertLines prints alerts as lines of JSON.
func alertLines(out io.Writer, all []alerting.AlertState) error {
	encoder := json.NewEncoder(out)
	for _, a := range all {
		line := alertJSON{
			Key: a.Key.Alert, Rule: a.Rule, Source: a.Key.Integration.String(), Priority: a.Priority, State: a.State,
			ToldAt: a.ToldAt.UTC(), WaitingSince: a.Since.UTC(), WaitingUntil: a.Until.UTC(), EndHeldUntil: a.EndHeldUntil.UTC(), Tries: a.Tries, Members: a.Members, Storm: a.Storm, HeldBy: a.HeldBy,
		}
		if a.Silence != nil {
			line.Silence = a.Silence.ID
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
