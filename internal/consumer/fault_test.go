package consumer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// Another process locks the file for longer than the store waits.
func TestALockedStoreStopsReadingAndGoesOnByItself(t *testing.T) {
	s, ilert := script(t), record(t)
	cfg := config(t, s, ilert)
	c := start(t, cfg).ready(t)
	conn := <-s.subscribed
	db := openStore(t)
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

// A key that ilert refuses gets one request, and then probes; the events wait.
func TestAKeyThatIlertRefusesHoldsUpNoOther(t *testing.T) {
	var wrong atomic.Int64
	right := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct{ IntegrationKey, AlertKey string }
		if assert.NoError(t, json.NewDecoder(r.Body).Decode(&e)) && e.IntegrationKey == "wrong" {
			wrong.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		right <- e.AlertKey
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	c := start(t, consumer.Config{OpenStore: storeAt(newStorePath(t)), IlertURL: server.URL, IntegrationKey: "wrong"})
	post := func(key string, n int) {
		_, err := c.Post(t.Context(), fmt.Appendf(nil, `{"integrationKey":%q,"eventType":"ALERT","summary":"s","alertKey":"%d"}`, key, n))
		require.NoError(t, err)
	}
	for n := range 20 {
		post("wrong", n)
	}
	c.failing(t, "ilert: ilert answered 403")
	for n := range 5 {
		post("right", n)
		select {
		case got := <-right:
			assert.Equal(t, strconv.Itoa(n), got)
		case <-time.After(brokertest.Wait):
			require.FailNow(t, "held up")
		}
	}
	c.failing(t, "ilert: ilert answered 403")
	assert.EqualValues(t, 1, wrong.Load())
}
