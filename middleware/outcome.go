package middleware

import (
	"cmp"
	"errors"
	"net/http"
	"syscall"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// deviceNotFound holds the words of a call whose device is not connected.
var deviceNotFound = newWords(openamt.DeviceNotFound)

// writeEnd sets e to the last event of a call whose handlers have returned. The guid is
// that of the path.
func (cfg *config) writeEnd(e *event.Event, c *gin.Context, w gin.ResponseWriter, r *route, guid string, overrides overrides) {
	status := statusOf(c, w)
	e.Actor = cfg.actorOf(c, overrides, e.Actor)
	guid = cmp.Or(overrides.guid, guid)
	outcome := overrides.outcome
	if outcome == "" && cfg.outcome != nil {
		outcome = known(cfg.outcome(c, status))
	}
	if outcome == "" {
		outcome = byStatus(status, r.needsDevice)
	}
	if outcome == event.OutcomeOK {
		r.success.write(e, event.Success, guid)
		e.Outcome = event.OutcomeOK
	} else {
		r.writeFail(e, status, outcome, guid)
	}
	e.Message = cmp.Or(overrides.message, e.Message)
}

// writeFail sets e to the last event of a call that failed.
func (r *route) writeFail(e *event.Event, status int, outcome event.Outcome, guid string) {
	words := &r.fail
	switch {
	case status == http.StatusNotFound && r.needsDevice && outcome == event.OutcomeUnreachable:
		words = &deviceNotFound
	case status >= http.StatusInternalServerError:
		words = &r.error
	}
	words.write(e, event.Fail, guid)
	e.Outcome = outcome
	if status >= 100 && status <= 599 { // a writer accepts other numbers, event.Event does not
		e.HTTPStatus = status
	}
}

// statusOf returns the status of the answer. A gin.Recovery after this middleware
// leaves 200 when a handler has panicked with http.ErrAbortHandler or because a
// connection, perhaps to the device, was broken: it adds the error to c.Errors and aborts. For
// these statusOf returns 500.
func statusOf(c *gin.Context, w gin.ResponseWriter) int {
	status := w.Status()
	if n := len(c.Errors); n > 0 && c.IsAborted() && status < http.StatusBadRequest {
		err := c.Errors[n-1]
		if errors.Is(err, http.ErrAbortHandler) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return http.StatusInternalServerError
		}
	}
	return status
}

// byStatus returns the outcome of a call that was answered with an HTTP status. A 4xx means that
// the caller made a mistake or, with 408 and 499, went away; a 404 means that there is no device
// if the route needs one.
func byStatus(status int, needsDevice bool) event.Outcome {
	switch {
	case status < http.StatusBadRequest:
		return event.OutcomeOK
	case status == http.StatusNotFound && needsDevice,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return event.OutcomeUnreachable
	case status < http.StatusInternalServerError:
		return event.OutcomeClient
	default:
		return event.OutcomeServer
	}
}

// known returns outcome, or "" if it is not one of event's outcomes: an emitter would refuse that
// event, and the call would have no last event.
func known(outcome event.Outcome) event.Outcome {
	switch outcome {
	case event.OutcomeOK, event.OutcomeClient, event.OutcomeUnreachable, event.OutcomeDevice, event.OutcomeServer:
		return outcome
	default:
		return ""
	}
}
