package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/alerting"
)

// closeCommand returns the command that ends an alert by hand.
func (f *storeFlags) closeCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "close KEY",
		Short: "End an alert by hand",
		Long: `End an alert by hand, as if its rule had ended it: ilert is sent its end, if ilert knows the
alert, and the window of its rule is emptied. It begins again when a message raises it again.
A daemon that runs ends it within two seconds, another one as soon as it starts. To see no
alerts with a key for a time, use "silence add".`,
		Example: `  mps-ilert store close device/4c4c4544-0051
  mps-ilert store close server/mps-1 --source env:TEAM_KEY`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.close(cmd, args, source) },
	}
	cmd.Flags().StringVar(&source, "source", "", "alert source, as store alerts shows it; only needed if alerts of several have the key")
	return cmd
}

// close asks the daemon to end an alert.
func (f *storeFlags) close(cmd *cobra.Command, args []string, source string) error {
	if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
		return usageError{errors.New("which? Name the key of one alert, in quotes if it has blanks; store alerts shows the keys")}
	}
	s, err := f.open(cmd, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	found, err := s.AlertsWithKey(cmd.Context(), time.Now(), args[0])
	if err != nil {
		return err
	}
	a, err := toClose(found, args[0], source)
	if err != nil {
		return err
	}
	if err := s.AskToClose(cmd.Context(), a.Key, operator()); err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"key": a.Key.Alert, "source": a.Key.Integration.String()})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the daemon ends %.200q of %s within two seconds or, if it does not run, when it starts\n", a.Key.Alert, a.Key.Integration)
	return err
}

// toClose returns the one of some alerts with a key that can be closed.
func toClose(found []alerting.AlertState, key, source string) (a alerting.AlertState, err error) {
	found = slices.DeleteFunc(found, func(a alerting.AlertState) bool {
		return a.Ending || source != "" && a.Key.Integration.String() != source
	})
	switch {
	case len(found) == 0 && source != "":
		return a, fmt.Errorf("no alert with the key %.200q of the source %s is open: store alerts shows those that are", key, source)
	case len(found) == 0:
		return a, fmt.Errorf("no alert with the key %.200q is open: store alerts shows those that are", key)
	case len(found) > 1:
		var sources []string
		for _, a := range found {
			sources = append(sources, a.Key.Integration.String())
		}
		return a, fmt.Errorf("alerts with the key %.200q of several sources are open: choose by --source one of %s", key, strings.Join(sources, ", "))
	case found[0].Storm:
		return a, fmt.Errorf("%.200q stands for many alerts of rule %s and ends with the last of them: close these, which store alerts --rule shows", key, found[0].Rule)
	}
	return found[0], nil
}
