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

// DefaultHeartbeatURL is where heartbeats are pinged.
const DefaultHeartbeatURL = "https://beat.ilert.com"

// Ping tells ilert that the owner of a heartbeat is alive; ilert raises an alert when
// that does not come. Keys of the old kind, which begin with il1hbt, go to the API that
// the client was made for. The error holds no key.
func (c *Client) Ping(ctx context.Context, key string) error {
	method, endpoint := http.MethodHead, c.heartbeatURL+"/api/pings/"
	if strings.HasPrefix(key, "il1hbt") {
		method, endpoint = http.MethodGet, c.url+"/api/heartbeats/"
	}
	request, err := http.NewRequestWithContext(ctx, method, endpoint+url.PathEscape(key), http.NoBody)
	if err != nil {
		return errors.New("ilert: the heartbeat's key makes no URL")
	}
	response, err := c.do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostAnswer)) // lets the connection be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("ilert answered the heartbeat with %s", response.Status)
	}
	return nil
}
