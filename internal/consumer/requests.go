package consumer

import (
	"errors"
	"sync"
	"time"

	"github.com/mps-events/mps-events/internal/ilert"
)

// Outcome is what came of a request to ilert.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // ilert took the event
	Refused   Outcome = "refused"   // it called the event invalid, which makes a dead letter
	Failed    Outcome = "failed"    // no answer, too many requests, a wrong key: it is tried again
)

// Requests counts the requests that gave ilert an event, since the start.
type Requests struct {
	Delivered   uint64    `json:"delivered"`
	Refused     uint64    `json:"refused"`
	Failed      uint64    `json:"failed"`
	LastError   string    `json:"lastError,omitempty"` // of those that were not delivered
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
}

// requests counts them.
type requests struct {
	mu sync.Mutex
	Requests
}

func (r *requests) read() Requests {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Requests
}

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

// counted makes a request and counts it.
func (c *Consumer) counted(request func() error) error {
	began := time.Now()
	err := request()
	now := time.Now()
	outcome := c.requests.count(err, now)
	if told := c.config.Hooks.Requested; told != nil {
		told(outcome, now.Sub(began))
	}
	return err
}

// brief is what an error says, but for ilert's answer, which may quote what it was told.
func brief(err error) string {
	var failed *ilert.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}
