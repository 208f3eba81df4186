package publisher

// deque is a first-in-first-out queue of packets that grows as needed.
type deque struct {
	ring  []*packet // its length is a power of two
	front int
	count int
	bytes int // memory of the packets in it
}

func (d *deque) len() int { return d.count }

// at returns the packet at place i, counted from the front.
func (d *deque) at(i int) *packet { return d.ring[(d.front+i)&(len(d.ring)-1)] }

// push adds p at the back.
func (d *deque) push(p *packet) {
	if d.count == len(d.ring) {
		ring := make([]*packet, max(64, 2*len(d.ring)))
		for i := range d.count {
			ring[i] = d.at(i)
		}
		d.ring, d.front = ring, 0
	}
	d.ring[(d.front+d.count)&(len(d.ring)-1)] = p
	d.count++
	d.bytes += p.memory()
}

// pop removes the packet at the front and returns it.
func (d *deque) pop() *packet {
	p := d.at(0)
	d.ring[d.front] = nil
	d.front = (d.front + 1) & (len(d.ring) - 1)
	d.count--
	d.bytes -= p.memory()
	return p
}

// within returns the number of packets at the front that are within both limits. The last of
// them may exceed the limit of bytes.
func (d *deque) within(packets, bytes int) (n int) {
	for ; n < min(packets, d.count) && bytes > 0; n++ {
		bytes -= d.at(n).memory()
	}
	return n
}

// upTo returns how many packets have a number of at most n. They are at the front, since numbers
// ascend.
func (d *deque) upTo(n uint64) int {
	low, high := 0, d.count
	for low < high {
		if middle := (low + high) / 2; d.at(middle).number <= n {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
