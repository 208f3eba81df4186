package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// commandDir is the folder of the commands that build compiles, for one run of the tests.
	commandDir string
	builds     sync.Map // name of a command: func() (path string, err error)
)

// build compiles one of the repository's commands with the race detector, once for each command, and
// returns its path.
func build(name string) (path string, err error) {
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		path := filepath.Join(commandDir, name)
		cmd := exec.Command("go", "build", "-race", "-o", path, "./"+name)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		return path, nil
	}))
	return once.(func() (string, error))()
}

// A command is a process of one of the repository's programs, or of a child of the tests.
type command struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{} // closed after the exit, when cmd.ProcessState is set
	output output
}

// startCommand starts mps-sim or mps-ilert in an empty folder with only the environment env ("K=V").
// The test fails if the program finds a data race; if the test fails, it logs the program's output.
func startCommand(t *testing.T, name string, env []string, args ...string) *command {
	t.Helper()
	path, err := build(name)
	require.NoError(t, err)
	return startProcess(t, exec.Command(path, args...), env)
}

func startProcess(t *testing.T, cmd *exec.Cmd, env []string) *command {
	t.Helper()
	c := &command{t: t, cmd: cmd, exited: make(chan struct{})}
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = append([]string{"HOME=" + c.cmd.Dir}, env...)
	c.cmd.Stdout = &c.output
	c.cmd.Stderr = &c.output
	require.NoError(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait() // cmd.ProcessState has the same result
		close(c.exited)
	}()
	t.Cleanup(func() {
		c.Kill()
		assert.NotContains(t, c.Output(), "DATA RACE")
		if t.Failed() {
			t.Logf("output of %s:\n%s", c.cmd, c.Output())
		}
	})
	return c
}

// Kill sends SIGKILL and returns when the process has exited. It may have exited before.
func (c *command) Kill() {
	_ = c.cmd.Process.Kill() // the only error is that the process has exited
	<-c.exited
}

// Interrupt sends SIGINT, as Ctrl-C does, and requires a clean exit.
func (c *command) Interrupt() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGINT))
	require.Zero(c.t, c.ExitCode(), "exit code after SIGINT")
}

// ExitCode waits for the exit and returns the exit code, which is -1 after a signal.
func (c *command) ExitCode() int {
	c.t.Helper()
	return c.ExitCodeWithin(patience)
}

// ExitCodeWithin waits up to d for the exit and returns the exit code.
func (c *command) ExitCodeWithin(d time.Duration) int {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(d):
		require.FailNow(c.t, "still running", c.cmd.String())
	}
	return c.cmd.ProcessState.ExitCode()
}

// AwaitHTTP waits until GET url answers with a status.
func (c *command) AwaitHTTP(url string, status int) {
	c.t.Helper()
	client := http.Client{Timeout: time.Second}
	require.EventuallyWithT(c.t, func(t *assert.CollectT) {
		res, err := client.Get(url)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
	}, patience, 20*time.Millisecond)
}

// Output returns the text that the process has written so far.
func (c *command) Output() string { return c.output.String() }

// An output is a buffer that a test may read while the process writes to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
