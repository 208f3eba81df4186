// Package ilert is the part of ilert's REST API that an event source needs: the
// event, one request that delivers it, and errors that say whether to try again.
// It never tries again by itself; the consumer's loop owns all retrying. The
// facts are those of ilert's API reference (https://api.ilert.com/api-docs).
package ilert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/redact"
)

// Event is what ilert is told of an alert. IntegrationKey, EventType and Summary
// are required by ilert.
type Event struct {
	redact.All     `json:"-"`
	IntegrationKey string `json:"integrationKey"`
	EventType      Type   `json:"eventType"`
	Summary        string `json:"summary"`
	// AlertKey groups events into one alert; ilert trims it and compares without
	// case.
	AlertKey      string          `json:"alertKey,omitempty"`
	Details       string          `json:"details,omitempty"`
	Priority      string          `json:"priority,omitempty"` // HIGH or LOW
	Images        json.RawMessage `json:"images,omitempty"`   // [{"src","href","alt"}]
	Links         json.RawMessage `json:"links,omitempty"`    // [{"href","text"}]
	CustomDetails json.RawMessage `json:"customDetails,omitempty"`
	// What is passed on as it came.
	Severity   json.RawMessage `json:"severity,omitempty"`
	Labels     json.RawMessage `json:"labels,omitempty"`
	Comments   json.RawMessage `json:"comments,omitempty"`
	Services   json.RawMessage `json:"services,omitempty"`
	RoutingKey json.RawMessage `json:"routingKey,omitempty"`
}

// Type is the kind of an Event.
type Type string

// ilert's event types.
const (
	Alert   Type = "ALERT"
	Accept  Type = "ACCEPT"
	Resolve Type = "RESOLVE"
	Comment Type = "COMMENT"
)

// Valid reports whether t is one of these.
func (t Type) Valid() bool { return t == Alert || t == Accept || t == Resolve || t == Comment }

// Where events go, as paths below the API's URL. {key} stands for the integration key.
const (
	EventsPath = "/api/events"
	// MQTTPath is for alert sources of the kind MQTT, as ilagent 0.9 has it; ilert's
	// own documentation says /api/v1/mqtt/{key}.
	MQTTPath = "/api/v1/events/mqtt/{key}"
)

// DefaultURL is ilert's own API.
const DefaultURL = "https://api.ilert.com"

// Client sends events. It may be used concurrently.
type Client struct {
	// UserAgent is the header by which ilert is told which program asks, such as
	// mps-ilert/v1.0.0; empty is Go's own. It is set before the client is used.
	UserAgent string

	url, heartbeatURL string
	http              *http.Client
}

// mostAnswer is how much of an answer is read, in bytes.
const mostAnswer = 4 << 10

// timeout ends a request to an ilert that hangs; what came of it is unknown.
const timeout = 30 * time.Second

// New returns a client for the API at baseURL, such as DefaultURL, and the heartbeats at
// heartbeatURL, such as DefaultHeartbeatURL, that is used by up to workers goroutines at
// a time.
func New(baseURL, heartbeatURL string, workers int) (*Client, error) {
	for _, address := range []string{baseURL, heartbeatURL} {
		if err := CheckURL(address); err != nil {
			return nil, fmt.Errorf("ilert: %w", err)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Go's default of two idle connections to a host costs two thirds of the rate; that of a
	// hundred in all would cost some of it.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, workers
	return &Client{
		url:          strings.TrimRight(baseURL, "/"),
		heartbeatURL: strings.TrimRight(heartbeatURL, "/"),
		http: &http.Client{
			Transport: transport,
			Timeout:   timeout,
			// A redirect would turn the POST into a GET, and show the key to
			// another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// CheckURL returns an error if an address cannot be that of ilert's API.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err == nil && (u.RawQuery != "" || u.Fragment != "") {
		return errors.New("URL: want no query and no fragment, which begin at ? and #")
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		if strings.ContainsAny(address, "@?#") {
			address = "***" // may be a password or a key
		}
		return fmt.Errorf("URL %q: want http:// or https:// and a host", address)
	}
	if u.User != nil {
		return errors.New("URL: may hold no user or password; ilert knows us by the integration key")
	}
	return nil
}

// CloseIdle closes the connections that wait for another Send.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Address returns the scheme, host and port of the API.
func (c *Client) Address() string {
	u, err := url.Parse(c.url)
	if err != nil {
		return "" // New has parsed it
	}
	return u.Scheme + "://" + u.Host
}

// Reach asks the API for nothing, and returns nil when it answers anything at all. It blocks
// for ten seconds at most. The error is an *Error, or that of ctx.
func (c *Client) Reach(ctx context.Context) error {
	const patience = 10 * time.Second
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(asking, http.MethodHead, c.url+"/", http.NoBody)
	if err != nil {
		return &Error{Class: Temporary, Err: withoutURL(err)}
	}
	response, err := c.do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Error{Class: Temporary, Err: withoutURL(err)}
	}
	return response.Body.Close()
}

// Send delivers one event to a path of the API and returns nil when ilert has taken
// it, which is any 2xx: ilert queues an event and says no more. traceParent is the header
// of W3C's Trace Context, empty for none. The error is an *Error, or that of ctx; no error
// holds the integration key.
func (c *Client) Send(ctx context.Context, path string, e Event, traceParent string) error {
	body, err := json.Marshal(e)
	if err != nil {
		return &Error{Class: Invalid, Err: err}
	}
	endpoint := c.url + strings.ReplaceAll(path, "{key}", url.PathEscape(e.IntegrationKey))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return &Error{Class: Invalid, Err: withoutURL(err)}
	}
	request.Header.Set("Content-Type", "application/json")
	if traceParent != "" {
		request.Header.Set("traceparent", traceParent)
	}
	response, err := c.do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var network *net.OpError
		dialing := errors.As(err, &network) && network.Op == "dial"
		return &Error{Class: Temporary, Uncertain: !dialing, NoConn: dialing, Err: withoutURL(err)}
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, mostAnswer)) // also lets the connection be used again
	if response.StatusCode/100 == 2 {
		return nil
	}
	text := string(answer)
	if e.IntegrationKey != "" {
		text = strings.ReplaceAll(text, e.IntegrationKey, "***")
	}
	return &Error{
		Class:      classOf(response.StatusCode),
		Uncertain:  response.StatusCode >= 500,
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
		TooMany:    response.StatusCode == http.StatusTooManyRequests,
		Status:     response.StatusCode,
		Err:        fmt.Errorf("ilert answered %d %s%s", response.StatusCode, http.StatusText(response.StatusCode), mend(response.StatusCode)),
		Answer:     text,
	}
}

// do makes a request of this program.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	if c.UserAgent != "" {
		request.Header.Set("User-Agent", c.UserAgent)
	}
	return c.http.Do(request)
}

// withoutURL is err but for the URL, which may hold the integration key.
func withoutURL(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// Error says why an event was not delivered, and what to do about it.
type Error struct {
	Class      Class
	Uncertain  bool          // ilert may have taken it all the same
	NoConn     bool          // there was no connection to ilert, whatever the event
	RetryAfter time.Duration // what ilert asked for, 0 without
	TooMany    bool          // 429: it gets too many requests for this key
	Status     int           // of ilert's answer, 0 without one
	Err        error         // the status and what to do, or why there is no answer
	Answer     string        // ilert's own words, which may quote the event; empty without
}

func (e *Error) Error() string {
	if e.Answer == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %.200q", e.Err, e.Answer)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Class says whether an event may be tried again.
type Class int

// The classes of errors.
const (
	// Temporary: no answer, 408, 429, 5xx. Try again.
	Temporary Class = iota
	// Operator: any other 4xx, such as 401 and 403, or a redirect. A wrong key, a wrong URL or
	// a plan's limit: every event waits until a person has mended it.
	Operator
	// Invalid: 400, 413, 422. This event's own fault; trying again
	// cannot help.
	Invalid
)

func classOf(status int) Class {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return Invalid
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return Temporary
	}
	if status >= 500 {
		return Temporary
	}
	return Operator
}

// mend says what to do about an answer; empty where there is nothing to do but wait.
func mend(status int) string {
	const key = "ILERT_INTEGRATION_KEY, or the key that the rule or the message names instead"
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ": check " + key
	case status == http.StatusPaymentRequired:
		return ": check the plan of the ilert account"
	case status == http.StatusNotFound:
		return ": check --ilert_url and " + key
	case classOf(status) == Operator:
		return ": check --ilert_url"
	}
	return ""
}

// retryAfter reads the header in both forms of RFC 9110, section 10.2.3.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		const most = math.MaxInt32 // more would overflow
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
