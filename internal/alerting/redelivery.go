package alerting

import (
	"context"
	"encoding/binary"
	"slices"
)

// The broker sends a message again, with the same packet identifier, until it has read the acknowledgement.
// It may also send a copy for each subscription that a message matches. Neither may have a second effect,
// while another message with the same bytes must have its own. So the engine keeps a receipt of each message
// that the broker may send again: a message that is stored, but whose acknowledgement the broker may not have
// read.

// Delivery is the sending of a message by the broker.
type Delivery struct {
	// Link is the number of the connection; a later connection has a higher number.
	Link uint64
	// PacketID is the packet identifier; 0 at QoS 0.
	PacketID uint16
	// Subscription is the identifier of the subscription by which the message came; 0 if the broker names none.
	Subscription uint32
	// Print is a hash of the content; 0 if the message did not come from a broker.
	Print uint64
	// Again means that the broker marks the message as one that it may have sent before.
	Again bool
}

// receipt is a Delivery that is stored.
type receipt struct {
	Delivery
	row    int64
	copy   bool     // the message had come by another subscription before
	copies []uint32 // other subscriptions by which the message has come since
	gone   bool     // drop has forgotten it
}

// receipts holds the deliveries of which the broker may not know that they are stored: at most one
// with each packet identifier, and some at QoS 0.
type receipts struct {
	session string
	stored  []ReceiptRow // as Open has read them, until UseSession chooses those of its session
	from    uint64       // earlier links belong to a session that has ended
	row     int64        // ID of the newest row
	all     []*receipt   // the oldest first
	left    int          // number of receipts in all that are not gone
	byID    map[uint16]*receipt
	byPrint map[uint64][]*receipt
	rows    map[int64]int // by row: the number of its receipts that are not gone
	empty   []int64       // rows to be deleted
}

// maxReceipts limits the number of receipts, for a broker that confirms nothing. A test sets a lower limit.
var maxReceipts = 1 << 16

// received holds the receipts that a transaction adds.
type received struct {
	row     int64 // 0 if there are no receipts
	added   []*receipt
	byID    map[uint16]*receipt
	byPrint map[uint64][]*receipt
	copied  map[*receipt][]uint32 // by receipt: the subscriptions that addTo adds to its copies
	emptied int                   // number of the first rows of receipts.empty that the transaction deletes
}

// keepReceipt keeps the receipt of a message, and reports whether the message is stored already.
func (w *work) keepReceipt(m *Message) bool {
	d, r, known := m.Delivery, &w.received, &w.engine.receipts
	if d.Print == 0 {
		return false
	}
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	if d.Link < known.from {
		return false
	}
	if r.row == 0 {
		r.row = known.row + 1
		r.byID, r.byPrint, r.copied = map[uint16]*receipt{}, map[uint64][]*receipt{}, map[*receipt][]uint32{}
	}
	one := &receipt{Delivery: d, row: r.row}
	before := r.itself(known, d)
	if before != nil {
		one.copy, one.copies = before.copy, append(slices.Clone(before.copies), r.copied[before]...)
	} else if before = r.original(known, d); before != nil {
		one.copy = true
		r.copied[before] = append(r.copied[before], d.Subscription)
	}
	r.added = append(r.added, one)
	r.byPrint[d.Print] = append(r.byPrint[d.Print], one)
	if d.PacketID != 0 {
		r.byID[d.PacketID] = one
	}
	return before != nil
}

// itself returns the receipt of the same message if the broker sends it again, or nil.
func (r *received) itself(known *receipts, d Delivery) *receipt {
	if !d.Again || d.PacketID == 0 {
		return nil
	}
	before := r.last(known, d.PacketID)
	if before == nil || before.Print != d.Print {
		return nil
	}
	return before
}

// last returns the newest receipt of a packet identifier, or nil.
func (r *received) last(known *receipts, packetID uint16) *receipt {
	if now := r.byID[packetID]; now != nil {
		return now
	}
	return known.byID[packetID]
}

// original returns the receipt of a message of which a delivery is a copy, or nil: the newest one with the same
// content that came by another subscription and has no copy by this one yet.
func (r *received) original(known *receipts, d Delivery) *receipt {
	if d.Subscription == 0 {
		return nil
	}
	for _, all := range [][]*receipt{r.byPrint[d.Print], known.byPrint[d.Print]} {
		for _, one := range slices.Backward(all) {
			replaced := one.PacketID != 0 && r.last(known, one.PacketID) != one
			if !replaced && !one.copy && one.Subscription != 0 && one.Subscription != d.Subscription &&
				!slices.Contains(one.copies, d.Subscription) && !slices.Contains(r.copied[one], d.Subscription) {
				return one
			}
		}
	}
	return nil
}

// saveReceipts collects the receipts of the transaction in one row, and the rows to be deleted.
func (w *work) saveReceipts() {
	r := &w.received
	if r.row == 0 {
		return
	}
	w.engine.memory.Lock()
	defer w.engine.memory.Unlock()
	known := &w.engine.receipts
	w.changes.NoReceipts = append(w.changes.NoReceipts, known.empty...)
	r.emptied = len(known.empty)
	if text := encodeReceipts(r.added); len(text) > 0 {
		w.changes.Receipt = &ReceiptRow{ID: r.row, Session: known.session, Receipts: text}
	}
}

// receiptSize is the number of bytes of a receipt: its packet identifier, its subscription, its
// print, and 1 if it is a copy.
const receiptSize = 2 + 4 + 8 + 1

// encodeReceipts returns the bytes of receipts. It leaves out those of QoS 0, which no broker sends again.
func encodeReceipts(all []*receipt) (text []byte) {
	for _, one := range all {
		if one.PacketID == 0 {
			continue
		}
		text = binary.BigEndian.AppendUint16(text, one.PacketID)
		text = binary.BigEndian.AppendUint32(text, one.Subscription)
		text = binary.BigEndian.AppendUint64(text, one.Print)
		copied := byte(0)
		if one.copy {
			copied = 1
		}
		text = append(text, copied)
	}
	return text
}

// addTo adds the receipts of a transaction that was committed.
func (r *received) addTo(known *receipts) {
	if r.row == 0 {
		return
	}
	known.empty = known.empty[r.emptied:]
	known.row = r.row
	for one, copies := range r.copied {
		one.copies = append(one.copies, copies...)
	}
	for _, one := range r.added {
		known.add(one)
		if one.Link < known.from { // its session has ended meanwhile
			known.drop(one)
		}
	}
}

// add adds a receipt, and drops the last one with its packet identifier.
func (r *receipts) add(one *receipt) {
	if r.byID == nil {
		r.byID, r.byPrint, r.rows = map[uint16]*receipt{}, map[uint64][]*receipt{}, map[int64]int{}
	}
	if one.PacketID != 0 {
		if before := r.byID[one.PacketID]; before != nil {
			r.drop(before)
		}
		r.byID[one.PacketID] = one
		r.rows[one.row]++
	}
	r.all = append(r.all, one)
	r.byPrint[one.Print] = append(r.byPrint[one.Print], one)
	r.left++
	for i := 0; r.left > maxReceipts; i++ {
		r.drop(r.all[i])
	}
	if len(r.all) > 2*r.left+1000 {
		r.sweep()
	}
}

// drop forgets a receipt.
func (r *receipts) drop(one *receipt) {
	if one.gone {
		return
	}
	one.gone = true
	r.left--
	same := slices.DeleteFunc(r.byPrint[one.Print], func(other *receipt) bool { return other == one })
	if r.byPrint[one.Print] = same; len(same) == 0 {
		delete(r.byPrint, one.Print)
	}
	if one.PacketID == 0 {
		return
	}
	if r.byID[one.PacketID] == one {
		delete(r.byID, one.PacketID)
	}
	if r.rows[one.row]--; r.rows[one.row] == 0 {
		delete(r.rows, one.row)
		r.empty = append(r.empty, one.row)
	}
}

// sweep removes the receipts that drop has forgotten from the list of all.
func (r *receipts) sweep() {
	r.all = slices.DeleteFunc(r.all, func(one *receipt) bool { return one.gone })
}

// recall sets the rows that the store has kept.
func (r *receipts) recall(rows []ReceiptRow) {
	r.stored = rows
	if len(rows) > 0 {
		r.row = rows[len(rows)-1].ID
	}
}

// use adds the receipts of a session that an earlier engine has stored.
func (r *receipts) use(session string) {
	r.session = session
	for _, row := range r.stored {
		if row.Session != session {
			continue
		}
		for text := row.Receipts; len(text) >= receiptSize; text = text[receiptSize:] {
			r.add(&receipt{row: row.ID, copy: text[14] == 1, Delivery: Delivery{
				PacketID: binary.BigEndian.Uint16(text), Subscription: binary.BigEndian.Uint32(text[2:]), Print: binary.BigEndian.Uint64(text[6:]),
			}})
		}
	}
	r.stored = nil
}

// Receipts returns a mark for Confirm. The mark stands for the deliveries that are stored by now.
func (e *Engine) Receipts() (mark int64) {
	e.memory.Lock()
	defer e.memory.Unlock()
	return e.receipts.row
}

// Confirm notes that the broker has read the acknowledgements of the deliveries up to a mark that came by a link, or
// by any link if all: it does not send them again. A later transaction deletes their rows.
func (e *Engine) Confirm(mark int64, link uint64, all bool) {
	e.memory.Lock()
	defer e.memory.Unlock()
	r := &e.receipts
	for _, one := range r.all {
		if one.row > mark {
			break
		}
		if all || one.Link == link {
			r.drop(one)
		}
	}
	r.sweep()
}

// EndSession notes that the broker has begun a new session with a link. Packet identifiers of earlier links mean
// nothing in it.
func (e *Engine) EndSession(link uint64) {
	e.memory.Lock()
	defer e.memory.Unlock()
	r := &e.receipts
	r.from = link
	for _, one := range r.all {
		r.drop(one)
	}
	r.all = nil
}

// UseSession takes over the deliveries of a session of the broker that an earlier engine has stored, and forgets
// those of all other sessions. The caller must call it before it applies messages with a Delivery.
func (e *Engine) UseSession(ctx context.Context, name string) error {
	return e.update(ctx, func(w *work) error {
		e.memory.Lock()
		defer e.memory.Unlock()
		for _, row := range e.receipts.stored {
			if row.Session != name {
				w.changes.NoReceipts = append(w.changes.NoReceipts, row.ID)
			}
		}
		w.onCommit(func() { e.receipts.use(name) })
		return nil
	})
}
