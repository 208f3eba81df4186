package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIlertIsToldWhichProgramAsks(t *testing.T) {
	agents := make(chan string, 100)
	ilert := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.Method + " " + r.UserAgent()
		w.WriteHeader(http.StatusAccepted)
	}))
	defer ilert.Close()
	for _, args := range [][]string{{"event", "-t", "ALERT", "-s", "x"}, {"heartbeat", "-k", "il1hbt1"}, {"heartbeat", "-k", "k"}} {
		var out, log bytes.Buffer
		require.NoError(t, run(t.Context(), append(args, "--ilert_url", ilert.URL, "--heartbeat_url", ilert.URL), environment("ILERT_INTEGRATION_KEY", secret), &out, &log))
		assert.Regexp(t, `^(POST|GET|HEAD) mps-ilert/[^ ()]+$`, <-agents, args)
		assert.Empty(t, out.String()+log.String(), "all is well, and cron mails what is printed")
	}
	d := startDaemon(t, environment(), ilert.URL)
	status, _ := post(t, d.base+"/api/events", `{"apiKey":"k","eventType":"ALERT","summary":"x"}`)
	assert.Equal(t, http.StatusOK, status)
	for agent := ""; agent[:min(4, len(agent))] != "POST"; { // it may look first whether ilert is there
		agent = <-agents
		assert.Regexp(t, `^[A-Z]+ mps-ilert/[^ ()]+$`, agent)
	}
}
