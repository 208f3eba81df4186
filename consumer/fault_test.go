package consumer_test

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
)

// Somebody's tool holds the file for longer than the store waits for it.
func TestALockedStoreStopsReadingAndGoesOnByItself(t *testing.T) {
	s, ilert := script(t), record(t)
	cfg := config(t, s, ilert)
	c := start(t, cfg).ready(t)
	conn := <-s.subscribed
	db := openStore(t, cfg)
	db.SetMaxOpenConns(1)
	_, err := db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	s.publish(conn, 1, 2)
	require.Eventually(t, func() bool { return c.Ready() != nil }, brokertest.Wait, time.Millisecond)
	assert.ErrorContains(t, c.Ready(), "database is locked")
	s.expectNone(conn)
	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	s.expect(conn, packets.PUBACK, 1, 2)
	c.ready(t)
}
