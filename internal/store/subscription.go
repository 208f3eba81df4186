package store

import (
	"context"
	"database/sql"
)

// Subscribing notes that a session is about to be subscribed to topic filters, beside those
// that it may be subscribed to already, and returns the latter.
func (s *Store) Subscribing(ctx context.Context, clientID string, filters []string) (already []string, err error) {
	err = s.change(ctx, func(c *change) error {
		already = nil
		err := c.each(func(rows *sql.Rows) error {
			var filter string
			err := rows.Scan(&filter)
			already = append(already, filter)
			return err
		}, `SELECT filter FROM subscription WHERE client_id = ? ORDER BY filter`, clientID)
		for _, filter := range filters {
			if err == nil {
				err = c.exec(`INSERT INTO subscription (client_id, filter) VALUES (?, ?) ON CONFLICT DO NOTHING`, clientID, filter)
			}
		}
		return err
	})
	return already, err
}

// Subscribed notes that a session is subscribed to these topic filters, and to no others.
func (s *Store) Subscribed(ctx context.Context, clientID string, filters []string) error {
	return s.change(ctx, func(c *change) error {
		err := c.exec(`DELETE FROM subscription WHERE client_id = ?`, clientID)
		for _, filter := range filters {
			if err == nil {
				err = c.exec(`INSERT INTO subscription (client_id, filter) VALUES (?, ?) ON CONFLICT DO NOTHING`, clientID, filter)
			}
		}
		return err
	})
}
