package consumer

import "time"

// ProbeAfter replaces firstProbe, so that a test need not wait a minute.
func (c *Consumer) ProbeAfter(d time.Duration) {
	c.pace.mu.Lock()
	defer c.pace.mu.Unlock()
	c.pace.probe = d
}

// AskEvery replaces askInterval until restore is called.
func AskEvery(d time.Duration) (restore func()) {
	before := askInterval
	askInterval = d
	return func() { askInterval = before }
}

// Missing reports whether numbers of events are missing that may still come.
func (c *Consumer) Missing() bool { return c.sequences.waits() }

// LoseAfter replaces lostAfter until restore is called.
func LoseAfter(d time.Duration) (restore func()) {
	before := lostAfter
	lostAfter = d
	return func() { lostAfter = before }
}

// LookSoon lets the consumer look at what ilert shows now.
func (c *Consumer) LookSoon() { c.lookSoon() }

// ListRate replaces listRate until restore is called.
func ListRate(rate int) (restore func()) {
	before := listRate
	listRate = rate
	return func() { listRate = before }
}

// ShowAfter replaces showDelay until restore is called.
func ShowAfter(d time.Duration) (restore func()) {
	before := showDelay
	showDelay = d
	return func() { showDelay = before }
}
