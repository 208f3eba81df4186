package ilert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// DefaultHeartbeatURL is the URL of ilert's heartbeats.
const DefaultHeartbeatURL = "https://beat.ilert.com"

// Ping pings a heartbeat; ilert raises an alert when the pings stop. Keys of the old kind, which
// begin with il1hbt, are pinged at the URL of the API. The error holds no key.
func (c *Client) Ping(ctx context.Context, key string) error {
	method, endpoint := http.MethodHead, c.heartbeatURL+"/api/pings/"
	if strings.HasPrefix(key, "il1hbt") {
		method, endpoint = http.MethodGet, c.url+"/api/heartbeats/"
	}
	request, err := http.NewRequestWithContext(ctx, method, endpoint+url.PathEscape(key), http.NoBody)
	if err != nil {
		return errors.New("ilert: the key of the heartbeat cannot be part of a URL")
	}
	response, err := c.do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // lets the connection be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("ilert answered the heartbeat with %s", response.Status)
	}
	return nil
}
