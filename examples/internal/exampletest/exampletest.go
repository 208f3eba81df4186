// Package exampletest runs an example as its main function does.
package exampletest

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Start calls the function run of an example with a free port, stops it when the test ends, and
// returns the address that it prints. It fails the test if run returns an error.
func Start(t *testing.T, run func(ctx context.Context, addr string, stdout io.Writer) error) (addr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", w)
		_ = w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return Address(t, stdout)
}

// Address returns the address that an example prints on stdout, and discards the rest of the
// output.
func Address(t *testing.T, stdout io.Reader) (addr string) {
	t.Helper()
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err, "the example prints its address")
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	_, addr, found := strings.Cut(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	return addr
}
