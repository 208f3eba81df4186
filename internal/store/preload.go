package store

import (
	"database/sql"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// together is how many alerts one query reads: what SQLite does for a query costs far more
// than what it does for a row.
const together = 64

var readTogether = `SELECT ` + columns + ` FROM alert WHERE integration_key = ? AND folded_key IN (?` + strings.Repeat(",?", together-1) + `)`

// preload reads alerts that will be asked for, or that they are not there.
func (c *change) preload(keys []key) error {
	const few = 4
	if len(keys) < few {
		return nil
	}
	wanted := map[ilert.IntegrationKey][]string{}
	for _, k := range keys {
		if _, known := c.rows[k]; !known {
			c.rows[k] = nil
			wanted[k.integration] = append(wanted[k.integration], k.folded)
		}
	}
	for integrationKey, all := range wanted {
		for some := range slices.Chunk(all, together) {
			args := make([]any, 1, 1+together)
			args[0] = integrationKey
			for i := range together {
				args = append(args, some[min(i, len(some)-1)])
			}
			err := c.each(func(rows *sql.Rows) error {
				a, err := scan(rows)
				c.rows[a.key] = a
				return err
			}, readTogether, args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keysOfMessages are the alerts that messages name.
func keysOfMessages(messages []Message) (keys []key) {
	for i := range messages {
		for _, effect := range messages[i].Decision.Effects {
			switch e := effect.(type) {
			case decision.Raise:
				keys = append(keys, keyOf(e.Key))
			case decision.Accept:
				keys = append(keys, keyOf(e.Key))
			case decision.End:
				keys = append(keys, keyOf(e.Key))
			}
		}
	}
	return keys
}
