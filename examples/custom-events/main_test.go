package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/examples/internal/exampletest"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestTheServerMakesEventsThatTheMiddlewareCannotMake(t *testing.T) {
	const guid = "4c4c4544-004b-4210-8033-b6c04f504633"
	broker := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, broker, "mps/events")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://"+broker)
	addr := exampletest.Start(t, run)
	next := func() string {
		m := brokertest.Receive(t, messages)
		return string(m.Payload) + m.Properties.User.Get("outcome")
	}
	assert.Contains(t, next(), "Server started")

	call := func(httpMethod, path, body string, status int) {
		req, err := http.NewRequest(httpMethod, "http://"+addr+path, strings.NewReader(body))
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, status, res.StatusCode)
	}
	call("GET", "/api/v1/health", "", 204) // no event
	call("POST", "/wake/"+guid, "", 200)
	assert.Contains(t, next(), "Wake Up requested")
	failed := next()
	assert.Contains(t, failed, `{"type":"fail","message":"Wake Up failed: not ready","methods":["AMT_WakeUp"],"guid":"`+guid)
	assert.Contains(t, failed, "}device")

	call("POST", "/api/v1/devices", `{"guid":"`+guid+`"}`, 201)
	assert.Contains(t, next(), "Device add requested")
	assert.Contains(t, next(), `{"type":"success","message":"Device added","methods":["createDevice"],"guid":"`+guid)

	call("POST", "/api/v1/devices", `{}`, 400)
	assert.Contains(t, next(), "Device add requested")
	assert.Contains(t, next(), "Device add failed")
}
