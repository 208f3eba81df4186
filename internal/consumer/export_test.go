package consumer

import "time"

// ProbeAfter lets keys that ilert refuses be tried again sooner than is seemly.
func (c *Consumer) ProbeAfter(d time.Duration) {
	c.pace.mu.Lock()
	defer c.pace.mu.Unlock()
	c.pace.probe = d
}
