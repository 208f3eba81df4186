package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/redact"
)

// onceFlags are those of the two commands that tell ilert one thing and end.
type onceFlags struct {
	redact.All
	*globals
	key, ilertURL, heartbeatURL string
}

func (f *onceFlags) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&f.key, "integration_key", "k", "", "integration key (default: "+keyVariable+")")
	flags.StringVar(&f.ilertURL, "ilert_url", ilert.DefaultURL, "ilert's API")
	flags.StringVar(&f.heartbeatURL, "heartbeat_url", ilert.DefaultHeartbeatURL, "where ilert takes heartbeats")
}

// client returns a client and the key, once the flags are known.
func (f *onceFlags) client() (*ilert.Client, string, error) {
	key, err := mqttconn.Secret(f.env, keyVariable)
	if err != nil {
		return nil, "", err
	}
	if key = cmp.Or(f.key, key); key == "" {
		return nil, "", fmt.Errorf("no integration key: set %s or --integration_key", keyVariable)
	}
	client, err := ilert.New(f.ilertURL, f.heartbeatURL, 1)
	return client, key, err
}

func eventCommand(g *globals) *cobra.Command {
	f := onceFlags{globals: g}
	var e ilert.Event
	var eventType, image, link string
	cmd := &cobra.Command{
		Use:     "event",
		Short:   "Tell ilert one event",
		Long:    "Tell ilert one event. It is tried once: the exit code is 0 when ilert has taken it.",
		Example: `  mps-ilert event -t ALERT -s 'disk full' -i disk-1 -o LOW`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.EventType = ilert.Type(eventType)
			switch {
			case e.EventType != ilert.Alert && e.EventType != ilert.Accept && e.EventType != ilert.Resolve:
				return fmt.Errorf("--event_type %q: want ALERT, ACCEPT or RESOLVE", eventType)
			case e.Priority != "" && e.Priority != "HIGH" && e.Priority != "LOW":
				return fmt.Errorf("--priority %q: want HIGH or LOW", e.Priority)
			case e.Summary == "":
				return errors.New("--summary is required")
			}
			client, key, err := f.client()
			if err != nil {
				return err
			}
			defer client.CloseIdle()
			e.IntegrationKey = key
			e.Images, e.Links = listOf("src", image), listOf("href", link)
			if err := client.Send(cmd.Context(), ilert.EventsPath, e, ""); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "ilert has taken the event")
			return err
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	flags.StringVarP(&eventType, "event_type", "t", "", "ALERT, ACCEPT or RESOLVE (required)")
	flags.StringVarP(&e.Summary, "summary", "s", "", "what has happened (required)")
	flags.StringVarP(&e.AlertKey, "alert_key", "i", "", "which alert it belongs to")
	flags.StringVarP(&e.Priority, "priority", "o", "", "HIGH or LOW")
	flags.StringVarP(&e.Details, "details", "d", "", "more of it")
	flags.StringVarP(&image, "image", "g", "", "URL of an image")
	flags.StringVarP(&link, "link", "l", "", "URL of a page")
	completes(cmd.RegisterFlagCompletionFunc("event_type", cobra.FixedCompletions([]string{"ALERT", "ACCEPT", "RESOLVE"}, cobra.ShellCompDirectiveNoFileComp)))
	completes(cmd.RegisterFlagCompletionFunc("priority", cobra.FixedCompletions([]string{"HIGH", "LOW"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// listOf is a list of one object with one text, as ilert has images and links; nil if
// there is no text.
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

func heartbeatCommand(g *globals) *cobra.Command {
	f := onceFlags{globals: g}
	cmd := &cobra.Command{
		Use:     "heartbeat",
		Short:   "Ping a heartbeat of ilert once",
		Example: `  mps-ilert heartbeat -k il1hbt123`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, key, err := f.client()
			if err != nil {
				return err
			}
			defer client.CloseIdle()
			if err := client.Ping(cmd.Context(), key); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "ilert has taken the heartbeat")
			return err
		},
	}
	f.add(cmd.Flags())
	return cmd
}
