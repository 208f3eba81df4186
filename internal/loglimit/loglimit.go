// Package loglimit keeps what anybody can cause from filling a log: of each kind of line it
// writes one a minute at most, with the number of times that the line stands for.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Interval is the time between two lines of a kind.
const Interval = time.Minute

// Logger writes lines to another logger. Its methods may be called concurrently.
type Logger struct {
	to *slog.Logger

	mu     sync.Mutex
	kinds  map[string]*kind
	closed bool
}

// kind is a kind of line of which one was written lately.
type kind struct {
	over *time.Timer // when the next may be written
	line line        // the newest that was not
	held int         // how many were not
}

type line struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

// New returns a Logger that writes to another one. Close it to write what it holds.
func New(to *slog.Logger) *Logger { return &Logger{to: to, kinds: map[string]*kind{}} }

// Info is like Warn, for what is no fault.
func (l *Logger) Info(name, text string, attrs ...slog.Attr) {
	l.log(name, line{slog.LevelInfo, text, attrs})
}

// Warn writes a line, unless one of the kind of that name was written within the last minute.
// Then it holds the line, and when the minute is over writes the newest of those that it holds,
// with their number as "times".
func (l *Logger) Warn(name, text string, attrs ...slog.Attr) {
	l.log(name, line{slog.LevelWarn, text, attrs})
}

func (l *Logger) log(name string, one line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	switch {
	case l.closed:
		l.write(one)
	case k == nil:
		l.kinds[name] = &kind{over: time.AfterFunc(Interval, func() { l.next(name) })}
		l.write(one)
	default:
		k.line = one
		k.held++
	}
}

// next writes what a kind holds, or forgets the kind.
func (l *Logger) next(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	if l.closed || k.held == 0 {
		delete(l.kinds, name)
		return
	}
	l.writeHeld(k)
	k.over.Reset(Interval)
}

func (l *Logger) writeHeld(k *kind) {
	l.write(k.line, slog.Int("times", k.held))
	k.line, k.held = line{}, 0
}

func (l *Logger) write(one line, more ...slog.Attr) {
	l.to.LogAttrs(context.Background(), one.level, one.text, append(one.attrs[:len(one.attrs):len(one.attrs)], more...)...)
}

// Close writes what is held. What is logged later is written at once.
func (l *Logger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, k := range l.kinds {
		k.over.Stop()
		if k.held > 0 {
			l.writeHeld(k)
		}
	}
	clear(l.kinds)
}
