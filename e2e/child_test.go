package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

// childVariable names what this very program is to do in place of the tests: some publishers need a
// process of their own, to be killed or to have their memory measured.
const childVariable = "E2E_CHILD"

var children = map[string]func() error{
	"publish":     publishNumbers,
	"fill memory": fillMemory,
}

// startChild starts this program as that child, with the environment env alone ("K=V").
func startChild(t *testing.T, name string, env ...string) *command {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return startProcess(t, exec.Command(program), append(env, childVariable+"="+name))
}

// startBackgroundChild does the same for a child that would take the processor from the other tests.
func startBackgroundChild(t *testing.T, name string, env ...string) *command {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return startProcess(t, exec.Command("nice", "-n", "19", program), append(env, childVariable+"="+name))
}

// openFromEnv makes a publisher as a server does that uses a spool.
func openFromEnv(change func(*publisher.Config)) (*publisher.Publisher, error) {
	config, err := publisher.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	if config.Spool, err = spool.FromEnv(); err != nil {
		return nil, err
	}
	change(&config)
	return publisher.New(config)
}

// shutDown delivers what is left and tells the last counters.
func shutDown(pub *publisher.Publisher) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := pub.Shutdown(ctx)
	tell("stats", pub.Stats())
	return err
}

// tell writes a line for the test that has started this child.
func tell(what string, value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err) // it is of our own making
	}
	fmt.Println(what, string(line))
}

// told returns what a child has told under that name so far.
func told[T any](t *testing.T, child *command, what string) (all []T) {
	t.Helper()
	for line := range strings.Lines(child.Output()) {
		text, ok := strings.CutPrefix(line, what+" ")
		if !ok || !strings.HasSuffix(text, "\n") { // the last line of a killed child may be cut off
			continue
		}
		var value T
		require.NoError(t, json.Unmarshal([]byte(text), &value), line)
		all = append(all, value)
	}
	return all
}

// lastTold waits for the child's clean exit, and returns the counters that it told in the end.
func lastTold(t *testing.T, child *command) publisher.Stats {
	t.Helper()
	require.Zero(t, child.ExitCode())
	all := told[publisher.Stats](t, child, "stats")
	require.Len(t, all, 1)
	s := all[0]
	assert.Equal(t, s.Accepted, s.Acknowledged+s.Dropped, "%+v", s)
	return s
}
