package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/redact"
)

// onceFlags are the flags of the two commands that send one request to ilert.
type onceFlags struct {
	redact.All
	*globals
	key, ilertURL, heartbeatURL string
}

// add registers the flags.
func (f *onceFlags) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&f.key, "integration_key", "k", "", "integration key (default: "+keyVariable+")")
	flags.StringVar(&f.ilertURL, "ilert_url", ilert.DefaultURL, "ilert's API")
	flags.StringVar(&f.heartbeatURL, "heartbeat_url", ilert.DefaultHeartbeatURL, "base URL of ilert's heartbeats")
}

// client returns a client of ilert and the integration key.
func (f *onceFlags) client() (*ilert.Client, string, error) {
	key, err := mqttconn.Secret(f.env, keyVariable)
	if err != nil {
		return nil, "", err
	}
	given := keyVariable
	if f.key != "" {
		given, key = "--integration_key", f.key
	}
	if key == "" {
		return nil, "", usageError{fmt.Errorf("no integration key: set %s or --integration_key", keyVariable)}
	}
	if err := cmp.Or(checkKey(given, key), urlFlag("ilert_url", f.ilertURL), urlFlag("heartbeat_url", f.heartbeatURL)); err != nil {
		return nil, "", err
	}
	client, err := ilert.New(f.ilertURL, f.heartbeatURL, 1)
	if err != nil {
		return nil, "", err
	}
	client.UserAgent = userAgent()
	return client, key, nil
}

// urlFlag returns an error if the value of a flag cannot be the address of an API.
func urlFlag(name, address string) error {
	if err := ilert.CheckURL(address); err != nil {
		return usageError{fmt.Errorf("--%s: %w", name, err)}
	}
	return nil
}

// eventCommand returns the command that sends an event.
func eventCommand(g *globals) *cobra.Command {
	f := onceFlags{globals: g}
	var e ilert.Event
	var eventType, alertKey, priority, details, image, link string
	cmd := &cobra.Command{
		Use:     "event",
		Short:   "Send one event to ilert",
		Long:    "Send one event to ilert, once. The exit code is 0, and nothing is printed, if ilert has accepted\nit; 2 if a flag is missing or wrong, and 1 if ilert has not accepted it.",
		Example: `  mps-ilert event -t ALERT -s 'disk full' -i disk-1 -o LOW`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.EventType = ilert.Type(eventType)
			switch {
			case eventType == "":
				return usageError{fmt.Errorf("--event_type is required: %s", eventTypes)}
			case !e.EventType.Valid():
				return usageError{fmt.Errorf("--event_type %q: want %s", eventType, eventTypes)}
			case e.Summary == "":
				return usageError{errors.New("--summary is required")}
			}
			client, key, err := f.client()
			if err != nil {
				return err
			}
			defer client.CloseIdle()
			e.IntegrationKey = key
			for _, o := range e.SetOptional(map[string]json.RawMessage{
				"alertKey": quoted(alertKey), "priority": quoted(priority), "details": quoted(details),
				"images": listOf("src", image), "links": listOf("href", link),
			}) {
				f.logger(cmd).Warn("an optional flag is left out: ilert would not take it", slog.String("flag", "--"+o.Field), slog.String("reason", o.Reason))
			}
			return client.Send(cmd.Context(), ilert.EventsPath, e, "")
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	flags.StringVarP(&eventType, "event_type", "t", "", eventTypes+" (required)")
	flags.StringVarP(&e.Summary, "summary", "s", "", "one line about what has happened (required)")
	flags.StringVarP(&alertKey, "alert_key", "i", "", "key of the alert that the event belongs to")
	flags.StringVarP(&priority, "priority", "o", "", "HIGH or LOW; anything else is left out, with a warning")
	flags.StringVarP(&details, "details", "d", "", "further text")
	flags.StringVarP(&image, "image", "g", "", "URL of an image")
	flags.StringVarP(&link, "link", "l", "", "URL of a page")
	completes(cmd.RegisterFlagCompletionFunc("event_type", cobra.FixedCompletions([]string{"ALERT", "ACCEPT", "RESOLVE", "COMMENT"}, cobra.ShellCompDirectiveNoFileComp)))
	completes(cmd.RegisterFlagCompletionFunc("priority", cobra.FixedCompletions([]string{"HIGH", "LOW"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// eventTypes lists ilert's event types in error texts and help.
const eventTypes = "ALERT, ACCEPT, RESOLVE or COMMENT"

// quoted returns a text as JSON.
func quoted(text string) json.RawMessage {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // texts cannot fail
	}
	return encoded
}

// listOf returns the JSON of a list with one object with one text, as ilert's images and links
// are, or nil if the text is empty.
func listOf(name, text string) json.RawMessage {
	if text == "" {
		return nil
	}
	list, err := json.Marshal([]map[string]string{{name: text}})
	if err != nil {
		panic(err) // strings cannot fail
	}
	return list
}

// heartbeatCommand returns the command that pings a heartbeat.
func heartbeatCommand(g *globals) *cobra.Command {
	f := onceFlags{globals: g}
	cmd := &cobra.Command{
		Use:     "heartbeat",
		Short:   "Ping a heartbeat of ilert once",
		Example: `  mps-ilert heartbeat -k il1hbt123`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, key, err := f.client()
			if err != nil {
				return err
			}
			defer client.CloseIdle()
			return client.Ping(cmd.Context(), key)
		},
	}
	f.add(cmd.Flags())
	return cmd
}
