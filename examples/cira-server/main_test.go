package main

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/examples/internal/exampletest"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

func TestADevicesConnectionMakesTwoEvents(t *testing.T) {
	maxIdle = 200 * time.Millisecond
	broker := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, broker, "mps/events")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://"+broker)
	addr := exampletest.Start(t, run)
	for reason, leave := range map[string]func(net.Conn){
		"closed by the device": func(conn net.Conn) { _ = conn.Close() },
		"keep-alive timed out": func(net.Conn) {},
	} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintln(conn, "4c4c4544-004b-4210-8033-b6c04f504633")
		require.NoError(t, err)
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `{"type":"success","message":"CIRA Connection Established","methods":["CIRA_Connected"],"guid":"4c4c`)
		leave(conn)
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"message":"CIRA Connection Closed: `+reason+`","methods":["CIRA_Disconnected"],"guid":"4c4c`)
	}
}

func TestTheEndOfAnOldConnectionIsNoEvent(t *testing.T) {
	maxIdle = time.Minute
	broker := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, broker, "mps/events")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://"+broker)
	addr := exampletest.Start(t, run)
	connect := func(guid string) net.Conn {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintln(conn, guid)
		require.NoError(t, err)
		assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"methods":["CIRA_Connected"],"guid":"`+guid)
		return conn
	}
	before, after := connect("a"), connect("a")
	require.NoError(t, before.Close())
	connect("b")
	require.NoError(t, after.Close())
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"methods":["CIRA_Disconnected"],"guid":"a"`)
	require.NoError(t, connect("c").Close())
	assert.Contains(t, string(brokertest.Receive(t, messages).Payload), `"methods":["CIRA_Disconnected"],"guid":"c"`)
}
