package consumer

import (
	"errors"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Outcome is the kind of answer to a request to ilert.
type Outcome string

// These are the outcomes.
const (
	Delivered Outcome = "delivered" // ilert took the event
	Refused   Outcome = "refused"   // ilert called the event invalid, which makes a dead letter
	Failed    Outcome = "failed"    // no answer, too many requests, a wrong key: the consumer tries again
)

// Requests counts the requests with an event for ilert since the start.
type Requests struct {
	Delivered   uint64    `json:"delivered"`
	Refused     uint64    `json:"refused"`
	Failed      uint64    `json:"failed"`
	LastError   string    `json:"lastError,omitempty"` // of the requests that did not deliver
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
}

// requests is Requests with a lock.
type requests struct {
	mu sync.Mutex
	Requests
}

// read returns the counts.
func (r *requests) read() Requests {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Requests
}

// count counts a request and returns its outcome.
func (r *requests) count(err error, at time.Time) Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.Delivered++
		return Delivered
	}
	r.LastError, r.LastErrorAt = brief(err), at
	var failed *ilert.Error
	if errors.As(err, &failed) && failed.Class == ilert.Invalid {
		r.Refused++
		return Refused
	}
	r.Failed++
	return Failed
}

// countRequest makes a request, counts it and calls the hook.
func (c *Consumer) countRequest(request func() error) error {
	began := time.Now()
	err := request()
	now := time.Now()
	outcome := c.requests.count(err, now)
	if hook := c.config.Hooks.Requested; hook != nil {
		hook(outcome, now.Sub(began))
	}
	return err
}

// brief returns the text of an error without ilert's answer, which may quote the event.
func brief(err error) string {
	var failed *ilert.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}
