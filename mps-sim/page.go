package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

//go:embed page
var pageFiles embed.FS

// serveIlert is the stand-in for ilert. It is no part of MPS, so its calls make no
// events.
func (s *simulator) serveIlert(router gin.IRoutes) {
	router.POST("/api/events", gin.WrapF(s.ilert.Events))
	router.POST("/api/v1/mqtt/:key", gin.WrapF(s.ilert.MQTT))
	router.POST("/api/v1/events/mqtt/:key", gin.WrapF(s.ilert.MQTT))
	taken := func(c *gin.Context) { c.Status(http.StatusAccepted) } // a heartbeat is not shown
	router.GET("/api/heartbeats/:key", taken)
	router.HEAD("/api/pings/:key", taken)
	router.GET("/sim/alerts", func(c *gin.Context) { c.JSON(http.StatusOK, s.ilert.Alerts()) })
}

// servePage is the page, what it shows and what its buttons do.
func (s *simulator) servePage(router gin.IRoutes) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	router.StaticFileFS("/", "/", http.FS(files))
	router.StaticFileFS("/page.css", "page.css", http.FS(files))
	router.StaticFileFS("/page.js", "page.js", http.FS(files))
	router.GET("/sim/state", s.state)
	router.GET("/sim/events", s.events)
	router.POST("/sim/devices/:guid/:happening", s.happen)
}

// state is all that the page shows but for the stream.
func (s *simulator) state(c *gin.Context) {
	broker := gin.H{"connected": s.stream.isConnected(), "embedded": s.broker != nil, "topic": s.options.broker.Filter()}
	if s.broker != nil {
		broker["address"] = s.broker.Addr()
	}
	const most = 200 // nobody looks at more rows
	all, connected := s.fleet.List(), 0
	for _, d := range all {
		if d.Connected {
			connected++
		}
	}
	devices := []gin.H{}
	for _, d := range all[:min(len(all), most)] {
		devices = append(devices, gin.H{
			"guid": d.GUID, "hostname": d.Hostname, "connected": d.Connected, "on": d.PowerState == fleet.On, "trouble": d.Trouble,
		})
	}
	stats := s.pub.Stats()
	c.JSON(http.StatusOK, gin.H{
		"broker": broker, "total": len(all), "connected": connected, "devices": devices, "alerts": s.ilert.Alerts(), "realIlert": s.options.ilertURL != "",
		"publisher": gin.H{"accepted": stats.Accepted, "acknowledged": stats.Acknowledged, "dropped": stats.Dropped, "pending": stats.Pending},
	})
}

// writeTimeout is the time in which a client has to take an answer, and the page each line of
// its stream.
const writeTimeout = 10 * time.Second

// events streams what arrives at the broker as server-sent events, for as long as the page
// takes them.
func (s *simulator) events(c *gin.Context) {
	conn := http.NewResponseController(c.Writer)
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	ctx := c.Request.Context()
	messages := s.stream.watch(ctx)
	c.Writer.Flush()
	for {
		select {
		case line := <-messages:
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := fmt.Fprintf(c.Writer, "data: %s\n\n", line); err != nil {
				return
			}
			if conn.Flush() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// happen lets something happen to a device, by hand.
func (s *simulator) happen(c *gin.Context) {
	guid, happening := c.Param("guid"), c.Param("happening")
	change := map[string]func(*fleet.Device){
		"trouble":    func(d *fleet.Device) { d.Trouble = true },
		"recover":    func(d *fleet.Device) { d.Trouble = false },
		"disconnect": func(d *fleet.Device) { d.Connected = false },
		"connect":    func(d *fleet.Device) { d.Connected = true },
	}[happening]
	if change == nil {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("%q: want trouble, recover, disconnect or connect", happening)})
		return
	}
	before, _ := s.fleet.Get(guid)
	after, ok := s.fleet.Change(guid, change)
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("no device has the guid %q", guid)})
		return
	}
	if before.Connected != after.Connected {
		s.say(after, after.Connected)
	}
	c.Status(http.StatusNoContent)
}
