package publisher

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/publisher/internal/journal"
)

// world is the model of all that surrounds a queue and its keeper: a server that publishes, a
// broker and a disk. Things happen in it one after another, in random order, also while the
// keeper writes to the disk. The world knows the fate of each event from what the broker and the
// disk have seen, and checks that the queue agrees.
type world struct {
	t          *testing.T
	random     *rand.Rand
	encoder    encoder
	capacity   int
	maxBytes   int
	dropNewest bool
	disk       *memorySpool

	next     int                // event to publish next
	fates    map[int]DropReason // fates of the events that have left the queue
	culprits map[int]int        // events for which the broker ends connections, and the numbers of ended ones

	// Of this process.
	queue    *queue
	keeper   *keeper
	idle     bool   // the keeper waits to be woken
	upTo     uint64 // like due in keeper.run
	waiting  bool   // the sender waits to be woken
	accepted uint64
	refused  uint64 // number of events that Publish refused
	counts   map[DropReason]uint64
	flushes  map[chan struct{}]int // channels of Flush, and the first event that each does not wait for
	newest   int                   // newest event that was ever sent
	ids      map[int]uint16        // packet identifiers of the events that were sent
	ever     map[int]bool          // events that were ever sent
	tried    map[int]bool          // events that were sent in the broker's session

	// Of the connection. link is nil without one.
	link           *mqttconn.Link
	qos            byte
	receiveMaximum int
	last           int   // event that was sent last on it
	controls       bool  // last was the first event on it, and an older one may follow
	open           []int // at QoS 1: events that are not acknowledged
	writing        []int // events of the write that has not returned; nil if there is none
	writingTo      *mqttconn.Link
}

// delivered is the fate of an event that is not dropped.
const delivered DropReason = "delivered"

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	topic, err := parseTopic("t")
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(seed, 0))
	w := &world{
		t: t, random: random, encoder: newEncoder(Config{Source: "s"}, topic),
		capacity: minCapacityWithSpool + random.IntN(12), maxBytes: math.MaxInt, dropNewest: random.IntN(3) == 0, fates: map[int]DropReason{}, culprits: map[int]int{},
	}
	if random.IntN(4) == 0 {
		w.capacity = 20 + random.IntN(60)
	}
	if random.IntN(2) == 0 {
		w.maxBytes = 8*largestInModel + random.IntN(w.capacity*largestInModel/4)
	}
	failuresOfTen, ages := random.IntN(5), random.IntN(3) == 0
	w.disk = newMemorySpool(math.MaxInt)
	if random.IntN(2) == 0 {
		w.disk.room = 5 + random.IntN(4*w.capacity)
	}
	w.disk.commitFails = func() bool { return random.IntN(10) < failuresOfTen }
	w.disk.loadFails = w.disk.commitFails
	w.disk.tooOld = func() bool { return ages && random.IntN(50) == 0 }
	w.disk.during = func() {
		for range random.IntN(3) {
			w.somethingHappens()
		}
	}
	w.disk.gone = func(r journal.Record) {
		w.must(!w.dropNewest, "number %d made room on disk", r.Number)
		w.ends(eventIn(r.Data), SpoolLost)
	}
	w.disk.aged = func(r journal.Record) {
		if n := eventIn(r.Data); w.fates[n] != Overflow { // else it is counted as dropped already
			w.ends(n, SpoolLost)
		}
	}
	w.start()
	return w
}

// eventIn returns the number of the event in a packet or a record.
func eventIn(b []byte) int {
	_, after, _ := bytes.Cut(b, []byte(`"message":"`))
	number, _, _ := bytes.Cut(after, []byte(`"`))
	n, err := strconv.Atoi(string(number))
	if err != nil {
		panic(err)
	}
	return n
}

// must fails the test if a condition does not hold.
func (w *world) must(holds bool, format string, args ...any) {
	if !holds {
		w.t.Helper()
		require.FailNow(w.t, fmt.Sprintf(format, args...), "capacity %d, %d bytes, DropNewest %v", w.capacity, w.maxBytes, w.dropNewest)
	}
}

// ends notes the fate of event n, and checks that it had none.
func (w *world) ends(n int, fate DropReason) {
	w.t.Helper()
	w.must(w.fates[n] == "", "event %d: %s, but it was %s already", n, fate, w.fates[n])
	w.fates[n] = fate
	w.counts[fate]++
}

// start starts a process, whose queue takes over the events on disk.
func (w *world) start() {
	w.queue = newQueue(w.capacity, w.maxBytes, w.dropNewest)
	w.queue.restore(w.disk.Range())
	w.keeper = newKeeper(w.queue, w.disk, slog.New(slog.DiscardHandler))
	w.idle, w.waiting, w.upTo = false, true, 0
	w.accepted, w.refused = uint64(len(w.disk.records)), 0
	w.counts, w.flushes = map[DropReason]uint64{}, map[chan struct{}]int{}
	w.newest, w.ids, w.ever, w.tried = -1, map[int]uint16{}, map[int]bool{}, map[int]bool{}
	w.link, w.open, w.writing = nil, nil, nil
}

// largestInModel is about the memory of the largest packet; the others have all smaller sizes.
const largestInModel = 4 << 10

// publish publishes an event, and checks that the queue refuses it only when memory is full.
func (w *world) publish() {
	p, e := new(packet), event.Event{Type: event.Success, Message: strconv.Itoa(w.next), Timestamp: 1}
	if w.random.IntN(4) == 0 {
		e.GUID = strings.Repeat("x", w.random.IntN(3<<10))
	}
	w.encoder.encode(p, &e)
	size, before := p.memory(), w.notUnderWay()
	err := w.queue.add(p)
	after := w.notUnderWay()
	for number, n := range before {
		_, here := after[number]
		_, dropped := w.queue.disk.droppedNumbers[number]
		if !here && (dropped || !w.disk.has(number)) { // an event on disk has only left memory
			w.must(!w.dropNewest, "event %d made room for event %d", n, w.next)
			w.ends(n, Overflow)
		}
	}
	if err != nil {
		w.must(w.queue.held() >= w.capacity || w.queue.heldBytes()+size > w.maxBytes, "%v, but %d are held", err, w.queue.held())
		w.refused++
		return
	}
	if w.random.IntN(100) == 0 {
		w.culprits[w.next] = 0
	}
	w.next++
	w.accepted++
}

// notUnderWay returns the events in memory that are not under way, by their numbers.
func (w *world) notUnderWay() map[uint64]int {
	events := map[uint64]int{}
	for _, part := range []*deque{&w.queue.waiting, &w.queue.later} {
		for i := range part.len() {
			events[part.at(i).number] = eventIn(part.at(i).body)
		}
	}
	return events
}

// keep does one round of keeper.run, unless the keeper is idle. It checks that the keeper becomes
// idle only when all events are written and none on disk was dropped.
func (w *world) keep() {
	if w.idle {
		select {
		case <-w.queue.disk.signal:
		default:
			return
		}
	}
	newest := w.queue.newestNumber()
	w.keeper.load()
	_ = w.keeper.write(w.queue.toWrite(w.upTo))
	w.upTo = newest
	w.idle = w.queue.goIdle()
	w.checkCounts()
	if w.idle {
		w.must(w.queue.unwritten() == 0, "the keeper is idle, but %d are not written", w.queue.unwritten())
		for _, r := range w.disk.records {
			w.must(w.fates[eventIn(r.Data)] != Overflow, "the keeper is idle, but number %d was dropped", r.Number)
		}
	}
}

// restart ends the process, which writes all its events to disk. If that succeeds, it starts the
// next one and checks the events on disk: all that have no fate, none that was dropped, and
// perhaps some that were delivered.
func (w *world) restart() {
	w.disconnect()
	during, commitFails := w.disk.during, w.disk.commitFails
	w.disk.during, w.disk.commitFails = func() {}, func() bool { return false }
	err := w.keeper.write(w.queue.newestNumber())
	w.disk.during, w.disk.commitFails = during, commitFails
	if err != nil {
		return // the disk is full
	}
	w.must(w.queue.unwritten() == 0, "%d are not written", w.queue.unwritten())
	w.checkCounts()
	onDisk := map[int]bool{}
	for _, r := range w.disk.records {
		n := eventIn(r.Data)
		w.must(w.fates[n] != Overflow, "event %d was dropped from memory, but is on disk", n)
		onDisk[n] = true
	}
	for n := range w.next {
		w.must(w.fates[n] != "" || onDisk[n], "event %d has no fate and is not on disk", n)
	}
	for n := range onDisk {
		delete(w.fates, n) // the next process delivers or drops it
	}
	w.start()
}

// somethingHappens does one random thing other than the keeper's work.
func (w *world) somethingHappens() {
	switch w.random.IntN(12) {
	case 0, 1, 2, 3:
		for range w.random.IntN(w.capacity + 2) {
			w.publish()
		}
	case 4, 5:
		w.send()
	case 6:
		w.written()
	case 7, 8:
		w.answer()
	case 9:
		if w.random.IntN(10) == 0 {
			w.endConnection(mqttconn.Ending{ByBroker: w.random.IntN(2) == 0})
		}
	case 10:
		if w.random.IntN(4) == 0 {
			w.connect()
		}
	case 11:
		if w.random.IntN(8) == 0 {
			w.flushes[w.queue.startFlush()] = w.next
		}
	}
	w.check()
}

// check checks all that holds at any time: counters agree, memory is limited, events are in
// order, and no Flush returns too early.
func (w *world) check() {
	s := w.queue.snapshot()
	w.must(s.Accepted == w.accepted && s.Pending <= s.Accepted, "%+v, but %d were accepted", s, w.accepted)
	w.must(s.Acknowledged+s.Dropped+s.Pending == s.Accepted, "%+v", s)
	events, size := w.queue.loadWindow()
	w.must(w.queue.held() <= w.capacity+events, "%d are held", w.queue.held())
	w.must(w.queue.heldBytes()-w.maxBytes <= size+largestInModel, "%d bytes are held", w.queue.heldBytes())
	last := uint64(0)
	for _, part := range []*deque{&w.queue.underWay, &w.queue.waiting, &w.queue.later} {
		for i := range part.len() {
			w.must(part.at(i).number > last, "number %d after %d", part.at(i).number, last)
			last = part.at(i).number
		}
	}
	w.must(w.queue.later.len() == 0 || w.queue.disk.count > 0, "later than nothing")
	for done, before := range w.flushes {
		select {
		case <-done:
			delete(w.flushes, done)
			for n := range before {
				w.must(w.fates[n] != "", "Flush has returned, but event %d has not left", n)
			}
		default:
		}
	}
}

// checkCounts checks, while no write is under way, that the queue has counted the fates that the
// world has seen.
func (w *world) checkCounts() {
	w.check()
	s := w.queue.snapshot()
	w.must(s.Acknowledged == w.counts[delivered] && s.Rejected == w.refused, "%+v, but %v, and %d refused", s, w.counts, w.refused)
	for reason, n := range s.DroppedBy.All() {
		w.must(n == w.counts[reason], "%s: %d, but %v", reason, n, w.counts)
	}
	for _, before := range w.flushes {
		left := true
		for n := range before {
			left = left && w.fates[n] != ""
		}
		w.must(!left || w.queue.disk.count > 0, "Flush waits for nothing")
	}
	for number := range w.queue.disk.droppedNumbers {
		_, last, _ := w.disk.Range()
		w.must(number <= last, "number %d was dropped and is not on disk, but is remembered", number)
	}
}

// settles checks that all events leave the queue and are removed from disk while the broker
// stays. Commits may fail for ever; then the events leave the queue all the same.
func (w *world) settles() {
	commitsFail := w.random.IntN(3) == 0
	w.disk.during, w.disk.commitFails = func() {}, func() bool { return commitsFail }
	connect := func() {
		if w.link == nil {
			w.connect()
		}
	}
	steps := []func(){w.keep, w.send, w.written, w.answer, connect}
	for range 400 * (w.capacity + len(w.disk.records)) {
		if w.queue.snapshot().Pending == 0 && (commitsFail || len(w.disk.records) == 0) {
			break
		}
		steps[w.random.IntN(len(steps))]()
		w.check()
	}
	w.written()
	w.send()
	s := w.queue.snapshot()
	w.must(s.Pending == 0, "stuck: %+v, culprits %v", s, w.culprits)
	w.must(commitsFail || len(w.disk.records) == 0, "%d are not removed from disk", len(w.disk.records))
	w.checkCounts()
	w.must(len(w.flushes) == 0, "Flush hangs")
	for n := range w.next {
		w.must(w.fates[n] != "", "event %d has no fate", n)
	}
}

func TestWhateverHappensEachEventHasOneFate(t *testing.T) {
	const seeds = 150
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 70 {
				for range w.random.IntN(4) {
					w.somethingHappens()
				}
				if w.random.IntN(3) > 0 {
					w.keep()
				}
				if w.random.IntN(100) == 0 {
					w.restart()
				}
			}
			w.settles()
			w.publish()
			w.settles()
		})
	}
}
