package mps

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

const powerClass = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_PowerManagementService"

func powerState(k *call) (int, any) {
	const fullPower = 2
	return http.StatusOK, JSON{"powerstate": k.device.PowerState, "OSPowerSavingState": fullPower}
}

// The power actions, by their number in CIM and their effect on a device.
var (
	switchesOn   = []int{2, 5, 9, 10, 11, 14, 15, 16, 500}
	switchesOff  = []int{6, 8, 12, 13}
	leavesAsItIs = []int{3, 4, 7, 501}
)

func powerAction(k *call) (int, any) {
	var body struct {
		Action *int `json:"action"`
	}
	if !k.readBody(&body) || body.Action == nil {
		return invalid("action", "Invalid value")
	}
	switch {
	case slices.Contains(switchesOn, *body.Action):
		k.setPower(fleet.On)
		k.amt.logBoot(time.Now())
	case slices.Contains(switchesOff, *body.Action):
		k.setPower(fleet.Off)
	case slices.Contains(leavesAsItIs, *body.Action):
	default:
		return invalid("action", "Invalid value")
	}
	return http.StatusOK, returnValue(powerClass, "RequestPowerStateChange", 0)
}

func (k *call) setPower(state fleet.PowerState) {
	k.api.fleet.Change(k.device.GUID, func(d *fleet.Device) { d.PowerState = state })
	k.amt.addAuditRecord(17, 0, "RCO", "Performed Power Up")
}

func powerCapabilities(*call) (int, any) {
	return http.StatusOK, JSON{
		"Power up": 2, "Power cycle": 5, "Power down": 8, "Reset": 10, "Soft-off": 12, "Soft-reset": 14, "Sleep": 4, "Hibernate": 7,
		"Power up to BIOS": 100, "Reset to BIOS": 101, "Reset to Secure Erase": 104, "Reset to IDE-R Floppy": 200, "Power on to IDE-R Floppy": 201,
		"Reset to IDE-R CDROM": 202, "Power on to IDE-R CDROM": 203, "Reset to PXE": 400, "Power on to PXE": 401,
	}
}

func bootSources(*call) (int, any) {
	sources := []JSON{}
	for _, name := range []string{"Hard-drive:1", "CD/DVD:1", "Network:1"} {
		sources = append(sources, JSON{
			"biosBootString": "", "bootString": "", "elementName": "Intel(r) AMT: Boot Source", "failThroughSupported": 2,
			"instanceID": "Intel(r) AMT: Force " + name, "structuredBiosBootString": "CIM:" + name,
		})
	}
	return http.StatusOK, sources
}

func bootOptions(k *call) (int, any) {
	var body struct {
		Action *int `json:"action"`
		UseSOL bool `json:"useSOL"`
	}
	if !k.readBody(&body) || body.Action == nil {
		return invalid("action", "Invalid value")
	}
	k.setPower(fleet.On)
	k.amt.logBoot(time.Now())
	return http.StatusOK, returnValue(powerClass, "RequestPowerStateChange", 0)
}

const consentClass = "http://intel.com/wbem/wscim/1/ips-schema/1/IPS_OptInService"

// The states of user consent.
const (
	notStarted = 0
	displayed  = 2
	received   = 3
)

func requestConsent(k *call) (int, any) {
	k.amt.consentState = displayed
	return http.StatusOK, returnValue(consentClass, "StartOptIn", 0)
}

// sendConsent accepts any code of six characters, because a simulated screen shows none.
func sendConsent(k *call) (int, any) {
	var body struct {
		ConsentCode any `json:"consentCode"`
	}
	if !k.readBody(&body) || body.ConsentCode == nil {
		return invalid("consentCode", "Consent code is required")
	}
	if k.amt.consentState != displayed || len(fmt.Sprint(body.ConsentCode)) != 6 {
		k.amt.addLogEntry(wrongCode, time.Now())
		return http.StatusBadRequest, returnValue(consentClass, "SendOptInCode", 2)
	}
	k.amt.consentState = received
	return http.StatusOK, returnValue(consentClass, "SendOptInCode", 0)
}

func cancelConsent(k *call) (int, any) {
	k.amt.consentState = notStarted
	return http.StatusOK, returnValue(consentClass, "CancelOptIn", 0)
}

func displays(k *call) (int, any) {
	screens := []JSON{}
	for i := range 2 {
		screens = append(screens, JSON{
			"displayIndex": i, "isActive": i == 0, "upperLeftX": 0, "upperLeftY": 0, "resolutionX": 1920, "resolutionY": 1080,
			"isDefault": i == k.amt.display, "role": []string{"primary", "secondary"}[i],
		})
	}
	return http.StatusOK, JSON{"displays": screens}
}

func setDisplay(k *call) (int, any) {
	var body struct {
		DisplayIndex *int `json:"displayIndex"`
	}
	if !k.readBody(&body) || body.DisplayIndex == nil || *body.DisplayIndex < 0 || *body.DisplayIndex > 3 {
		return invalid("displayIndex", "displayIndex must be an integer from 0 to 3")
	}
	k.amt.display = *body.DisplayIndex
	return http.StatusOK, JSON{"IPS_KVMRedirectionSettingData": JSON{
		"BackToBackFbMode": false, "DefaultScreen": k.amt.display, "DoubleBufferActive": false, "DoubleBufferEnabled": true,
		"ElementName": "Intel(r) KVM Redirection Settings", "EnabledByMEBx": true, "GrayscalePixelFormatSupported": true,
		"InitialDecimationModeForLowRes": 2, "InstanceID": "Intel(r) KVM Redirection Settings", "Is5900PortEnabled": false,
		"OptInPolicy": false, "SessionTimeout": 3, "ZlibControlSupported": true,
	}}
}

// maxAlarms is the largest number of alarms that AMT keeps.
const maxAlarms = 5

func addAlarm(k *call) (int, any) {
	var body struct {
		ElementName, InstanceID string
		StartTime               *time.Time
		Interval                int
		DeleteOnCompletion      *bool
	}
	if !k.readBody(&body) || body.ElementName == "" || body.StartTime == nil {
		return badRequest("Invalid parameters for alarm add request for guid : " + k.device.GUID + ".")
	}
	if len(k.amt.alarms) == maxAlarms {
		return badRequest("Alarm add request failed, quota limit reached for guid : " + k.device.GUID + ".")
	}
	id := body.InstanceID
	if id == "" {
		id = body.ElementName
	}
	k.amt.alarms = append(k.amt.alarms, JSON{
		"ElementName": body.ElementName, "InstanceID": id, "StartTime": JSON{"Datetime": body.StartTime.UTC().Format(time.RFC3339)},
		"Interval": JSON{"Interval": fmt.Sprintf("PT%dM", body.Interval)}, "InternalInMinutes": body.Interval, // spelled so by MPS
		"DeleteOnCompletion": body.DeleteOnCompletion == nil || *body.DeleteOnCompletion,
	})
	return http.StatusOK, JSON{"status": "SUCCESS", "ReturnValue": 0}
}

func alarms(k *call) (int, any) { return http.StatusOK, append([]JSON{}, k.amt.alarms...) }

func deleteAlarm(k *call) (int, any) {
	var body struct{ Name string }
	if !k.readBody(&body) || body.Name == "" {
		return badRequest("Invalid alarm occurrence request for guid : " + k.device.GUID + ".")
	}
	before := len(k.amt.alarms)
	k.amt.alarms = slices.DeleteFunc(k.amt.alarms, func(a JSON) bool { return a["InstanceID"] == body.Name })
	if len(k.amt.alarms) == before {
		return http.StatusNotFound, JSON{
			"error": "Alarm instance not found", "errorDescription": "Alarm occurrence delete request failed for guid : " + k.device.GUID + ".",
		}
	}
	return http.StatusOK, JSON{"status": "SUCCESS"}
}
