package ilert_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
)

func TestAlertsAreListedByPages(t *testing.T) {
	var asked, authorization string
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked, authorization = r.Method+" "+r.URL.RequestURI(), r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `[{"id":7,"alertKey":"A","status":"RESOLVED","reportTime":"2026-01-31T12:00:00.5Z","resolvedOn":null,"alertSource":{"id":3},"more":{}}]`)
	})
	from := time.Date(2026, 1, 31, 13, 0, 0, 0, time.FixedZone("", 3600))
	page, err := client.Alerts(t.Context(), "s3cret", ilert.AlertQuery{Statuses: []string{"PENDING", "ACCEPTED"}, Sources: []int64{3, 4}, From: from, Start: 200})
	require.NoError(t, err)
	assert.Equal(t, "GET /api/alerts?from=2026-01-31T12%3A00%3A00Z&max-results=100&sources=3&sources=4&start-index=200&states=PENDING&states=ACCEPTED", asked)
	assert.Equal(t, "Bearer s3cret", authorization)
	require.Len(t, page, 1)
	assert.Equal(t, "7 A RESOLVED 3", fmt.Sprint(page[0].ID, " ", page[0].AlertKey, " ", page[0].Status, " ", page[0].Source.ID))
	assert.True(t, page[0].ResolvedOn.IsZero())
}

func TestErrorsOfListsSayWhatToDo(t *testing.T) {
	for status, want := range map[int]struct {
		class ilert.Class
		text  string
	}{
		401: {ilert.Operator, "401 Unauthorized: check the API key (--ilert_api_key, ILERT_API_KEY)"},
		403: {ilert.Operator, "403 Forbidden: the user of the API key (--ilert_api_key, ILERT_API_KEY) needs the right to read"},
		404: {ilert.Operator, "404 Not Found: check --ilert_url"},
		400: {ilert.Operator, "400 Bad Request"},
		302: {ilert.Operator, "302 Found: check --ilert_url"},
		204: {ilert.Operator, "204 No Content"},
		429: {ilert.Temporary, "429 Too Many Requests"},
		503: {ilert.Temporary, "503 Service Unavailable"},
	} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "wrong: s3cret")
		})
		_, err := client.AlertSources(t.Context(), "s3cret", 0)
		var failed *ilert.Error
		require.ErrorAs(t, err, &failed, status)
		assert.Equal(t, want.class, failed.Class, status)
		assert.Equal(t, status == 429, failed.TooMany)
		assert.Equal(t, 7*time.Second, failed.RetryAfter)
		assert.Contains(t, err.Error(), want.text)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestOnlyAListIsAList(t *testing.T) {
	for _, answer := range []string{"", "<html>", `{}`, `[{"id":"x"}]`, "[" + strings.Repeat(" ", 33<<20)} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		_, err := client.AlertSources(t.Context(), "s3cret", 0)
		var failed *ilert.Error
		require.ErrorAs(t, err, &failed, "%.20s", answer)
		assert.Equal(t, ilert.Operator, failed.Class)
		assert.ErrorContains(t, err, "is no list")
	}
}

func TestAListEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := client.Alerts(ctx, "s3cret", ilert.AlertQuery{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAlertSourcesHideTheirKeys(t *testing.T) {
	s := ilert.AlertSource{IntegrationKey: "s3cret"}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", s, &s, s), "s3cret")
}
