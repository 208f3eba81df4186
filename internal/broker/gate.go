package broker

import (
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// gate is a hook of mochi that keeps clients out for a while, so that a simulator can show a broker
// that stops and a client that dies. The broker answers the CONNECT of a client only when the gate is
// open for it.
type gate struct {
	mochi.HookBase

	mu     sync.Mutex
	closed bool                // for everybody
	dead   map[string]struct{} // the ids of clients that it keeps out
	opened chan struct{}       // replaced and closed with each change of the gate
}

func newGate() *gate { return &gate{dead: map[string]struct{}{}, opened: make(chan struct{})} }

func (*gate) ID() string { return "gate" }

// Provides reports whether the gate implements a hook of mochi.
func (*gate) Provides(b byte) bool { return b == mochi.OnConnect || b == mochi.OnWill }

// OnConnect waits until the gate is open for the client, at most for connectTimeout.
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

// OnWill removes the delay from the Last Will of a dead client. Publishers set half a minute, which is
// too long for somebody who watches a simulator.
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

// set changes the gate and wakes all clients that wait.
func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.opened)
	g.opened = make(chan struct{})
}

// Pause closes every connection and keeps all clients out until Resume. Sessions and retained messages
// stay, as at a broker that keeps them on disk.
func (b *Broker) Pause() {
	b.gate.set(func() { b.gate.closed = true })
	b.cut(func(string) bool { return true })
}

// Resume ends Pause and lets all clients in.
func (b *Broker) Resume() { b.gate.set(func() { b.gate.closed = false }) }

// Kill closes the connection of a client as a power cut would, publishes its Last Will at once, and
// keeps the client out until Revive.
func (b *Broker) Kill(clientID string) {
	b.gate.set(func() { b.gate.dead[clientID] = struct{}{} })
	b.cut(func(id string) bool { return id == clientID })
}

// Revive ends Kill and lets the client in.
func (b *Broker) Revive(clientID string) { b.gate.set(func() { delete(b.gate.dead, clientID) }) }

// cut closes the connections of the chosen clients.
func (b *Broker) cut(chosen func(id string) bool) {
	for id, client := range b.server.Clients.GetAll() {
		if chosen(id) {
			client.Stop(packets.ErrServerShuttingDown)
		}
	}
}

// Listeners returns the number of connected clients that subscribe to anything.
func (b *Broker) Listeners() int {
	n := 0
	for _, client := range b.server.Clients.GetAll() {
		if !client.Closed() && client.State.Subscriptions.Len() > 0 {
			n++
		}
	}
	return n
}
