package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

const (
	// feedInterval is the time between two messages to a page. Nobody reads faster than this.
	feedInterval = 200 * time.Millisecond
	// maxFeedEvents is the largest number of events in one message. The message counts those left out.
	maxFeedEvents = 100
	// maxFeedAlerts is the largest number of alerts in one message; the oldest are left out.
	maxFeedAlerts = 100
	// writeTimeout is the time in which a client must read an answer, and a page each message of
	// its feed.
	writeTimeout = 10 * time.Second
)

// feedMessage is a message to a page with the changes since the message before. Devices and events
// are arrays, which are shorter in JSON than objects, because there may be very many.
type feedMessage struct {
	About     *about          `json:"about,omitempty"` // in the first message
	Numbers   numbers         `json:"numbers"`
	Scenarios []scenarioState `json:"scenarios"`
	Devices   [][5]any        `json:"devices,omitempty"` // guid, name, site, state, role
	Gone      []string        `json:"gone,omitempty"`    // guids
	Events    [][7]any        `json:"events,omitempty"`  // number, time, type, message, method, guid, outcome
	LeftOut   int             `json:"leftOut,omitempty"` // events since the last message that are not among Events
	Alerts    []pageAlert     `json:"alerts,omitempty"`  // all, if any has changed
}

// about is the part of the first message that never changes while mps-sim runs.
type about struct {
	Version   string   `json:"version"`
	Started   int64    `json:"started"` // a page that reconnects sees by it that mps-sim was restarted
	Topic     string   `json:"topic"`
	Broker    string   `json:"broker"` // the address to type into an MQTT client; empty unless the broker is embedded
	Sites     []string `json:"sites"`
	Servers   []string `json:"servers"`
	Speed     float64  `json:"speed"`
	Consumer  bool     `json:"consumer"`
	RealIlert bool     `json:"realIlert"`
}

// The states of a device, as the page shows them.
const (
	stateWell = iota
	stateOff
	stateAway
	stateFailing
)

// stateOf returns the state that the page shows for a device.
func stateOf(d fleet.Device) int {
	switch {
	case !d.Connected:
		return stateAway
	case d.Trouble:
		return stateFailing
	case d.PowerState == fleet.Off:
		return stateOff
	default:
		return stateWell
	}
}

// feedCursor keeps the versions up to which a page has got the changes.
type feedCursor struct {
	sim     *simulator
	devices uint64 // the version of the fleet
	events  uint64 // the number of the newest event
	alerts  uint64 // the version of the alerts
	greeted bool
}

// next returns the next message and moves the cursor on.
func (r *feedCursor) next(c *gin.Context) feedMessage {
	s := r.sim
	n := feedMessage{Numbers: s.count(c), Scenarios: s.player.list()}
	if !r.greeted {
		r.greeted = true
		r.alerts = ^uint64(0)
		n.About = s.about()
	}
	var changed []fleet.Device
	changed, n.Gone, r.devices = s.fleet.Changes(r.devices)
	for _, d := range changed {
		n.Devices = append(n.Devices, [5]any{d.GUID, d.Hostname, d.Server, stateOf(d), d.Role})
	}
	var events []arrivedEvent
	events, n.LeftOut, r.events = s.stream.after(r.events, maxFeedEvents)
	for _, m := range events {
		method := ""
		if len(m.event.Methods) > 0 {
			method = m.event.Methods[0]
		}
		n.Events = append(n.Events, [7]any{m.n, m.event.Timestamp, m.event.Type, m.event.Message, method, m.event.GUID, m.outcome})
	}
	alerts, version := s.ilert.Changed(r.alerts)
	r.alerts = version
	n.Alerts = s.pageAlerts(alerts[max(0, len(alerts)-maxFeedAlerts):])
	return n
}

// about describes this mps-sim for the first message.
func (s *simulator) about() *about {
	a := &about{
		Version: version(), Started: s.started.UnixMilli(), Topic: s.options.eventFilters()[0], Sites: s.options.sites,
		Speed: s.options.speed, Consumer: s.alerting.consumer != nil, RealIlert: s.options.ilertURL != "",
	}
	for _, v := range s.servers {
		a.Servers = append(a.Servers, v.name)
	}
	if s.broker != nil {
		a.Broker = reachable(s.broker.Addr())
	}
	return a
}

// feed sends messages to a page as server-sent events until the page closes the connection or stops
// reading.
func (s *simulator) feed(c *gin.Context) {
	conn := http.NewResponseController(c.Writer)
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	_, _ = fmt.Fprint(c.Writer, "retry: 1000\n") // milliseconds after which the browser reconnects
	r := feedCursor{sim: s}
	ticker := time.NewTicker(feedInterval)
	defer ticker.Stop()
	for {
		line, err := json.Marshal(r.next(c))
		if err != nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := fmt.Fprintf(c.Writer, "data: %s\n\n", line); err != nil {
			return
		}
		if conn.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-c.Request.Context().Done():
			return
		}
	}
}
