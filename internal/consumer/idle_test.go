package consumer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/consumer"
)

// Once no event waits for a key that ilert has refused, /ready answers 204. Then the next alert must not
// wait for the end of the pause, which nothing shows any more.
func TestAKeyForWhichNothingWaitedIsTriedAtOnceAgain(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.refuse("doors")
	c := start(t, byRules(t, b, ilert, twoSources)).ready(t)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	c.failingKey(t, consumer.Key{Name: "env:DOORS_KEY", Error: notTaken})
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	require.Eventually(t, func() bool { return c.Ready() == nil }, brokertest.Wait, 5*time.Millisecond)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	c.failingKey(t, consumer.Key{Name: "env:DOORS_KEY", Error: notTaken})
	require.Error(t, c.Ready())
}

func TestAKeyForWhichNothingWaitedIsTriedAtOnceAgainThoughOthersWait(t *testing.T) {
	t.Setenv("DOORS_KEY", "doors")
	b, ilert := brokertest.Start(t, ""), record(t)
	ilert.answerAll(http.StatusUnauthorized)
	c := start(t, byRules(t, b, ilert, twoSources)).ready(t)
	failing := func(n int) {
		require.Eventually(t, func() bool { return len(c.Status(t.Context()).Keys) == n }, brokertest.Wait, 5*time.Millisecond)
	}
	publishTo(t, b.Addr(), "fire/1", `{"on":true}`)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	failing(2)
	publishTo(t, b.Addr(), "door/1", `{"open":false}`)
	failing(1)
	ilert.answerAll(http.StatusAccepted)
	publishTo(t, b.Addr(), "door/1", `{"open":true}`)
	ilert.known(t, "ALERT fire/1", "ALERT door/1 by doors", "ALERT door/1 by doors")
}

// answerAll lets a recorder answer everything with a status.
func (r *recorder) answerAll(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(*http.Request, []string) int { return status }
}
