package main

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker"
)

func TestNoSecretOfTheEnvironmentIsSeen(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	env := map[string]string{
		"MPS_MQTT_ADDRESS":      "ws://u:canary1@" + b.WebSocketAddr() + "/mqtt?X-Amz-Security-Token=canary2",
		"MPS_MQTT_PASSWORD":     "canary3",
		"ILERT_INTEGRATION_KEY": "canary4",
	}
	o, err := parseOptions([]string{"--http", "127.0.0.1:0", "--ilert", "http://127.0.0.1:1", "--rate", "0"}, func(name string) string { return env[name] }, nil)
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %d", o, *o, *o, o, o), "canary")
	o.broker.Password = "" // because the address has a user
	var stderr bytes.Buffer
	s, err := newSimulator(o, &stderr)
	require.NoError(t, err)
	assert.Contains(t, s.greeting(), "ws://"+b.WebSocketAddr()+"/mqtt (MPS_MQTT_ADDRESS)")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.alerting.run(ctx))
	_ = s.close(t.Context())
	assert.NotContains(t, s.greeting()+stderr.String(), "canary")
}
