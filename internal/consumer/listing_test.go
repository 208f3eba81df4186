package consumer

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
)

// A look at ten thousand alerts needs more requests than ilert takes in a minute.
func TestListsKeepBelowTheLimitOfIlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lister{}
		var sent []time.Time
		for range 1000 {
			require.NoError(t, l.wait(t.Context()))
			sent = append(sent, time.Now())
			time.Sleep(7 * time.Millisecond)
		}
		for i := range sent[100:] {
			assert.GreaterOrEqual(t, sent[i+100].Sub(sent[i]), time.Minute, "fewer than 100 in any minute")
		}
		assert.Less(t, sent[999].Sub(sent[0]), 12*time.Minute)
		assert.LessOrEqual(t, len(l.sent), listRate)
	})
}

func TestAListOfSourcesMayHavePages(t *testing.T) {
	for _, hasPages := range []bool{true, false} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			text := `[{"id":1000,"status":"PENDING"}`
			for range ilert.PageSize - 1 {
				text += `,{"id":7,"active":false}`
			}
			if hasPages && r.URL.Query().Get("start-index") != "0" {
				text = `[{"id":1}`
			}
			_, _ = w.Write([]byte(text + `]`))
		}))
		client, err := ilert.New(server.URL, server.URL, 1)
		require.NoError(t, err)
		l := lister{client: client, apiKey: "k"}
		all, err := l.sources(t.Context())
		require.NoError(t, err)
		client.CloseIdle()
		server.Close()
		if hasPages {
			assert.Len(t, all, ilert.PageSize+1)
		} else {
			assert.Len(t, all, ilert.PageSize)
		}
		assert.EqualValues(t, 2, asked.Load())
		assert.Equal(t, "PENDING", all[0].State())
		assert.Equal(t, ilert.Disabled, all[1].State())
	}
}

func TestWhatAPersonClosesCountsWhileTheSourceIsWell(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.UnixMilli(1795321902892).Add(time.Duration(minutes) * time.Minute)
	}
	h := health{well: true}
	assert.True(t, h.wasWell(at(1)))
	h = health{from: at(10)}
	assert.True(t, h.wasWell(at(9)))
	assert.False(t, h.wasWell(at(20)), "it is not well yet")
	h.well, h.until = true, at(30)
	assert.False(t, h.wasWell(at(20)))
	assert.True(t, h.wasWell(at(31)))
}
