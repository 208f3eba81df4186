package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/examples/internal/exampletest"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestACallMakesTwoEvents(t *testing.T) {
	broker := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, broker, "mps/events")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://"+broker)
	addr := exampletest.Start(t, run)

	res, err := http.Get("http://" + addr + "/api/v1/amt/power/state/4c4c4544-004b-4210-8033-b6c04f504633")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `{"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"4c4c`)
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `{"type":"success","message":"Power State received"`)
}

func TestAServerThatHangsLeavesThePublisherItsTime(t *testing.T) {
	shutdownTimeout = 1500 * time.Millisecond
	t.Cleanup(func() { shutdownTimeout = 10 * time.Second })
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a broker that never answers
	require.NoError(t, err)
	defer silent.Close()
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://"+silent.Addr().String())

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", w) }()
	addr := exampletest.Address(t, stdout)

	hanging, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer hanging.Close()
	_, err = io.WriteString(hanging, "GET /api/v1/version HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n") // and no body
	require.NoError(t, err)
	res, err := http.Get("http://" + addr + "/api/v1/amt/power/state/1") // accepted after it; its two events wait
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())

	began := time.Now()
	stop()
	err = <-ended
	require.ErrorIs(t, err, context.DeadlineExceeded, "the server")
	var undelivered *publisher.UndeliveredError
	require.ErrorAs(t, err, &undelivered, "the publisher")
	assert.GreaterOrEqual(t, time.Since(began), 2*shutdownTimeout)
}
