package alerting

import "time"

// Within a source the order of arrival counts. Between sources a message may be stale: what
// one says of an alert is no news if another has said something later.

// endedMemory is the time for which it is known who has ended an alert, and when.
const endedMemory = time.Hour

// stale reports whether a change is older than the newest report of another source.
func (r Report) stale(o *origin) bool {
	m := o.message
	if o.revived {
		return r.Source != "" && o.at.Before(r.At)
	}
	return m != nil && m.MaxSkew > 0 && r.Source != "" && m.Source != "" && m.Source != r.Source && o.at.Add(m.MaxSkew).Before(r.At)
}

// renew makes the message of a change the newest report, if it is.
func (r *Report) renew(o *origin) {
	if o.message != nil && o.message.Source != "" && !o.at.Before(r.At) {
		r.At, r.Source = o.at, o.message.Source
	}
}
