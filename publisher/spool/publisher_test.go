package spool_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/internal/journal"
	"github.com/mps-events/mps-events/publisher/spool"
)

func Example() {
	config, err := publisher.ConfigFromEnv() // MPS_MQTT_ADDRESS and the others
	if err != nil {
		fmt.Println(err)
		return
	}
	if config.Spool, err = spool.FromEnv(); err != nil { // MPS_MQTT_SPOOL_DIR; empty: no spool
		fmt.Println(err)
		return
	}
	pub, err := publisher.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("published:", pub.Publish(event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")))
	fmt.Println("shut down:", pub.Shutdown(context.Background()))
	// Output:
	// published: <nil>
	// shut down: <nil>
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	disk, err := spool.Open(dir, spool.WithMaxBytes(100<<20), spool.WithMaxAge(24*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	pub, err := publisher.New(publisher.Config{Address: "mqtt://127.0.0.1:1", Spool: disk}) // there is no broker
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("published:", pub.Publish(event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")))
	fmt.Println("shut down:", pub.Shutdown(context.Background())) // closes the spool too
	fmt.Println("for the next process:", pub.Stats().Pending)
	// Output:
	// published: <nil>
	// shut down: <nil>
	// for the next process: 1
}

// numbered returns an event whose message is n.
func numbered(n int) event.Event {
	return event.Event{Type: event.Success, Message: strconv.Itoa(n), Methods: []string{"AMT_PowerState"}, GUID: "123"}
}

// nobody returns an address at which there is no broker yet.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func start(t *testing.T, config publisher.Config) *publisher.Publisher {
	t.Helper()
	pub, err := publisher.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Shutdown(canceled()) })
	return pub
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func flush(t *testing.T, pub *publisher.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), brokertest.Wait)
	defer cancel()
	require.NoError(t, pub.Flush(ctx))
	checkIdentity(t, pub)
	assert.Zero(t, pub.Stats().Pending)
}

func checkIdentity(t *testing.T, pub *publisher.Publisher) {
	t.Helper()
	s := pub.Stats()
	require.Equal(t, s.Accepted, s.Acknowledged+s.Dropped+s.Pending, "%+v", s)
}

func TestTheNextProcessDeliversWhatThisOneCouldNot(t *testing.T) {
	addr, dir := nobody(t), t.TempDir()
	const each = 3000
	for process := range 3 {
		pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir)})
		assert.EqualValues(t, process*each, pub.Stats().Accepted, "what was taken back")
		for n := range each {
			require.NoError(t, pub.Publish(numbered(process*each+n)))
		}
		checkIdentity(t, pub)
		shutdownTakes(t, pub)
	}
	reader := comeUp(t, addr)
	pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir)})
	require.NoError(t, pub.Publish(numbered(3*each)))
	reader.inOrder(3*each + 1)
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: 3*each + 1, Acknowledged: 3*each + 1}, pub.Stats())
	require.NoError(t, pub.Shutdown(context.Background()))
	_, _, left := journal.Of(open(t, dir)).Range()
	assert.Zero(t, left)

	names := map[string]bool{} // each process has its own, and begins with 1
	for i, id := range reader.order {
		name, number, _ := strings.Cut(id, "-")
		names[name] = true
		require.Equal(t, strconv.Itoa(i%each+1), number)
	}
	assert.Len(t, names, 4)
}

func TestTheSpoolOutgrowsMemory(t *testing.T) {
	const capacity, events = 1000, 10_000
	addr := nobody(t)
	s := count(open(t, ""))
	pub := start(t, publisher.Config{Address: addr, Capacity: capacity, Spool: s})
	publishAtTheDisksPace(t, pub, s, 0, events/2)
	reader := comeUp(t, addr)
	for n := events / 2; n < events; n++ {
		require.NoError(t, pub.Publish(numbered(n)))
		if n%400 == 399 {
			require.Eventually(t, func() bool { return pub.Stats().Pending < 400 }, brokertest.Wait, time.Millisecond)
		}
	}
	reader.inOrder(events)
	flush(t, pub)
	assert.Equal(t, publisher.Stats{Accepted: events, Acknowledged: events}, pub.Stats())
}

// publishAtTheDisksPace publishes bursts for which memory has room, each when the burst before
// it is on disk.
func publishAtTheDisksPace(t *testing.T, pub *publisher.Publisher, s *counting, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		require.NoError(t, pub.Publish(numbered(n)))
		if n%400 == 399 {
			checkIdentity(t, pub)
			require.Eventually(t, func() bool { return s.written.Load() > int64(n-from) }, brokertest.Wait, time.Millisecond)
		}
	}
}

func TestTheOldestOnDiskMakeRoomAndAreCounted(t *testing.T) {
	addr := nobody(t)
	var mu sync.Mutex
	hooked := map[publisher.DropReason]uint64{}
	var log bytes.Buffer
	spooled := count(open(t, "", spool.WithMaxBytes(300_000)))
	pub := start(t, publisher.Config{
		Address: addr, Capacity: 1000, Spool: spooled,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Hooks: publisher.Hooks{Dropped: func(reason publisher.DropReason, n uint64) {
			mu.Lock()
			defer mu.Unlock()
			hooked[reason] += n
		}},
	})
	const events = 5_000
	publishAtTheDisksPace(t, pub, spooled, 0, events)
	reader := comeUp(t, addr)
	last := -1
	for last != events-1 {
		n := reader.next()
		require.Greater(t, n, last)
		last = n
	}
	flush(t, pub)
	s := pub.Stats()
	assert.Greater(t, s.Dropped, uint64(events/2))
	assert.Equal(t, s.Acknowledged, uint64(len(reader.ids)))
	require.NoError(t, pub.Shutdown(context.Background()))
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, map[publisher.DropReason]uint64{publisher.SpoolLost: s.Dropped}, hooked)
	assert.Contains(t, log.String(), "dropped.spool=")
}

func TestWithDropNewestAFullSpoolRefuses(t *testing.T) {
	addr := nobody(t)
	pub := start(t, publisher.Config{Address: addr, Capacity: 1000, DropNewest: true, Spool: open(t, "", spool.WithMaxBytes(300_000))})
	accepted := 0
	require.Eventually(t, func() bool {
		full := pub.Stats().SpoolErrors > 0 // if false, memory may be full because the disk is slow
		for {
			if err := pub.Publish(numbered(accepted)); err != nil {
				require.ErrorIs(t, err, publisher.ErrFull)
				return full
			}
			accepted++
		}
	}, brokertest.Wait, time.Millisecond)
	checkIdentity(t, pub)
	assert.Greater(t, accepted, 1500, "memory and disk")
	reader := comeUp(t, addr)
	reader.inOrder(accepted)
	flush(t, pub)
	assert.Zero(t, pub.Stats().Dropped)
}

// An event that the broker acknowledges at once is never written to disk.
func TestAHealthyBrokerCostsNoDiskAccess(t *testing.T) {
	b := brokertest.Start(t, "")
	s := count(open(t, ""))
	pub := start(t, publisher.Config{Address: b.Addr(), Spool: s})
	require.NoError(t, pub.Publish(numbered(0)))
	flush(t, pub) // connected; the first may have waited long enough to be written
	written := s.written.Load()
	for n := range 200 {
		require.NoError(t, pub.Publish(numbered(n)))
		flush(t, pub)
	}
	assert.Less(t, s.written.Load()-written, int64(20), "some may meet a busy machine")
}

func TestASpoolDirWithoutASpoolIsAnError(t *testing.T) {
	t.Setenv("MPS_MQTT_SPOOL_DIR", t.TempDir())
	t.Setenv("MPS_MQTT_ADDRESS", "127.0.0.1:1")
	_, err := publisher.FromEnv()
	require.ErrorContains(t, err, "MPS_MQTT_SPOOL_DIR is set")
	config, err := publisher.ConfigFromEnv()
	require.NoError(t, err)
	_, err = publisher.New(config)
	require.ErrorContains(t, err, "MPS_MQTT_SPOOL_DIR is set")
	for _, none := range []*spool.Spool{nil, {}} {
		config.Spool = none
		_, err = publisher.New(config)
		require.ErrorContains(t, err, "config.Spool, err = spool.FromEnv()", "a Spool that keeps nothing is none")
	}
	_, err = publisher.New(publisher.Config{Address: config.Address, SpoolDir: config.SpoolDir})
	require.ErrorContains(t, err, config.SpoolDir, "the field is all there is")
	config.Spool, err = spool.FromEnv()
	require.NoError(t, err)
	start(t, config)

	dir := t.TempDir()
	off := start(t, publisher.Config{Spool: open(t, dir)}) // no address
	require.NoError(t, off.Shutdown(context.Background()))
	open(t, dir) // works, because Shutdown has closed the spool

	t.Setenv("MPS_MQTT_SPOOL_DIR", "")
	config, err = publisher.ConfigFromEnv()
	require.NoError(t, err)
	config.Spool, err = spool.FromEnv()
	require.NoError(t, err)
	start(t, config)
}

// Whatever happens, each accepted event has arrived in the end, in order except for repeats, or
// is counted as dropped; no event is both.
func TestNothingIsLostThatIsNotCounted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	var arrived []int
	come, cuts := map[int]bool{}, 0
	var newest net.Conn
	connections := map[net.Conn]bool{}
	down := true
	broker := brokertest.Script{Received: brokertest.OnPublish(func(conn net.Conn, p *packets.Publish) {
		mu.Lock()
		defer mu.Unlock()
		if !connections[conn] {
			connections[conn], newest = true, conn
		}
		if conn != newest { // a broker ends the connection of a client that has connected again
			_ = conn.Close()
			return
		}
		if down || cuts < 3 && r.IntN(1000) == 0 {
			cuts++
			_ = conn.Close()
			return
		}
		e, err := event.Parse(p.Payload)
		assert.NoError(t, err)
		n, err := strconv.Atoi(e.Message)
		assert.NoError(t, err)
		if !come[n] {
			come[n] = true
			arrived = append(arrived, n)
		}
		if r.IntN(1000) > 0 || cuts > 6 { // else the acknowledgement is lost
			brokertest.Puback(conn, p.PacketID, 0)
		} else {
			cuts++
			_ = conn.Close()
		}
	})}
	random := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}
	config := publisher.Config{Address: broker.Serve(t), Capacity: 300}
	dir := t.TempDir()
	var published, dropped int
	var pub *publisher.Publisher
	stop := func(ctx context.Context) {
		require.NoError(t, pub.Shutdown(ctx))
		checkIdentity(t, pub)
		dropped += int(pub.Stats().Dropped)
	}
	for process := range 5 {
		config.Spool = open(t, dir)
		pub = start(t, config)
		for range 40 {
			for range random(200) {
				require.NoError(t, pub.Publish(numbered(published)))
				published++
			}
			checkIdentity(t, pub)
			<-time.After(time.Duration(random(12)) * time.Millisecond) // the pace of the events
		}
		mu.Lock()
		down = process%2 == 0 // the state for the next process
		mu.Unlock()
		if process < 4 {
			stop(canceled())
		}
	}
	mu.Lock()
	down = false
	mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 3*brokertest.Wait)
	defer cancel()
	stop(ctx)
	mu.Lock()
	defer mu.Unlock()
	assert.True(t, slices.IsSorted(arrived), "in order")
	assert.Equal(t, published, len(arrived)+dropped, "%d arrived, %d dropped", len(arrived), dropped)
}
