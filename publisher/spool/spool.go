// Package spool keeps a publisher's events on disk while the broker is away, so that
// they outlast the process and outgrow its memory:
//
//	config, err := publisher.ConfigFromEnv()
//	...
//	config.Spool, err = spool.FromEnv() // MPS_MQTT_SPOOL_DIR; empty: no spool
//	...
//	pub, err := publisher.New(config)
//
// What the broker acknowledges within a few milliseconds is never written. What it
// does not goes to disk after publisher.SpoolInterval, which says what a killed process
// loses, and is published, in order and with the same id, topic and properties, by this
// process or the next. The folder holds one file of bbolt, for one process at a time.
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

// limits bound what is kept on disk.
type limits struct {
	maxBytes int64
	maxAge   time.Duration
}

// WithMaxBytes bounds the events on disk; default 1 GiB, about 3 million events. The file
// may become a half larger. When the events reach the bound the oldest make room, and are
// counted as dropped with the reason publisher.SpoolLost; with publisher.Config.DropNewest
// they stay, and what is newer waits in memory.
func WithMaxBytes(n int64) Option { return func(l *limits) { l.maxBytes = n } }

// WithMaxAge bounds how long an event is kept on disk; default 7 days. Older ones are
// dropped, and counted with the reason publisher.SpoolLost, when newer ones come or when it
// is their turn. The clock is read when the spool is opened: setting it ahead while the
// process runs makes nothing old. An event that was written before the clock was set, at a
// time before 2026, has no age.
func WithMaxAge(d time.Duration) Option { return func(l *limits) { l.maxAge = d } }

// Spool is an open spool, to be set as publisher.Config.Spool. It is one publisher's alone.
type Spool struct {
	holder
	file *file // nil: it keeps nothing
}

// holder is unexported so that nothing but the publisher gets hold of the journal.
type holder = journal.Holder

var _ publisher.Spool = (*Spool)(nil)

// FromEnv is Open with the folder that MPS_MQTT_SPOOL_DIR names. If that is empty the
// Spool may be set all the same, and keeps nothing.
func FromEnv(options ...Option) (*Spool, error) {
	s, err := Open(os.Getenv(mqttconn.SpoolDirVariable), options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mqttconn.SpoolDirVariable, err)
	}
	return s, nil
}

// Open opens or creates a spool in dir, a folder of the spool's own, which is made if need
// be; with an empty dir the Spool keeps nothing. A spool that another process has open, a
// file there that is no spool or damaged, and an option out of range are errors, which name
// it; the file is left as it is.
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

// Close closes the file, whose events are there for the next process. Publisher.Shutdown
// calls it; a second call does nothing.
func (s *Spool) Close() error {
	if !s.Enabled() {
		return nil
	}
	return s.file.guard(s.file.db.Close)
}
