// Package spool keeps a publisher's events on disk while the broker is away, so that
// they outlast the process and outgrow its memory:
//
//	config, err := publisher.ConfigFromEnv()
//	...
//	config.Spool, err = spool.FromEnv() // MPS_MQTT_SPOOL_DIR; empty: no spool
//	...
//	pub, err := publisher.New(config)
//
// An event that the broker acknowledges within a few milliseconds is never written. Every other
// event goes to disk after publisher.SpoolInterval, whose documentation says what a killed
// process loses. This process or the next publishes it, in order and with the same id, topic and
// properties. The folder holds one file of bbolt, for one process at a time.
package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// Option changes a limit of a Spool.
type Option func(*limits)

// limits are the limits of the events on disk.
type limits struct {
	maxBytes int64
	maxAge   time.Duration
}

// WithMaxBytes limits the bytes of the events on disk; default 1 GiB, about 3 million events. The
// file may become larger by half. When the limit is reached, the spool drops the oldest events,
// which are counted with the reason publisher.SpoolLost; with publisher.Config.DropNewest it
// keeps them, and newer events wait in memory.
func WithMaxBytes(n int64) Option { return func(l *limits) { l.maxBytes = n } }

// WithMaxAge limits the age of the events on disk; default 7 days. Older events are
// dropped, and counted with the reason publisher.SpoolLost, when newer ones come or when it
// is their turn to be sent. The spool reads the clock when it is opened: setting it ahead while
// the process runs makes no event old. An event that was written before the clock was set, at a
// time before 2026, has no age.
func WithMaxAge(d time.Duration) Option { return func(l *limits) { l.maxAge = d } }

// Spool is an open spool for publisher.Config.Spool, for one publisher at a time.
type Spool struct {
	holder
	file *file // nil: the spool keeps nothing
}

// holder is an unexported name for journal.Holder, so that only the publisher reaches the
// journal.
type holder = journal.Holder

var _ publisher.Spool = (*Spool)(nil)

// FromEnv calls Open with the folder that MPS_MQTT_SPOOL_DIR names. If the variable is empty, the
// Spool keeps nothing, and may be set as publisher.Config.Spool all the same.
func FromEnv(options ...Option) (*Spool, error) {
	s, err := Open(os.Getenv(mqttconn.SpoolDirVariable), options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mqttconn.SpoolDirVariable, err)
	}
	return s, nil
}

// Open opens or creates a spool in dir, a folder that it creates if necessary and that should
// hold nothing else. With an empty dir the Spool keeps nothing. Open returns an error if another
// process has the spool open, if the file is damaged or no spool, or if an option is out of
// range. It does not change such a file.
func Open(dir string, options ...Option) (*Spool, error) {
	l := limits{maxBytes: 1 << 30, maxAge: 7 * 24 * time.Hour}
	for _, option := range options {
		option(&l)
	}
	if l.maxBytes <= 0 {
		return nil, fmt.Errorf("spool: WithMaxBytes(%d): want 1 or more", l.maxBytes)
	}
	if l.maxAge <= 0 {
		return nil, fmt.Errorf("spool: WithMaxAge(%v): want more than 0", l.maxAge)
	}
	if dir == "" {
		return &Spool{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	f := &file{limits: l, path: filepath.Join(dir, fileName)}
	if err := f.guard(f.open); err != nil {
		if f.db != nil {
			_ = f.db.Close()
		}
		return nil, err
	}
	return &Spool{holder: journal.Hold(f), file: f}, nil
}

// Enabled reports whether there is a folder to keep events in. A nil Spool has none.
func (s *Spool) Enabled() bool { return s != nil && s.file != nil }

// Close closes the file; the next process finds its events. Publisher.Shutdown
// calls it; a second call does nothing.
func (s *Spool) Close() error {
	if !s.Enabled() {
		return nil
	}
	return s.file.guard(s.file.db.Close)
}
