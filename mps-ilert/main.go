// Command mps-ilert listens to the events of Open AMT servers, or to any messages, on
// MQTT and keeps ilert true to them; nothing that was received is lost in between. It
// takes the command lines of ilert's own ilagent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mps-ilert:", err)
		os.Exit(exitCode(err))
	}
}

// usageError is the error of a wrong command line.
type usageError struct{ error }

// Unwrap returns the error without the kind.
func (e usageError) Unwrap() error { return e.error }

// exitCode returns 2 for a wrong command line, as ilagent does, and 1 for every other error.
func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

// globals are the flags that may stand before a command as well as behind it.
type globals struct {
	env     func(string) string
	file    string
	verbose int
}

// run runs a command until it is done or ctx ends. Logs go to stderr.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	g := &globals{env: env}
	root := &cobra.Command{
		Use:           "mps-ilert",
		Short:         "Keep ilert true to the events of Open AMT servers",
		Version:       version(),
		SilenceUsage:  true, // an error is one line; --help shows the usage
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd, env, g.logger(cmd)); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&g.file, "file", "f", "./mps-ilert.db", "SQLite file that holds the state")
	flags.CountVarP(&g.verbose, "verbose", "v", "-vvv logs the messages one by one; with check, -v shows the messages of tests that fail")
	group(root)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{wrongFlag(err)} })
	root.AddCommand(daemonCommand(g), eventCommand(g), heartbeatCommand(g), storeCommand(g), silenceCommand(g), checkCommand(g), rulesCommand(), versionCommand())
	// ilagent's flags have underscores; people who know other commands type hyphens.
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "-", "_"))
	})
	for _, cmd := range root.Commands() {
		nameVariables(cmd.Flags())
		nameVariables(cmd.PersistentFlags())
	}
	nameVariables(flags)
	showWhatHasEffect(root)
	return root.ExecuteContext(ctx)
}

// showWhatHasEffect hides the global flags that have no effect on a command from its help. Every
// command accepts them, because command lines of ilagent contain them.
func showWhatHasEffect(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		first := cmd
		for first.HasParent() && first.Parent() != root {
			first = first.Parent()
		}
		for name, commands := range map[string][]string{"file": {"daemon", "store", "silence"}, "verbose": {"daemon", "check"}} {
			root.PersistentFlags().Lookup(name).Hidden = first != root && !slices.Contains(commands, first.Name())
		}
		help(cmd, args)
	})
}

// logger returns the logger of a command.
func (g *globals) logger(cmd *cobra.Command) *slog.Logger {
	level := slog.LevelInfo
	if g.verbose > 2 { // ilagent's examples have -vv, and nobody wants a line for each message
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
}

// version returns the version of the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// userAgent returns the User-Agent of requests to ilert.
func userAgent() string { return "mps-ilert/" + strings.Trim(version(), "()") }
