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

// childVariable is the environment variable with the name of a child: the test program then runs
// that child instead of the tests. Some publishers need their own process, which a test kills or
// whose memory it measures.
const childVariable = "E2E_CHILD"

var children = map[string]func() error{
	"publish":     publishNumbers,
	"fill memory": fillMemory,
}

// startChild starts this program as the named child, with only the environment env ("K=V").
func startChild(t *testing.T, name string, env ...string) *command {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return startProcess(t, exec.Command(program), append(env, childVariable+"="+name))
}

// startBackgroundChild starts a child like startChild, at a low priority, because it would take the
// processor from the other tests.
func startBackgroundChild(t *testing.T, name string, env ...string) *command {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return startProcess(t, exec.Command("nice", "-n", "19", program), append(env, childVariable+"="+name))
}

// openFromEnv returns a publisher as a server with a spool makes it.
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

// shutDown shuts a publisher down and reports its final counters.
func shutDown(pub *publisher.Publisher) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := pub.Shutdown(ctx)
	report("stats", pub.Stats())
	return err
}

// report writes a line for the test that has started this child.
func report(what string, value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err) // the types of this package have a JSON form
	}
	fmt.Println(what, string(line))
}

// reported returns the values that a child has reported under a name so far.
func reported[T any](t *testing.T, child *command, what string) (all []T) {
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

// finalStats waits for the child's clean exit, and returns the counters that it reported last.
func finalStats(t *testing.T, child *command) publisher.Stats {
	t.Helper()
	require.Zero(t, child.ExitCode())
	all := reported[publisher.Stats](t, child, "stats")
	require.Len(t, all, 1)
	s := all[0]
	assert.Equal(t, s.Accepted, s.Acknowledged+s.Dropped, "%+v", s)
	return s
}
