package store

import (
	"database/sql"
	"errors"
	"time"
)

// Within a source the order of arrival counts. Between sources a message may be stale: what
// one says of an alert is no news if another has said something later.

// endMemory is how long it is known who has ended an alert, and when.
const endMemory = time.Hour

// said is who has spoken last of an alert, and when.
type said struct {
	at time.Time
	by string // a source; empty is nobody known
}

// stale says whether a change was overtaken by what another source has said.
func (s said) stale(o *origin) bool {
	m := o.message
	if o.revived {
		return s.by != "" && o.at.Before(s.at)
	}
	return m != nil && m.MaxSkew > 0 && s.by != "" && m.Source != "" && m.Source != s.by && o.at.Add(m.MaxSkew).Before(s.at)
}

// hear takes note of who speaks.
func (s *said) hear(o *origin) {
	if o.message != nil && o.message.Source != "" && !o.at.Before(s.at) {
		s.at, s.by = o.at, o.message.Source
	}
}

// ended returns who has ended an alert that is no more.
func (c *change) ended(k key) (said, error) {
	if s, now := c.ends[k]; now {
		return s, nil
	}
	var s said
	var at int64
	err := c.row(`SELECT at, source FROM ended WHERE integration_key = ? AND folded_key = ?`, k.integration, k.folded).Scan(&at, &s.by)
	if errors.Is(err, sql.ErrNoRows) {
		return said{}, nil
	}
	s.at = timeOf(at)
	return s, err
}

func (c *change) flushEnds() error {
	for k, s := range c.ends {
		err := c.exec(`INSERT OR REPLACE INTO ended (integration_key, folded_key, at, source) VALUES (?, ?, ?, ?)`, k.integration, k.folded, millis(s.at), s.by)
		if err != nil {
			return err
		}
	}
	clear(c.ends)
	return nil
}

// pruneEnds forgets those that tell nothing any more.
func (c *change) pruneEnds(now time.Time) error {
	return c.exec(`DELETE FROM ended WHERE at <= ?`, millis(now.Add(-endMemory)))
}
