package publisher

import (
	"iter"
	"time"
)

// Stats counts events since New. In every snapshot
// Accepted = Acknowledged + Dropped + Pending. A Publisher without an address accepts
// all that is valid and counts only what it rejects.
type Stats struct {
	Accepted     uint64     `json:"accepted"`     // Publish returned nil, or taken back from the spool by New
	Acknowledged uint64     `json:"acknowledged"` // by the broker; at QoS 0, handed to the operating system
	Dropped      uint64     `json:"dropped"`      // accepted, but given up: the sum of DroppedBy
	DroppedBy    Drops      `json:"dropped_by"`
	Pending      uint64     `json:"pending"`  // accepted, and neither acknowledged nor dropped yet
	Rejected     uint64     `json:"rejected"` // Publish returned an error, not in Accepted: the sum of RejectedBy
	RejectedBy   Rejections `json:"rejected_by"`
	SpoolErrors  uint64     `json:"spool_errors"` // attempts to use the spool that failed; no events

	// OldestPending is the age of the oldest pending event, by its Timestamp, or 0 without one.
	// If it grows while the connection stands, the broker acknowledges nothing.
	OldestPending time.Duration `json:"oldest_pending_ns"`
}

// DropReason is the reason for which an accepted event was dropped.
type DropReason string

// The reasons for a drop.
const (
	Overflow       DropReason = "overflow"        // Capacity or MaxBufferedBytes was reached, and newer events came
	Expired        DropReason = "expired"         // it waited longer than Config.MessageExpiry
	TooLarge       DropReason = "too_large"       // it is longer than the broker's Maximum Packet Size
	Refused        DropReason = "refused"         // the broker acknowledged it with an error
	EndsConnection DropReason = "ends_connection" // the broker ended the connection each time that it got this event
	SpoolLost      DropReason = "spool"           // the spool's bounds of bytes or age were reached, or it could not be read back
)

// Drops counts dropped events by DropReason.
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

// RejectReason is the reason for which Publish did not accept an event.
type RejectReason string

// The reasons for a rejection.
const (
	RejectedFull     RejectReason = "full"      // ErrFull
	RejectedClosed   RejectReason = "closed"    // ErrClosed
	RejectedInvalid  RejectReason = "invalid"   // a field has a value that cannot be published
	RejectedTooLarge RejectReason = "too_large" // more than MaxEventBytes
)

// Rejections counts rejected events by RejectReason.
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
