package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestMistakesAreNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	free := []string{"--http=127.0.0.1:0", "--mqtt=127.0.0.1:0", "--mqtt-ws=127.0.0.1:0"}
	for want, args := range map[string][]string{
		"--http " + addr + ": listen":      {"--http=" + addr},
		"--mqtt " + addr + ": listen":      {"--mqtt=" + addr},
		"--mqtt-ws " + addr + ": listen":   {"--mqtt-ws=" + addr},
		"--devices 0: want 1 to 10,000":    {"--devices=0"},
		"--devices 10001: want":            {"--devices=10001"},
		"--speed 0: want more than 0":      {"--speed=0"},
		`--sites "a/b": want`:              {"--sites=a/b"},
		`--sites "lyon": is there twice`:   {"--sites=Lyon,lyon"},
		`--scenario "rain": want laptop, `: {"--scenario=rain"},
		`--allowed-hosts "http://a": want`: {"--allowed-hosts=a,http://a"},
		`--allowed-hosts "*": want`:        {"--allowed-hosts=*"},
		`--allowed-origins "lab1": want`:   {"--allowed-origins=lab1"},
		"--rate NaN: want":                 {"--rate=NaN"},
		"--rate -1: want":                  {"--rate=-1"},
		`invalid argument "x" for "--seed`: {"--seed=x"},
		"unknown flag: --nonsense":         {"--nonsense"},
		`unexpected argument "extra"`:      {"extra"},
		"variable ILERT_INTEGRATION_KEY":   {"--ilert=http://127.0.0.1:1"},
		`--ilert: ilert: URL "x": want`:    {"--ilert=x"},
		"--ilert needs the consumer":       {"--ilert=http://127.0.0.1:1", "--consumer=false"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), brokertest.Wait/4) // without a mistake the command runs
		err := run(ctx, append(free, args...), noEnv, io.Discard, io.Discard)
		cancel()
		assert.ErrorContains(t, err, want, "%v", args)
	}
	err = run(t.Context(), append(free, "--topic-tree"), func(name string) string { return map[string]string{"MPS_MQTT_TOPIC": "x"}[name] }, io.Discard, io.Discard)
	require.ErrorContains(t, err, "--topic-tree does not go with MPS_MQTT_TOPIC")
	bad := func(name string) string { return map[string]string{"MPS_MQTT_ADDRESS": "gopher://u:s3cret@h"}[name] }
	err = run(t.Context(), free, bad, io.Discard, io.Discard)
	require.ErrorContains(t, err, `MPS_MQTT_ADDRESS`)
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--help"}, noEnv, &out, io.Discard))
	for _, flag := range []string{"--http", "--mqtt ", "--mqtt-ws", "--devices", "--rate", "--speed", "--sites", "--scenario", "--topic-tree", "--version", "--seed", "--ilert ", "--consumer", "--allowed-hosts"} {
		assert.Contains(t, out.String(), flag)
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--version"}, noEnv, &out, io.Discard))
	assert.Regexp(t, `^mps-sim \S+\n$`, out.String())
}
