package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/redirection"
)

// relayPath is the path of MPS's WebSocket for redirection sessions: the screen (KVM) or the serial line
// (SOL) of a device.
const relayPath = "/relay/webrelay.ashx"

const (
	maxHost       = 256 // bytes
	maxRelays     = 100 // sessions at the same time
	relayInterval = time.Second
	relayPatience = time.Minute // for a sign of life of the client
)

// relays holds a token for each session that is open.
type relays chan struct{}

// wait waits until all sessions have ended and have published that, or ctx ends. No session can begin
// afterwards.
func (r relays) wait(ctx context.Context) {
	for range cap(r) {
		select {
		case r <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// relay answers a request for a redirection session, such as
// /relay/webrelay.ashx?p=2&host=GUID&port=16994&mode=kvm. A client that it cannot serve gets the reason
// when the WebSocket is closed, because browsers hide the answers of requests for one.
func (s *simulator) relay(w http.ResponseWriter, r *http.Request) {
	guid, mode := r.URL.Query().Get("host"), r.URL.Query().Get("mode")
	if len(guid) > maxHost || !slices.Contains([]string{"", "kvm", "sol", "ider"}, mode) {
		http.Error(w, "host: want the guid of a device; mode: want kvm, sol or ider", http.StatusBadRequest)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }} // handler has checked it
	headers := http.Header{}
	if offered := websocket.Subprotocols(r); len(offered) > 0 {
		headers.Set("Sec-WebSocket-Protocol", offered[0]) // MPS's token, which no simulator needs; browsers want it confirmed
	}
	conn, err := upgrader.Upgrade(w, r, headers)
	if err != nil {
		return // Upgrade has answered
	}
	defer conn.Close()
	conn.SetReadLimit(1 << 16)
	select {
	case s.relays <- struct{}{}:
		defer func() { <-s.relays }()
	default:
		closeRelay(conn, websocket.CloseTryAgainLater, "too many sessions are open")
		return
	}
	d, known := s.fleet.Get(guid)
	v, err := s.serverFor(guid)
	switch {
	case err != nil:
		closeRelay(conn, websocket.CloseTryAgainLater, err.Error())
	case !known || !d.Connected:
		refuseRelay(conn, v, guid, event.OutcomeUnreachable, "the device is not connected")
	case d.Trouble:
		refuseRelay(conn, v, guid, event.OutcomeDevice, "AMT of the device does not answer")
	default:
		_ = v.Publish(event.RedirectionStarted(guid))
		s.api.CountSession(d, mode, 1)
		byWeb := s.talk(r.Context(), conn, d)
		s.api.CountSession(d, mode, -1)
		if mode == "kvm" {
			_ = v.Publish(kvmClosed(guid, byWeb))
		}
		_ = v.Publish(event.RedirectionEnded(guid))
	}
}

// refuseRelay publishes that a session could not start, and tells the client why.
func refuseRelay(conn *websocket.Conn, v *server, guid string, outcome event.Outcome, reason string) {
	_ = v.Publish(event.Event{
		Type: event.Fail, Message: "Redirection session failed: " + reason, Methods: []string{"handleConnection"}, GUID: guid, Outcome: outcome,
	})
	closeRelay(conn, websocket.CloseTryAgainLater, reason)
}

// kvmClosed returns MPS's event about the side that has closed a KVM session, and the state of its CIRA
// channel: 2 open, 0 closed.
func kvmClosed(guid string, byWeb bool) event.Event {
	message := "KVM session closed by device (state: 0)"
	if byWeb {
		message = "KVM session closed by web (state: 2)"
	}
	return event.Event{Type: event.Success, Message: message, Methods: []string{"logKvmCloseSource"}, GUID: guid, Outcome: event.OutcomeOK}
}

func closeRelay(conn *websocket.Conn, code int, reason string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(writeTimeout))
}

// talk relays between a client and the simulated service of a device until one of them ends the session,
// and reports whether the client did.
func (s *simulator) talk(ctx context.Context, conn *websocket.Conn, d fleet.Device) (byWeb bool) {
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan bool)
	go func() { watched <- s.watchRelay(ctx, conn, d.GUID) }()
	defer func() {
		cancel()
		byWeb = !<-watched
	}()
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(relayPatience)) }
	conn.SetPongHandler(alive)
	session := redirection.New(d.Hostname, d.PowerState == fleet.On)
	for {
		_ = alive("")
		_, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		answer, err := session.Receive(data)
		if len(answer) > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if conn.WriteMessage(websocket.BinaryMessage, answer) != nil {
				return
			}
		}
		switch {
		case errors.Is(err, redirection.ErrEnded):
			closeRelay(conn, websocket.CloseNormalClosure, "")
			return
		case err != nil:
			closeRelay(conn, websocket.ClosePolicyViolation, reasonOf(err))
			return
		}
	}
}

// maxReason is the largest number of bytes of a reason in a close frame.
const maxReason = 120

func reasonOf(err error) string {
	return strings.ToValidUTF8(err.Error()[:min(len(err.Error()), maxReason)], "")
}

// watchRelay pings the client, and closes the connection when mps-sim stops or the device is gone. It
// reports whether it has closed the connection.
func (s *simulator) watchRelay(ctx context.Context, conn *websocket.Conn, guid string) (closed bool) {
	ticker := time.NewTicker(relayInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = conn.Close()
			return false
		case <-ticker.C:
		}
		if d, _ := s.fleet.Get(guid); !d.Connected {
			closeRelay(conn, websocket.CloseGoingAway, "the device has disconnected")
			_ = conn.Close()
			return true
		}
		_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
	}
}
