package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/mps"
)

//go:embed page
var pageFiles embed.FS

// serveIlert adds the stand-in for ilert. It is no part of MPS, so its calls make no
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

// servePage adds the page, what it shows and what its buttons do.
func (s *simulator) servePage(router gin.IRoutes) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		path := "/" + entry.Name()
		if path == "/index.html" {
			path = "/"
		}
		router.GET(path, func(c *gin.Context) {
			c.Header("Cache-Control", "no-cache")
			c.Header("Content-Security-Policy", "default-src 'self'; img-src data:; style-src 'self'; frame-ancestors 'none'")
			if path == "/" {
				c.FileFromFS("/", http.FS(files))
				return
			}
			c.FileFromFS(path, http.FS(files))
		})
	}
	router.GET("/openapi.json", func(c *gin.Context) { c.JSON(http.StatusOK, mps.Document()) })
	router.GET("/sim/feed", s.feed)
	router.GET("/sim/numbers", func(c *gin.Context) { c.JSON(http.StatusOK, s.count(c)) })
	router.GET("/sim/scenarios", func(c *gin.Context) { c.JSON(http.StatusOK, s.stage.list()) })
	router.POST("/sim/scenarios/:id", s.pressScenario)
	router.POST("/sim/devices/:guid/:happening", s.happen)
}

func (s *simulator) pressScenario(c *gin.Context) {
	if err := s.stage.press(c.Param("id")); err != nil {
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
		return
	}
	c.Status(http.StatusNoContent)
}

// happen lets something happen to a device, by hand.
func (s *simulator) happen(c *gin.Context) {
	guid, happening := c.Param("guid"), c.Param("happening")
	trouble := func(is bool) bool {
		_, _, ok := s.fleet.Change(guid, func(d *fleet.Device) { d.Trouble = is })
		return ok
	}
	var ok bool
	switch happening {
	case "trouble":
		ok = trouble(true)
	case "recover":
		ok = trouble(false)
	case "disconnect":
		ok = s.connect(guid, false)
	case "connect":
		ok = s.connect(guid, true)
	default:
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("%q: want trouble, recover, disconnect or connect", happening)})
		return
	}
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("no device has the guid %q", guid)})
		return
	}
	c.Status(http.StatusNoContent)
}
