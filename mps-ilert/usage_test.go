package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Scripts decide by the exit code whether to try again or to mend the command line.
func TestACommandLineThatIsWrongEndsWithTwoAndNamesTheFlag(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("rules: [{name: x, raise: {key: '{topic}', summary: s}, ends: {age: 1d}}]"), 0o600))
	file := filepath.Join(dir, "x.db")
	daemon := func(args ...string) []string {
		return append([]string{"daemon", "-m", "127.0.0.1", "-f", file}, args...)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{`--event_topic "$share/t": a shared subscription is written $share/GROUP/FILTER`, daemon("-e", "$share/t")},
		{`--event_topic "$share//t": a shared`, daemon("-e", "x", "-e", "$share//t")},
		{`--event_topic: is empty`, daemon("-e", "")},
		{`--event_topic "a/#/b": # may only`, daemon("-e", "a/#/b")},
		{`--event_topic "http": what comes by HTTP`, daemon("-e", "http")},
		{`--heartbeat_topic "x#": # may only`, daemon("-r", "x#")},
		{`topic filter "$share/g/mps/events": rules need all messages in one place`, daemon("-e", "mps/events", "--mqtt_shared_group", "g")},
		{`topic filter "$share/g/mps/events": rules need all messages in one place`, daemon("-e", "$share/g/mps/events")},
		{`topic filter "$share/g/mps/events": rules need all messages in one place`, daemon("--config", rules, "--mqtt_shared_group", "g")},
		{`--mqtt_shared_group "g/x": want a name without`, daemon("--preset", "ilagent", "-e", "a", "--mqtt_shared_group", "g/x")},
		{`--preset: there is no preset "nope"`, daemon("--preset", "nope")},
		{`--preset: there is no preset "nope"`, []string{"check", "--preset", "nope"}},
		{`--option "x": want name=value`, []string{"check", "--option", "x"}},
		{`--mqtt_path "events": want a path that begins with /`, daemon("-e", "x", "--mqtt_path", "events")},
		{`--file: is required`, daemon("-f", "")},
		{`--mqtt_host, --mqtt_port: "mqtt://127.0.0.1:0" has the port "0"`, daemon("-q", "0")},
		{`--mqtt_host, --mqtt_port: `, []string{"daemon", "-m", "a b", "-f", file}},
		{`--ilert_url: URL "nonsense": want http:// or https://`, daemon("--ilert_url", "nonsense")},
		{`--heartbeat_url: URL "nonsense": want http:// or https://`, daemon("--heartbeat_url", "nonsense")},
		{`--ilert_url: URL "nonsense": want http:// or https://`, []string{"event", "-t", "ALERT", "-s", "x", "--ilert_url", "nonsense"}},
		{`--heartbeat_url: URL "nonsense": want http:// or https://`, []string{"heartbeat", "--heartbeat_url", "nonsense"}},
		{`--integration_key: a key holds no blanks`, []string{"event", "-t", "ALERT", "-s", "x", "-k", "a b"}},
		{`--event_key: a key holds no blanks`, daemon("--event_key", " a", "-e", "x")},
		{`--http "nonsense": want a host and a port, such as 127.0.0.1:8977`, daemon("--http", "nonsense")},
		{`--http "127.0.0.1": want a host and a port`, daemon("--http", "127.0.0.1")},
		{`--http "127.0.0.1:70000": want a host and a port`, daemon("--http", "127.0.0.1:70000")},
		{`--http and --port: want one of them`, daemon("--http", "127.0.0.1:0", "-p", "1")},
		{`--port "99999": want a number from 0 to 65535`, daemon("-p", "99999")},
		{`1 argument belongs to no flag`, daemon("stray")},
		{`1 argument belongs to no flag`, []string{"daemon", "-m", "-q", "1883"}},
		{`2 arguments belong to no flag`, []string{"event", "-t", "ALERT", "-s", "disk", "is", "full"}},
		{`there is no command "daemn"; did you mean "daemon"?`, []string{"daemn"}},
		{`there is no command "nope": mps-ilert store --help`, []string{"store", "nope"}},
		{`there is no command "nope": mps-ilert rules --help`, []string{"rules", "nope"}},
		{`there is no preset "nope"`, []string{"rules", "print", "nope"}},
		{`which? Name one of`, []string{"rules", "print"}},
		{`which? Name IDs`, []string{"store", "retry", "-f", file}},
		{`"x" is no ID of a dead letter`, []string{"store", "list", "x", "-f", file}},
		{`which? Name the IDs`, []string{"store", "show", "-f", file}},
		{`--limit -1: want`, []string{"store", "list", "--limit", "-1", "-f", file}},
	} {
		var out bytes.Buffer
		err := run(t.Context(), c.args, environment("ILERT_INTEGRATION_KEY", secret), &out, io.Discard)
		require.ErrorContains(t, err, c.want, "%q", c.args)
		assert.Equal(t, 2, exitCode(err), "%q: %v", c.args, err)
		assert.Empty(t, out.String(), "%q", c.args)
	}
	for _, c := range []struct{ variable, value, want string }{
		{"MPS_ILERT_PORT", "x", `MPS_ILERT_PORT "x": want a number from 0 to 65535`},
		{"MPS_ILERT_EVENT_TOPIC", "$share/x", `--event_topic "$share/x": a shared subscription`},
		{"MPS_ILERT_HTTP_TOKEN_FILE", "/nowhere", "MPS_ILERT_HTTP_TOKEN_FILE: open /nowhere"},
	} {
		err := run(t.Context(), daemon(), environment("ILERT_INTEGRATION_KEY", secret, c.variable, c.value), io.Discard, io.Discard)
		require.ErrorContains(t, err, c.want)
		assert.Equal(t, 2, exitCode(err), c.variable)
	}
	err := run(t.Context(), []string{"daemon", "-f", file}, environment("ILERT_INTEGRATION_KEY", secret, "MPS_MQTT_ADDRESS", "nonsense://x"), io.Discard, io.Discard)
	require.ErrorContains(t, err, `MPS_MQTT_ADDRESS: "nonsense://x" has the unknown scheme`)
	assert.Equal(t, 2, exitCode(err))
}

func TestWhatOnlyTheMachineIsToBlameForEndsWithOne(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "x.db")
	for want, args := range map[string][]string{
		"address already in use":    {"daemon", "-m", "127.0.0.1", "-f", file, "--http", busy.Addr().String()},
		"no such file or directory": {"daemon", "-m", "127.0.0.1", "-f", file, "--config", filepath.Join(t.TempDir(), "gone.yaml")},
		"gone.db":                   {"store", "list", "-f", filepath.Join(t.TempDir(), "gone.db")},
	} {
		err := run(t.Context(), args, environment("ILERT_INTEGRATION_KEY", secret), io.Discard, io.Discard)
		require.ErrorContains(t, err, want)
		assert.Equal(t, 1, exitCode(err), want)
	}
}
