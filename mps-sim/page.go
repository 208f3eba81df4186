package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/mps"
)

//go:embed page
var pageFiles embed.FS

// servePage adds the routes of the page: its files, its data, and the actions of its buttons.
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
	router.GET("/sim/alerts", func(c *gin.Context) { c.JSON(http.StatusOK, s.pageAlerts(s.ilert.Alerts())) })
	router.GET("/sim/scenarios", func(c *gin.Context) { c.JSON(http.StatusOK, s.player.list()) })
	router.POST("/sim/scenarios/:id", s.pressScenario)
	router.POST("/sim/alerts/:id/:act", s.actOnAlert)
	router.POST("/sim/ilert/:mode", s.changeIlert)
	router.POST("/sim/devices/:guid/:change", s.changeDevice)
}

// pressScenario starts or stops the scenario in the path.
func (s *simulator) pressScenario(c *gin.Context) {
	if err := s.player.press(c.Param("id")); err != nil {
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
		return
	}
	c.Status(http.StatusNoContent)
}

// actOnAlert accepts or closes an alert of the stand-in for ilert, as a person does.
func (s *simulator) actOnAlert(c *gin.Context) {
	id, _ := strconv.ParseInt(c.Param("id"), 10, 64) // 0 is the id of no alert
	acts := map[string]func(int64) error{"accept": s.ilert.Accept, "resolve": s.ilert.Resolve}
	act := acts[c.Param("act")]
	if act == nil {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("%q: want accept or resolve", c.Param("act"))})
		return
	}
	if err := act(id); err != nil {
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
		return
	}
	c.Status(http.StatusNoContent)
}

// changeIlert sets the mode of the stand-in for ilert.
func (s *simulator) changeIlert(c *gin.Context) {
	mode := ilertMode(c.Param("mode"))
	if !slices.Contains([]ilertMode{ilertWorking, ilertDown, ilertMaintenance}, mode) {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("%q: want working, down or maintenance", mode)})
		return
	}
	s.ilert.setMode(mode)
	c.Status(http.StatusNoContent)
}

// changeDevice connects or disconnects a device, or lets its AMT fail or recover.
func (s *simulator) changeDevice(c *gin.Context) {
	guid, change := c.Param("guid"), c.Param("change")
	setTrouble := func(trouble bool) bool {
		_, _, ok := s.fleet.Change(guid, func(d *fleet.Device) { d.Trouble = trouble })
		return ok
	}
	var ok bool
	switch change {
	case "trouble":
		ok = setTrouble(true)
	case "recover":
		ok = setTrouble(false)
	case "disconnect":
		ok = s.connect(guid, false)
	case "connect":
		ok = s.connect(guid, true)
	default:
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("%q: want trouble, recover, disconnect or connect", change)})
		return
	}
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": fmt.Sprintf("no device has the guid %q", guid)})
		return
	}
	c.Status(http.StatusNoContent)
}
