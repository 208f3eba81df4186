package mps

import (
	"net/http"
	"slices"
	"time"
)

// logged is a kind of entry in the event log of AMT. The numbers are those of IPMI.
type logged struct {
	sensor, severity int
	text, from       string
}

var (
	memoryTest = logged{15, 1, "Memory initialization.", "BIOS"}
	usbSetup   = logged{15, 1, "USB resource configuration", "BIOS"}
	osBoot     = logged{15, 1, "Starting operating system boot process", "BIOS"}
	wrongCode  = logged{6, 8, "Authentication failed. The system may be under attack.", "Intel(r) ME"}
	pciSetup   = logged{15, 1, "Performing PCI configuration", "BIOS"}
)

// maxLog is the number of entries that the event log keeps.
const maxLog = 390

// startLog fills the log with the boots of the last days. Their number and times follow from the number of
// the device, and so from the seed.
func (m *amt) startLog(now time.Time) {
	boots := 2 + int(m.number%5)
	at := now.Add(-time.Duration(boots) * 23 * time.Hour)
	for i := range boots {
		at = at.Add(time.Duration(m.number>>(3*i)%8) * 11 * time.Minute)
		m.logBoot(at)
		if m.number>>i&3 == 0 {
			m.addLogEntry(pciSetup, at.Add(5*time.Hour))
		}
		at = at.Add(22 * time.Hour)
	}
}

// logBoot adds the entries of a boot.
func (m *amt) logBoot(at time.Time) {
	for _, what := range []logged{memoryTest, usbSetup, osBoot} {
		m.addLogEntry(what, at)
	}
}

func (m *amt) addLogEntry(what logged, at time.Time) {
	m.log = slices.Insert(m.log, 0, JSON{
		"DeviceAddress": 255, "EventSensorType": what.sensor, "EventType": 111, "EventOffset": 2, "EventSourceType": 104, "EventSeverity": what.severity,
		"SensorNumber": 255, "Entity": 34, "EntityInstance": 0, "EventData": []int{64, 6, 0, 0, 0, 0, 0, 0},
		"TimeStamp": isoTime(at), "EntityStr": what.from, "Desc": what.text,
	})
	m.log = m.log[:min(len(m.log), maxLog)]
}

func eventLog(k *call) (int, any) { return http.StatusOK, slices.Clone(k.amt.log) }
