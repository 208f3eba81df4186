// Command mps-sim simulates an installation of Open AMT, from a call of MPS's REST API to an alert:
// simulated devices, the middleware and the publisher that make events from the calls, an MQTT
// broker, the consumer that makes alerts from the events, and a stand-in for ilert. Its page shows
// all of them at work.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mps-sim:", err)
		os.Exit(1)
	}
}

// run runs the command until ctx ends, and writes logs to stderr. Tests call it in their own process.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, env, stdout)
	if err != nil || o == nil { // nil: --help or --version
		return err
	}
	s, err := newSimulator(o, stderr)
	if err != nil {
		return err
	}
	return s.run(ctx, stdout)
}
