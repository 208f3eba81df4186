// Package journal writes lines of JSON to a file, beside the work that they are about. It never holds up that work: lines
// that it cannot write are dropped and counted. A file that is full is renamed, and few old files are kept.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// maxWaiting is the number of lines that may wait to be written.
	maxWaiting = 1 << 15
	// pageBytes is the number of bytes after which the lines that wait are written.
	pageBytes = 32 << 10
	// patience is the time for which Close waits for a file that takes no bytes, such as a pipe that nobody reads.
	patience = 2 * time.Second
)

// Config holds the settings of a Journal.
type Config struct {
	Path string // of a file, or of a device such as /dev/stdout, which is never renamed
	Size int64  // bytes of the file before it is renamed
	Keep int    // old files that are kept: Path.1, the newest, to Path.Keep
	// Failed is called after lines were dropped, with the reason and the number of lines; may be nil.
	Failed func(err error, lines int)
}

// Journal is an open file of lines. Its methods may be called concurrently.
type Journal struct {
	config  Config
	wake    chan struct{}
	closing chan struct{}
	closed  chan struct{}

	mu               sync.Mutex
	waiting          []any
	ending           bool
	written, dropped uint64

	file   *os.File // nil if it has to be opened; only the writer uses this and the next
	opened fs.FileInfo
}

// Open opens the file, which it makes if there is none, readable for its owner only. The caller must call Close.
func Open(config Config) (*Journal, error) {
	j := &Journal{config: config, wake: make(chan struct{}, 1), closing: make(chan struct{}), closed: make(chan struct{})}
	if err := j.prepare(0); err != nil {
		return nil, err
	}
	go j.run()
	return j, nil
}

// errBusy is the reason why a line is dropped that comes faster than lines can be written.
var errBusy = fmt.Errorf("more than %d lines wait", maxWaiting)

// Add adds values that encoding/json writes, each a line. It does not wait, and keeps the values.
func (j *Journal) Add(lines ...any) {
	j.mu.Lock()
	full := j.ending || len(j.waiting)+len(lines) > maxWaiting
	if !full {
		j.waiting = append(j.waiting, lines...)
	}
	j.mu.Unlock()
	if full {
		j.drop(errBusy, len(lines))
		return
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Counts returns the numbers of lines that were written, and that were dropped, since the start.
func (j *Journal) Counts() (written, dropped uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written, j.dropped
}

// Close writes the lines that wait and closes the file. Lines that are added later are dropped.
func (j *Journal) Close() error {
	j.mu.Lock()
	again := j.ending
	j.ending = true
	j.mu.Unlock()
	if !again {
		close(j.closing)
	}
	select {
	case <-j.closed:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s takes no bytes, and the last lines are lost", j.config.Path)
	}
}

func (j *Journal) drop(reason error, lines int) {
	j.mu.Lock()
	j.dropped += uint64(lines)
	j.mu.Unlock()
	if j.config.Failed != nil {
		j.config.Failed(reason, lines)
	}
}

// run writes lines until Close is called.
func (j *Journal) run() {
	defer close(j.closed)
	for ended := false; !ended; {
		select {
		case <-j.wake:
		case <-j.closing:
			ended = true
		}
		j.mu.Lock()
		lines := j.waiting
		j.waiting = nil
		j.mu.Unlock()
		j.writeAll(lines)
	}
	if j.file != nil {
		_ = j.file.Close() // each line was written before
	}
}

// writeAll writes lines in pages, so that a reader sees them at once.
func (j *Journal) writeAll(lines []any) {
	var page bytes.Buffer
	encoder := json.NewEncoder(&page)
	encoder.SetEscapeHTML(false)
	n := 0
	for i, line := range lines {
		if err := encoder.Encode(line); err != nil {
			j.drop(err, 1)
		} else {
			n++
		}
		if n == 0 || page.Len() < pageBytes && i < len(lines)-1 {
			continue
		}
		if err := j.write(page.Bytes()); err != nil {
			j.drop(err, n)
		} else {
			j.mu.Lock()
			j.written += uint64(n)
			j.mu.Unlock()
		}
		page.Reset()
		n = 0
	}
}

// write writes whole lines or, if the disk is full, nothing.
func (j *Journal) write(page []byte) error {
	if err := j.prepare(int64(len(page))); err != nil {
		return err
	}
	n, err := j.file.Write(page)
	if err == nil || n == 0 {
		return err
	}
	info, statErr := j.file.Stat()
	if statErr == nil && info.Mode().IsRegular() {
		err = errors.Join(err, j.file.Truncate(info.Size()-int64(n))) // half a line would make the next one unreadable
	}
	return err
}

// prepare opens the file if there is none at its path, because somebody has moved it, and makes room for more bytes.
func (j *Journal) prepare(more int64) error {
	info, err := os.Stat(j.config.Path)
	if j.file != nil && (err != nil || !os.SameFile(info, j.opened)) {
		_ = j.file.Close()
		j.file = nil
	}
	if err == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size()+more > j.config.Size {
		if j.file != nil {
			_ = j.file.Close() // Windows renames no open file
			j.file = nil
		}
		if err := j.rotate(); err != nil {
			return err
		}
	}
	if j.file != nil {
		return nil
	}
	file, err := os.OpenFile(j.config.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if j.opened, err = file.Stat(); err != nil {
		return errors.Join(err, file.Close())
	}
	j.file = file
	return nil
}

// rotate renames the file and the old ones, and removes the oldest.
func (j *Journal) rotate() error {
	if j.config.Keep == 0 {
		return os.Remove(j.config.Path)
	}
	old := func(n int) string { return fmt.Sprintf("%s.%d", j.config.Path, n) }
	for n := j.config.Keep - 1; n > 0; n-- {
		if err := os.Rename(old(n), old(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(j.config.Path, old(1))
}
