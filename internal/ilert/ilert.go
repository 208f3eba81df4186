// Package ilert is a client for the part of ilert's REST API that an event source needs: the
// event, one request that delivers it, and errors that tell whether to try again.
// The client never tries again by itself; the consumer's loop does all retrying. See ilert's API
// reference: https://api.ilert.com/api-docs.
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

// Event is an event that raises, changes or ends an alert at ilert. ilert requires
// IntegrationKey, EventType and Summary.
type Event struct {
	redact.All     `json:"-"`
	IntegrationKey string `json:"integrationKey"`
	EventType      Type   `json:"eventType"`
	Summary        string `json:"summary"`
	// AlertKey is the key by which ilert groups events into one alert; ilert trims it and ignores
	// its case.
	AlertKey      string          `json:"alertKey,omitempty"`
	Details       string          `json:"details,omitempty"`
	Priority      string          `json:"priority,omitempty"` // HIGH or LOW
	Images        json.RawMessage `json:"images,omitempty"`   // [{"src","href","alt"}]
	Links         json.RawMessage `json:"links,omitempty"`    // [{"href","text"}]
	CustomDetails json.RawMessage `json:"customDetails,omitempty"`
	// The client passes these on unchanged.
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

// These are the paths of events below the URL of the API. {key} stands for the integration key.
const (
	EventsPath = "/api/events"
	// MQTTPath is the path for alert sources of the kind MQTT that ilagent 0.9 uses; ilert's
	// documentation has /api/v1/mqtt/{key}.
	MQTTPath = "/api/v1/events/mqtt/{key}"
)

// DefaultURL is the URL of ilert's API.
const DefaultURL = "https://api.ilert.com"

// Client is a client of ilert's API. It may be used concurrently.
type Client struct {
	// UserAgent is the header that names the program to ilert, such as
	// mps-ilert/v1.0.0; empty means Go's default. Set it before the client is used.
	UserAgent string

	url, heartbeatURL string
	http              *http.Client
}

// maxAnswer is the maximum number of bytes of an answer that the client reads.
const maxAnswer = 4 << 10

// timeout is the time after which a request fails if ilert does not answer; ilert may have taken
// the event.
const timeout = 30 * time.Second

// New returns a client for the API at baseURL, such as DefaultURL, and the heartbeats at
// heartbeatURL, such as DefaultHeartbeatURL. Up to workers goroutines use it at a time.
func New(baseURL, heartbeatURL string, workers int) (*Client, error) {
	for _, address := range []string{baseURL, heartbeatURL} {
		if err := CheckURL(address); err != nil {
			return nil, fmt.Errorf("ilert: %w", err)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Go's default of two idle connections to a host would cost two thirds of the rate, and its
	// default of a hundred in all some of it.
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

// CheckURL returns an error if an address cannot be the base of an API, such as DefaultURL.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err == nil && (u.RawQuery != "" || u.Fragment != "") {
		return errors.New("URL: want no query and no fragment: remove ? or #, and what follows")
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		if strings.ContainsAny(address, "@?#") {
			address = "***" // may be a password or a key
		}
		return fmt.Errorf("URL %q: want http:// or https:// and a host", address)
	}
	if u.User != nil {
		return errors.New("URL: want no user and no password: the integration key is the login to ilert")
	}
	return nil
}

// CloseIdle closes the connections that are not in use.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Address returns the scheme, host and port of the API.
func (c *Client) Address() string {
	u, err := url.Parse(c.url)
	if err != nil {
		return "" // cannot happen: New has parsed the URL
	}
	return u.Scheme + "://" + u.Host
}

// Reach sends a request without effect, and returns nil if the API answers it in any way. It
// blocks for ten seconds at most. The error is an *Error, or that of ctx.
func (c *Client) Reach(ctx context.Context) error {
	const reachTimeout = 10 * time.Second
	limited, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodHead, c.url+"/", http.NoBody)
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

// Send delivers one event to a path of the API. It returns nil when ilert answers with a 2xx, which
// means only that ilert has queued the event. traceParent is the header of W3C's Trace Context,
// or "". The error is an *Error, or that of ctx; no error holds the integration key.
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
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // also lets the connection be used again
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
		Err:        fmt.Errorf("ilert answered %d %s%s", response.StatusCode, http.StatusText(response.StatusCode), hint(response.StatusCode)),
		Answer:     text,
	}
}

// do sends a request with the UserAgent.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	if c.UserAgent != "" {
		request.Header.Set("User-Agent", c.UserAgent)
	}
	return c.http.Do(request)
}

// withoutURL returns err without the URL, which may hold the integration key.
func withoutURL(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// Error is the error of a request that ilert has not accepted.
type Error struct {
	Class      Class
	Uncertain  bool          // ilert may have taken the event all the same
	NoConn     bool          // there was no connection to ilert
	RetryAfter time.Duration // wait that ilert asked for, or 0
	TooMany    bool          // status 429: ilert gets too many requests for this key
	Status     int           // status of ilert's answer, or 0 without an answer
	Err        error         // the status and a hint, or the reason why there is no answer
	Answer     string        // text of ilert's answer, which may quote the event
}

func (e *Error) Error() string {
	if e.Answer == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %.200q", e.Err, e.Answer)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Class is the class of an Error, which tells whether to try again.
type Class int

// The classes of errors.
const (
	// Temporary is the class of no answer, 408, 429 and 5xx: try again.
	Temporary Class = iota
	// Operator is the class of any other 4xx, such as 401 and 403, and of redirects. The reason is
	// a wrong key, a wrong URL or a limit of the plan: every event waits until a person has
	// corrected it.
	Operator
	// Invalid is the class of 400, 413 and 422: ilert will never accept this event.
	Invalid
)

// classOf returns the class of an answer with a status other than 2xx.
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

// hint returns the advice for an answer with this status, or "" if waiting may help.
func hint(status int) string {
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

// retryAfter reads a header Retry-After in both forms of RFC 9110, section 10.2.3.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		const maxSeconds = math.MaxInt32 // more would overflow
		return time.Duration(min(max(seconds, 0), maxSeconds)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
