package publisher

import (
	"iter"
	"time"
)

// Stats holds the numbers of events since New. In every snapshot
// Accepted = Acknowledged + Dropped + Pending. A Publisher without an address accepts
// every valid event and counts only the events that it rejects.
type Stats struct {
	Accepted     uint64     `json:"accepted"`     // events for which Publish returned nil, or that New found in the spool
	Acknowledged uint64     `json:"acknowledged"` // events that the broker acknowledged; at QoS 0, that the operating system took
	Dropped      uint64     `json:"dropped"`      // events that were accepted but not delivered: the sum of DroppedBy
	DroppedBy    Drops      `json:"dropped_by"`
	Pending      uint64     `json:"pending"`  // events that were accepted, but neither acknowledged nor dropped yet
	Rejected     uint64     `json:"rejected"` // events for which Publish returned an error, not in Accepted: the sum of RejectedBy
	RejectedBy   Rejections `json:"rejected_by"`
	SpoolErrors  uint64     `json:"spool_errors"` // attempts, not events: failed reads and writes of the spool

	// OldestPending is the age of the oldest pending event in memory, by its Timestamp, or 0 if there
	// is none. If it grows on a connection that stands, the broker acknowledges nothing.
	OldestPending time.Duration `json:"oldest_pending_ns"`
}

// DropReason is the reason why an accepted event was dropped.
type DropReason string

// The reasons for a drop.
const (
	Overflow       DropReason = "overflow"        // Capacity or MaxBufferedBytes was reached, and newer events came
	Expired        DropReason = "expired"         // the event waited longer than Config.MessageExpiry
	TooLarge       DropReason = "too_large"       // the event is longer than the broker's Maximum Packet Size
	Refused        DropReason = "refused"         // the broker acknowledged the event with an error
	EndsConnection DropReason = "ends_connection" // the broker ended the connection each time that it got the event
	SpoolLost      DropReason = "spool"           // the spool's limit of bytes or age was reached, or the event could not be read from it
)

// Drops holds the numbers of dropped events by DropReason.
type Drops struct {
	Overflow       uint64 `json:"overflow"`
	Expired        uint64 `json:"expired"`
	TooLarge       uint64 `json:"too_large"`
	Refused        uint64 `json:"refused"`
	EndsConnection uint64 `json:"ends_connection"`
	SpoolLost      uint64 `json:"spool"`
}

// All yields every reason and its count, zeros included, always in the same order.
func (d Drops) All() iter.Seq2[DropReason, uint64] {
	return func(yield func(DropReason, uint64) bool) {
		_ = yield(Overflow, d.Overflow) && yield(Expired, d.Expired) && yield(TooLarge, d.TooLarge) &&
			yield(Refused, d.Refused) && yield(EndsConnection, d.EndsConnection) && yield(SpoolLost, d.SpoolLost)
	}
}

// RejectReason is the reason why Publish did not accept an event.
type RejectReason string

// The reasons for a rejection.
const (
	RejectedFull     RejectReason = "full"      // Publish returned ErrFull
	RejectedClosed   RejectReason = "closed"    // Publish returned ErrClosed
	RejectedInvalid  RejectReason = "invalid"   // a field has a value that cannot be published
	RejectedTooLarge RejectReason = "too_large" // the event has more than MaxEventBytes
)

// Rejections holds the numbers of rejected events by RejectReason.
type Rejections struct {
	Full     uint64 `json:"full"`
	Closed   uint64 `json:"closed"`
	Invalid  uint64 `json:"invalid"`
	TooLarge uint64 `json:"too_large"`
}

// All yields every reason and its count, zeros included, always in the same order.
func (r Rejections) All() iter.Seq2[RejectReason, uint64] {
	return func(yield func(RejectReason, uint64) bool) {
		_ = yield(RejectedFull, r.Full) && yield(RejectedClosed, r.Closed) &&
			yield(RejectedInvalid, r.Invalid) && yield(RejectedTooLarge, r.TooLarge)
	}
}
