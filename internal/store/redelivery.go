package store

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
)

// A broker sends a message again, under the packet identifier that it had, until it has read
// the acknowledgement; and it may send a copy for each subscription that a message matches.
// Neither may have a second effect, while another message of the same bytes must have its
// own. So the store keeps what the broker may still send again: a message that is stored, but
// whose acknowledgement the broker is not known to have read.

// Delivery is the sending of a message by the broker.
type Delivery struct {
	// Link is the number of the connection; a later one has a higher number.
	Link uint64
	// PacketID is the packet identifier; 0 at QoS 0.
	PacketID uint16
	// Subscription is the identifier of the subscription that the message came by; 0 if the
	// broker does not say.
	Subscription uint32
	// Print is the same for messages of the same content; 0 is no Delivery.
	Print uint64
	// Again says that the broker marks the message as one that it may have sent before.
	Again bool
}

// receipt is a Delivery that is stored.
type receipt struct {
	Delivery
	row    int64
	copy   bool     // of a message that came by another subscription
	copies []uint32 // the other subscriptions by which the message came
	gone   bool
}

// receipts are the deliveries that the broker may not know to be stored. There is at most one
// of each packet identifier, and some at QoS 0.
type receipts struct {
	sync.Mutex
	session string
	from    uint64     // earlier links belong to a session that has ended
	row     int64      // the last that was written
	all     []*receipt // the oldest first
	left    int        // of all
	byID    map[uint16]*receipt
	byPrint map[uint64][]*receipt
	rows    map[int64]int // how many receipts of a row are left
	empty   []int64       // rows to be deleted
}

// maxReceipts bounds those that a broker does not confirm. A test bounds them lower.
var maxReceipts = 1 << 16

// received holds the receipts that a transaction adds.
type received struct {
	cache   *receipts
	row     int64
	added   []*receipt
	byID    map[uint16]*receipt
	byPrint map[uint64][]*receipt
	copied  map[*receipt][]uint32 // what committed adds to their copies
	emptied []int64
}

// redelivered reports whether a message is stored already, and keeps its receipt.
func (c *change) redelivered(m *Message) bool {
	d := m.Delivery
	r := &c.received
	if d.Print == 0 {
		return false
	}
	r.cache.Lock()
	defer r.cache.Unlock()
	if d.Link < r.cache.from {
		return false
	}
	if r.row == 0 {
		r.row = r.cache.row + 1
		r.byID, r.byPrint, r.copied = map[uint16]*receipt{}, map[uint64][]*receipt{}, map[*receipt][]uint32{}
	}
	one := &receipt{Delivery: d, row: r.row}
	before := r.itself(d)
	switch {
	case before != nil:
		one.copy, one.copies = before.copy, append(slices.Clone(before.copies), r.copied[before]...)
	default:
		if before = r.original(d); before != nil {
			one.copy = true
			r.copied[before] = append(r.copied[before], d.Subscription)
		}
	}
	r.added = append(r.added, one)
	r.byPrint[d.Print] = append(r.byPrint[d.Print], one)
	if d.PacketID != 0 {
		r.byID[d.PacketID] = one
	}
	return before != nil
}

// itself returns the receipt of a message that comes again.
func (r *received) itself(d Delivery) *receipt {
	if !d.Again || d.PacketID == 0 {
		return nil
	}
	before := r.last(d.PacketID)
	if before == nil || before.Print != d.Print {
		return nil
	}
	return before
}

func (r *received) last(packetID uint16) *receipt {
	if now := r.byID[packetID]; now != nil {
		return now
	}
	return r.cache.byID[packetID]
}

// original returns the newest receipt of the same content that came by another subscription
// and had no copy by this one yet.
func (r *received) original(d Delivery) *receipt {
	if d.Subscription == 0 {
		return nil
	}
	for _, all := range [][]*receipt{r.byPrint[d.Print], r.cache.byPrint[d.Print]} {
		for _, one := range slices.Backward(all) {
			replaced := one.PacketID != 0 && r.last(one.PacketID) != one
			if !replaced && !one.copy && one.Subscription != 0 && one.Subscription != d.Subscription &&
				!slices.Contains(one.copies, d.Subscription) && !slices.Contains(r.copied[one], d.Subscription) {
				return one
			}
		}
	}
	return nil
}

const receiptSize = 2 + 4 + 8 + 1

// flushReceived writes the receipts in one row, and deletes the rows that are of no use.
func (c *change) flushReceived() error {
	r := &c.received
	if r.row == 0 {
		return nil
	}
	var bytes []byte
	for _, one := range r.added {
		if one.PacketID == 0 {
			continue
		}
		bytes = binary.BigEndian.AppendUint16(bytes, one.PacketID)
		bytes = binary.BigEndian.AppendUint32(bytes, one.Subscription)
		bytes = binary.BigEndian.AppendUint64(bytes, one.Print)
		copied := byte(0)
		if one.copy {
			copied = 1
		}
		bytes = append(bytes, copied)
	}
	r.cache.Lock()
	session, emptied := r.cache.session, r.cache.empty
	r.cache.Unlock()
	for _, row := range emptied {
		if err := c.exec(`DELETE FROM receipt WHERE id = ?`, row); err != nil {
			return err
		}
	}
	r.emptied = emptied
	if len(bytes) == 0 {
		return nil
	}
	return c.exec(`INSERT INTO receipt (id, session, receipts) VALUES (?, ?, ?)`, r.row, session, bytes)
}

// committed keeps in memory what is on disk now.
func (r *received) committed() {
	if r.row == 0 {
		return
	}
	cache := r.cache
	cache.Lock()
	defer cache.Unlock()
	cache.empty = cache.empty[len(r.emptied):]
	cache.row = r.row
	for one, copies := range r.copied {
		one.copies = append(one.copies, copies...)
	}
	for _, one := range r.added {
		cache.add(one)
	}
}

// add keeps a receipt, in place of the last one of its packet identifier.
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
		r.all = slices.DeleteFunc(r.all, func(one *receipt) bool { return one.gone })
	}
}

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

// Receipts returns a mark for the deliveries that are stored by now, for Confirm.
func (s *Store) Receipts() (mark int64) {
	s.receipts.Lock()
	defer s.receipts.Unlock()
	return s.receipts.row
}

// Confirm notes that the broker knows of the deliveries up to a mark that came by a link, or
// of all of them: it does not send them again. The rows on disk go with a later transaction.
func (s *Store) Confirm(mark int64, link uint64, all bool) {
	r := &s.receipts
	r.Lock()
	defer r.Unlock()
	for _, one := range r.all {
		if one.row > mark {
			break
		}
		if all || one.Link == link {
			r.drop(one)
		}
	}
	r.all = slices.DeleteFunc(r.all, func(one *receipt) bool { return one.gone })
}

// EndSession notes that the broker has begun a new session with a link: packet identifiers of
// earlier links mean nothing in it.
func (s *Store) EndSession(link uint64) {
	r := &s.receipts
	r.Lock()
	defer r.Unlock()
	r.from = link
	for _, one := range r.all {
		r.drop(one)
	}
	r.all = nil
}

// UseSession reads the deliveries of a session that an earlier process has stored, and forgets
// those of all others. It must be called before messages with a Delivery are applied.
func (s *Store) UseSession(ctx context.Context, name string) error {
	return s.change(ctx, func(c *change) error {
		if err := c.exec(`DELETE FROM receipt WHERE session <> ?`, name); err != nil {
			return err
		}
		rows, err := c.tx.QueryContext(ctx, `SELECT id, receipts FROM receipt ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		s.receipts.Lock()
		defer s.receipts.Unlock()
		s.receipts.session = name
		for rows.Next() {
			var row int64
			var bytes []byte
			if err := rows.Scan(&row, &bytes); err != nil {
				return err
			}
			s.receipts.row = row
			for ; len(bytes) >= receiptSize; bytes = bytes[receiptSize:] {
				s.receipts.add(&receipt{row: row, copy: bytes[14] == 1, Delivery: Delivery{
					PacketID: binary.BigEndian.Uint16(bytes), Subscription: binary.BigEndian.Uint32(bytes[2:]), Print: binary.BigEndian.Uint64(bytes[6:]),
				}})
			}
		}
		return rows.Err()
	})
}
