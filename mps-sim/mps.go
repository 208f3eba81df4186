package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// serveMPS answers a part of MPS's REST API by MPS's paths and with its JSON.
func (s *simulator) serveMPS(api gin.IRoutes) {
	api.GET("/devices", s.listDevices)
	api.GET("/devices/stats", s.deviceStats)
	api.GET("/devices/:guid", s.getDevice)
	api.GET("/amt/power/state/:guid", s.onDevice(powerState))
	api.POST("/amt/power/action/:guid", s.onDevice(s.powerAction))
	api.DELETE("/amt/deactivate/:guid", s.onDevice(s.deactivate))
	api.GET("/amt/version/:guid", s.onDevice(version))
}

func (s *simulator) listDevices(c *gin.Context) {
	devices := []gin.H{}
	for _, d := range s.fleet.List() {
		devices = append(devices, deviceJSON(d))
	}
	c.JSON(http.StatusOK, devices)
}

func (s *simulator) getDevice(c *gin.Context) {
	d, ok := s.fleet.Get(c.Param("guid"))
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": "NOT FOUND", "message": "Device ID " + c.Param("guid") + " not found"})
		return
	}
	c.JSON(http.StatusOK, deviceJSON(d))
}

func deviceJSON(d fleet.Device) gin.H {
	return gin.H{
		"guid": d.GUID, "hostname": d.Hostname, "friendlyName": d.Hostname, "connectionStatus": d.Connected,
		"tags": []string{}, "mpsInstance": "mps-sim", "mpsusername": "admin", "tenantId": "", "dnsSuffix": "example.com",
	}
}

func (s *simulator) deviceStats(c *gin.Context) {
	var total, connected int
	for _, d := range s.fleet.List() {
		total++
		if d.Connected {
			connected++
		}
	}
	c.JSON(http.StatusOK, gin.H{"totalCount": total, "connectedCount": connected, "disconnectedCount": total - connected})
}

// onDevice answers for devices that are not there or in trouble, as MPS does.
func (s *simulator) onDevice(answer func(*gin.Context, fleet.Device)) gin.HandlerFunc {
	return func(c *gin.Context) {
		d, ok := s.fleet.Get(c.Param("guid"))
		switch {
		case !ok || !d.Connected:
			c.JSON(http.StatusNotFound, gin.H{
				"error":            "Device not found/connected. Please connect again using CIRA.",
				"errorDescription": "guid : " + c.Param("guid"),
			})
		case d.Trouble:
			c.JSON(http.StatusInternalServerError, gin.H{"error": "Internal Server Error", "errorDescription": "AMT of the device does not answer"})
		default:
			answer(c, d)
		}
	}
}

func powerState(c *gin.Context, d fleet.Device) {
	const fullPower = 2
	c.JSON(http.StatusOK, gin.H{"powerstate": d.PowerState, "OSPowerSavingState": fullPower})
}

// Power actions of CIM that a simulated device knows, by their number.
const (
	actionOn    = 2
	actionCycle = 5
	actionOff   = 8
	actionReset = 10
)

func (s *simulator) powerAction(c *gin.Context, d fleet.Device) {
	var body struct {
		Action *int `json:"action"`
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 16<<10)
	if err := c.ShouldBindJSON(&body); err != nil || body.Action == nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "Incorrect URI or Bad Request", "errorDescription": "action: want a number"})
		return
	}
	state := fleet.On
	switch *body.Action {
	case actionOn, actionCycle, actionReset:
	case actionOff:
		state = fleet.Off
	default:
		c.JSON(http.StatusBadRequest, gin.H{"error": "Power action type does not exist"})
		return
	}
	s.fleet.Change(d.GUID, func(d *fleet.Device) { d.PowerState = state })
	c.JSON(http.StatusOK, gin.H{"Body": gin.H{"ReturnValue": 0, "ReturnValueStr": "SUCCESS"}})
}

func (s *simulator) deactivate(c *gin.Context, d fleet.Device) {
	s.fleet.Remove(d.GUID)
	c.JSON(http.StatusOK, gin.H{"status": "SUCCESS"})
}

func version(c *gin.Context, d fleet.Device) {
	c.JSON(http.StatusOK, gin.H{
		"CIM_SoftwareIdentity": gin.H{"responses": []gin.H{
			{"InstanceID": "AMT", "IsEntity": true, "VersionString": "16.1.25"},
			{"InstanceID": "Build Number", "IsEntity": true, "VersionString": "2124"},
			{"InstanceID": "Sku", "IsEntity": true, "VersionString": "16392"},
		}, "status": http.StatusOK},
		"AMT_SetupAndConfigurationService": gin.H{"response": gin.H{
			"ElementName": "Intel(r) AMT Setup and Configuration Service", "ProvisioningMode": 1, "ProvisioningState": 2, "Name": d.Hostname,
		}, "status": http.StatusOK},
	})
}
