// Command mps-ilert listens to the events of Open AMT servers on MQTT and keeps
// ilert true to them: a failed call raises an alert, the same call's success
// resolves it, and nothing that was received is lost in between.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mps-ilert:", err)
		os.Exit(1)
	}
}

// run is the command but for the process: it returns when ctx ends or the work is
// done. Logs go to stderr.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "mps-ilert",
		Short:         "Keep ilert true to the events of Open AMT servers",
		Version:       version(),
		SilenceUsage:  true, // a mistake is named in one line; --help shows the rest
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(daemonCommand(env))
	return root.ExecuteContext(ctx)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
