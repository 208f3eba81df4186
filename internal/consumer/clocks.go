package consumer

import "context"

// keepClocks stores the changes of clocks. If it fails, the next messages try again.
func (c *Consumer) keepClocks(ctx context.Context) {
	clocks := c.clocks.TakeUnkept()
	if len(clocks) == 0 {
		return
	}
	if err := c.alerts.KeepClocks(ctx, clocks); err != nil {
		c.clocks.PutBack(clocks)
	}
}
