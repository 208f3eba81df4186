// Package loglimit keeps lines that others can cause from filling a log: it writes at most one
// line of each kind a minute, with the number of lines that it stands for.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Interval is the shortest time between two lines of a kind.
const Interval = time.Minute

// Logger is a logger that writes to another one with limits. Its methods may be called
// concurrently.
type Logger struct {
	to *slog.Logger

	mu     sync.Mutex
	kinds  map[string]*kind
	closed bool
}

// kind is a kind of line of which one was written within the last Interval.
type kind struct {
	timer *time.Timer // ends the Interval
	line  line        // newest line that is held back
	held  int         // number of lines that are held back
}

// line is one line of the log.
type line struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

// New returns a Logger that writes to another one. Close writes the lines that it holds back.
func New(to *slog.Logger) *Logger { return &Logger{to: to, kinds: map[string]*kind{}} }

// Info writes a line like Warn, at the level of information.
func (l *Logger) Info(name, text string, attrs ...slog.Attr) {
	l.log(name, line{slog.LevelInfo, text, attrs})
}

// Warn writes a line, unless a line with the same name was written within the last minute. Then
// it holds the line back, and when the minute is over the Logger writes the newest line that it
// holds back, with their number as "times".
func (l *Logger) Warn(name, text string, attrs ...slog.Attr) {
	l.log(name, line{slog.LevelWarn, text, attrs})
}

// log writes a line or holds it back.
func (l *Logger) log(name string, one line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	switch {
	case l.closed:
		l.write(one)
	case k == nil:
		l.kinds[name] = &kind{timer: time.AfterFunc(Interval, func() { l.endInterval(name) })}
		l.write(one)
	default:
		k.line = one
		k.held++
	}
}

// endInterval writes the line that a kind holds back, or forgets the kind if there is none.
func (l *Logger) endInterval(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	if l.closed || k.held == 0 {
		delete(l.kinds, name)
		return
	}
	l.writeHeld(k)
	k.timer.Reset(Interval)
}

func (l *Logger) writeHeld(k *kind) {
	l.write(k.line, slog.Int("times", k.held))
	k.line, k.held = line{}, 0
}

func (l *Logger) write(one line, more ...slog.Attr) {
	l.to.LogAttrs(context.Background(), one.level, one.text, append(one.attrs[:len(one.attrs):len(one.attrs)], more...)...)
}

// Close writes the lines that are held back. Later lines are written at once.
func (l *Logger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, k := range l.kinds {
		k.timer.Stop()
		if k.held > 0 {
			l.writeHeld(k)
		}
	}
	clear(l.kinds)
}
