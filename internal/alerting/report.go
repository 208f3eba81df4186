package alerting

import "time"

// Messages of one source count in the order of arrival. Between sources a message may be stale: it does not
// change an alert about which another source has sent a later report.

// endedMemory is the time for which the report about an alert is kept after the alert was deleted.
const endedMemory = time.Hour

// stale reports whether a change is older than the newest report of another source, by more than the message's
// MaxSkew. A dead letter that is taken in again is stale if any report is newer.
func (r Report) stale(o *origin) bool {
	m := o.message
	if o.revived {
		return r.Source != "" && o.at.Before(r.At)
	}
	return m != nil && m.MaxSkew > 0 && r.Source != "" && m.Source != "" && m.Source != r.Source && o.at.Add(m.MaxSkew).Before(r.At)
}

// renew makes the message of a change the newest report, unless the report is newer.
func (r *Report) renew(o *origin) {
	if o.message != nil && o.message.Source != "" && !o.at.Before(r.At) {
		r.At, r.Source = o.at, o.message.Source
	}
}
