package broker

import (
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// gate keeps clients out for a while, so that a simulator can show a broker that stops and a
// client that dies. A client that comes to a closed gate waits before it, its CONNECT
// unanswered, and goes on as soon as the gate opens.
type gate struct {
	mochi.HookBase

	mu     sync.Mutex
	closed bool                // for everybody
	dead   map[string]struct{} // the client ids for which it is closed
	opened chan struct{}       // closed when the gate opens for somebody
}

func newGate() *gate { return &gate{dead: map[string]struct{}{}, opened: make(chan struct{})} }

func (*gate) ID() string { return "gate" }

// Provides names the hooks of mochi that the gate takes part in.
func (*gate) Provides(b byte) bool { return b == mochi.OnConnect || b == mochi.OnWill }

// OnConnect waits until the gate is open for the client, but no longer than a client waits.
func (g *gate) OnConnect(client *mochi.Client, _ packets.Packet) error {
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	for {
		g.mu.Lock()
		opened, isClosed := g.opened, g.closed || g.isDead(client.ID)
		g.mu.Unlock()
		if !isClosed {
			return nil
		}
		select {
		case <-opened:
		case <-timeout.C:
			return packets.ErrServerUnavailable
		}
	}
}

// OnWill lets the Last Will of a dead client be published without its delay: nobody who looks
// at a simulator waits half a minute for it.
func (g *gate) OnWill(client *mochi.Client, will mochi.Will) (mochi.Will, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isDead(client.ID) {
		client.Properties.Will.WillDelayInterval = 0
	}
	return will, nil
}

func (g *gate) isDead(id string) bool {
	_, ok := g.dead[id]
	return ok
}

// set changes the gate and wakes all that wait before it.
func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.opened)
	g.opened = make(chan struct{})
}

// Pause cuts every connection and lets nobody in until Resume. Sessions, and what is retained,
// outlive it, as at a broker that keeps them on disk.
func (b *Broker) Pause() {
	b.gate.set(func() { b.gate.closed = true })
	b.cut(func(string) bool { return true })
}

// Resume lets the clients in again that Pause keeps out.
func (b *Broker) Resume() { b.gate.set(func() { b.gate.closed = false }) }

// Kill cuts the connection of a client as if its machine had lost its power, publishes its
// Last Will at once, and does not let it in until Revive.
func (b *Broker) Kill(clientID string) {
	b.gate.set(func() { b.gate.dead[clientID] = struct{}{} })
	b.cut(func(id string) bool { return id == clientID })
}

// Revive lets a client in again that Kill keeps out.
func (b *Broker) Revive(clientID string) { b.gate.set(func() { delete(b.gate.dead, clientID) }) }

func (b *Broker) cut(chosen func(id string) bool) {
	for id, client := range b.server.Clients.GetAll() {
		if chosen(id) {
			client.Stop(packets.ErrServerShuttingDown)
		}
	}
}

// Listeners returns how many clients are connected and subscribed to something.
func (b *Broker) Listeners() int {
	n := 0
	for _, client := range b.server.Clients.GetAll() {
		if !client.Closed() && client.State.Subscriptions.Len() > 0 {
			n++
		}
	}
	return n
}
