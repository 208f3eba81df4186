// Command mps-sim is a simulated MPS to look at: an MQTT broker, devices that can
// be called by MPS's REST API, the middleware and the publisher that make events
// of the calls, the consumer that makes alerts of the events, and a stand-in for
// ilert, with a page that shows them all.
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
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mps-sim:", err)
		os.Exit(1)
	}
}

// run is the command but for the process: it returns when ctx ends. Logs go to
// stderr.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, env, stdout)
	if err != nil || o == nil { // nil: --help
		return err
	}
	s, err := newSimulator(o, stderr)
	if err != nil {
		return err
	}
	return s.run(ctx, stdout)
}
