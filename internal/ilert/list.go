package ilert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/redact"
)

// AlertSource is an alert source as ilert lists it.
type AlertSource struct {
	redact.All     `json:"-"`
	ID             int64  `json:"id"`
	Name           string `json:"name"`
	IntegrationKey string `json:"integrationKey"`
	Active         *bool  `json:"active"` // nil: ilert does not say
	Status         string `json:"status"`
}

// The statuses of alert sources that make no alerts of events, although ilert answers 202.
const (
	InMaintenance = "IN_MAINTENANCE"
	Disabled      = "DISABLED"
)

// State returns InMaintenance, Disabled, or another status.
func (s *AlertSource) State() string {
	if s.Active != nil && !*s.Active {
		return Disabled
	}
	return s.Status
}

// ListedAlert is an alert as ilert lists it.
type ListedAlert struct {
	ID         int64     `json:"id"`
	AlertKey   string    `json:"alertKey"`
	Status     string    `json:"status"`
	ReportTime time.Time `json:"reportTime"`
	ResolvedOn time.Time `json:"resolvedOn"`
	Source     struct {
		ID int64 `json:"id"`
	} `json:"alertSource"`
}

// The statuses of alerts.
const (
	StatusPending  = "PENDING"
	StatusAccepted = "ACCEPTED"
	StatusResolved = "RESOLVED"
)

// AlertQuery chooses alerts.
type AlertQuery struct {
	Statuses []string
	Sources  []int64   // IDs of alert sources
	From     time.Time // reported then or later; zero: at any time
	Start    int       // the number of alerts before the page
}

// PageSize is the number of entries of a page of a list, unless it is the last one.
const PageSize = 100

// AlertSources returns a page of the alert sources that the owner of an API key may see, after the given number.
func (c *Client) AlertSources(ctx context.Context, apiKey string, start int) (page []AlertSource, err error) {
	return page, c.list(ctx, apiKey, "/api/alert-sources", url.Values{}, start, &page)
}

// Alerts returns a page of alerts. A page that is not full is the last one.
func (c *Client) Alerts(ctx context.Context, apiKey string, q AlertQuery) (page []ListedAlert, err error) {
	values := url.Values{"states": q.Statuses}
	for _, id := range q.Sources {
		values.Add("sources", strconv.FormatInt(id, 10))
	}
	if !q.From.IsZero() {
		values.Set("from", q.From.UTC().Format(time.RFC3339))
	}
	return page, c.list(ctx, apiKey, "/api/alerts", values, q.Start, &page)
}

// maxList is the greatest length of a page of a list in bytes. The texts of a hundred alerts fit in many times over.
const maxList = 32 << 20

// list reads a page of a list. The error is an *Error, or that of ctx; no error holds the API key.
func (c *Client) list(ctx context.Context, apiKey, path string, values url.Values, start int, page any) error {
	values.Set("start-index", strconv.Itoa(start))
	values.Set("max-results", strconv.Itoa(PageSize))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return &Error{Class: Operator, Err: withoutURL(err)}
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := c.do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Error{Class: Temporary, Err: withoutURL(err)}
	}
	defer response.Body.Close()
	if status := response.StatusCode; status != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return &Error{
			Class: listClass(status), RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
			TooMany: status == http.StatusTooManyRequests, Status: status,
			Err:    fmt.Errorf("GET %s: ilert answered %d %s%s", path, status, http.StatusText(status), listHint(status)),
			Answer: strings.ReplaceAll(string(answer), apiKey, "***"),
		}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxList+1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &Error{Class: Temporary, Err: withoutURL(err)}
	case len(body) > maxList:
		err = fmt.Errorf("longer than %d MiB", maxList>>20)
	default:
		err = json.Unmarshal(body, page)
	}
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		err = errors.New("no JSON")
	}
	return &Error{Class: Operator, Status: http.StatusOK, Err: fmt.Errorf("GET %s: ilert's answer is no list (%w): check --ilert_url", path, err)}
}

// listClass returns the class of an answer to a request for a list. Only an operator can mend a query that ilert calls
// invalid.
func listClass(status int) Class {
	if class := classOf(status); class != Invalid {
		return class
	}
	return Operator
}

// listHint returns the advice for an answer to a request for a list, or "" if waiting may help.
func listHint(status int) string {
	const key = "the API key (--ilert_api_key, ILERT_API_KEY)"
	switch {
	case status == http.StatusUnauthorized:
		return ": check " + key
	case status == http.StatusForbidden:
		return ": the user of " + key + " needs the right to read alerts and alert sources"
	case listClass(status) == Operator:
		return ": check --ilert_url"
	}
	return ""
}
