package consumer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Shown is the result of the last look at what ilert shows. It answers whether that is true.
type Shown struct {
	// True is "yes", "no" or "unknown", and Why the reason.
	True string `json:"true"`
	Why  string `json:"why"`

	LookedAt time.Time `json:"lookedAt,omitzero"` // the time of the last complete look
	NextLook time.Time `json:"nextLook,omitzero"`
	Error    string    `json:"error,omitempty"` // the reason why the last look was not complete

	alerting.Compared               // the sums of all sources
	Sources           []ShownSource `json:"sources"`
	// Repairs counts what was mended since the start.
	Repairs Repairs `json:"repairs"`
}

// ShownSource is the result of the last look for the alert source of an integration key.
type ShownSource struct {
	Key    string `json:"key"` // the name of the integration key
	ID     int64  `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`   // at ilert
	Status string `json:"status,omitempty"` // at ilert, such as IN_MAINTENANCE
	Well   bool   `json:"well"`             // neither in maintenance nor disabled
	Note   string `json:"note,omitempty"`   // what follows if it is not well
	Error  string `json:"error,omitempty"`  // the reason why it could not be looked at

	alerting.Compared

	key ilert.IntegrationKey
}

// Repairs counts what was sent to ilert again although no message has asked for it.
type Repairs struct {
	alerting.Repairs
	Repeated uint64 `json:"repeated"` // alerts, because time had passed
}

// shown keeps the result of looks for Status.
type shown struct {
	repeated atomic.Uint64

	mu       sync.Mutex
	lookedAt time.Time
	next     time.Time
	sources  []ShownSource
	err      error
	repairs  alerting.Repairs
	lost     map[string]string // the errors of sources that were reported
}

// set notes a look, and returns the error of the one before.
func (s *shown) set(sources []ShownSource, looked alerting.Looked, at time.Time, err error) (before error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.err = s.err, err
	s.repairs.ToldAgain += looked.Repairs.ToldAgain
	s.repairs.Resolved += looked.Repairs.Resolved
	s.repairs.Accepted += looked.Repairs.Accepted
	if err == nil {
		s.lookedAt, s.sources = at, sources
	}
	return before
}

func (s *shown) setNext(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = at
}

// newlyLost returns the sources that could not be looked at, for a reason that is new.
func (s *shown) newlyLost(sources []ShownSource) (all []ShownSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range sources {
		if one.Error != "" && s.lost[one.Key] != one.Error {
			all = append(all, one)
		}
		if s.lost == nil {
			s.lost = map[string]string{}
		}
		s.lost[one.Key] = one.Error
	}
	return all
}

// read returns what the last look has found, as of a time.
func (s *shown) read(looks bool, now time.Time) Shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Shown{LookedAt: s.lookedAt, NextLook: s.next, Sources: []ShownSource{}, Repairs: Repairs{s.repairs, s.repeated.Load()}}
	if s.err != nil {
		r.Error = brief(s.err)
	}
	for _, one := range s.sources {
		if !one.Well && one.Error == "" {
			one.Note = "nobody will be paged: ilert takes events of this source, and makes no alerts of them"
		}
		r.Sources = append(r.Sources, one)
		r.add(one.Compared)
	}
	r.True, r.Why = r.judge(looks, now)
	return r
}

func (r *Shown) add(c alerting.Compared) {
	r.Desired += c.Desired
	r.Told += c.Told
	r.Shown += c.Shown
	r.Accepted += c.Accepted
	r.Closed += c.Closed
	r.Fresh += c.Fresh
	r.Differ += c.Differ
	r.Others += c.Others
	if since := c.DifferSince; !since.IsZero() && (r.DifferSince.IsZero() || since.Before(r.DifferSince)) {
		r.DifferSince = since
	}
}

// judge says whether what ilert shows is true.
func (r *Shown) judge(looks bool, now time.Time) (verdict, why string) {
	at := r.LookedAt.UTC().Format(time.RFC3339)
	switch {
	case !looks:
		return "unknown", "nobody looks at what ilert shows: set --ilert_api_key; until then alerts that stay true are sent again after --repeat"
	case r.Error != "":
		return "unknown", "the last look failed, alerts that stay true are sent again after --repeat: " + r.Error
	case r.LookedAt.IsZero():
		return "unknown", "the first look is not complete yet"
	}
	for _, s := range r.Sources {
		switch {
		case s.Error != "":
			return "unknown", fmt.Sprintf("the alert source of %s could not be looked at: %s", s.Key, s.Error)
		case !s.Well:
			return "no", fmt.Sprintf("nobody will be paged: the alert source %d of %s is %s", s.ID, s.Key, s.Status)
		}
	}
	if r.Differ > 0 {
		return "no", fmt.Sprintf("ilert does not show what it should of %d alerts, of the first since %s; of these a person has closed %d",
			r.Differ, r.DifferSince.UTC().Format(time.RFC3339), r.Closed)
	}
	return "yes", fmt.Sprintf("ilert showed what it should at %s, %s ago; %d alerts are too new to judge", at, now.Sub(r.LookedAt).Round(time.Second), r.Fresh)
}
