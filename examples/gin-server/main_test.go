package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/examples/internal/exampletest"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
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
