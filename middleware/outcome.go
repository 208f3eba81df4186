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

// deviceNotFound are the words of calls whose device is not connected.
var deviceNotFound = newWords(openamt.DeviceNotFound)

// writeEnd makes e the last event of a call whose handlers have returned. The guid is
// that of the path.
func (cfg *config) writeEnd(e *event.Event, c *gin.Context, w gin.ResponseWriter, r *route, guid string, said said) {
	status := statusOf(c, w)
	e.Actor = cfg.actorOf(c, said, e.Actor)
	guid = cmp.Or(said.guid, guid)
	outcome := said.outcome
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
	e.Message = cmp.Or(said.message, e.Message)
}

// writeFail makes e the last event of a call that did not work.
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
	if status >= 100 && status <= 599 { // a writer lets others pass, an event does not
		e.HTTPStatus = status
	}
}

// statusOf returns the status of the answer. A gin.Recovery inside this middleware
// leaves 200 when a handler has panicked with http.ErrAbortHandler or because a
// connection, perhaps to the device, was broken: it notes the error and aborts.
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

// byStatus says how a call ended that was answered with an HTTP status. A 4xx says that
// the caller made a mistake or, 408 and 499, went away; only where a device is needed
// does a 404 say that there is none.
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

// known returns outcome, or "" if it is none: an event that has one is refused, and a
// call must not stay without its end.
func known(outcome event.Outcome) event.Outcome {
	switch outcome {
	case event.OutcomeOK, event.OutcomeClient, event.OutcomeUnreachable, event.OutcomeDevice, event.OutcomeServer:
		return outcome
	default:
		return ""
	}
}
