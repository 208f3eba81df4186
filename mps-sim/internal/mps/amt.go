package mps

import (
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

// amt holds the state of AMT on one device.
type amt struct {
	record       JSON // the fields of the device's record that clients have changed
	features     features
	consentState int
	alarms       []JSON
	certificates []JSON
	display      int
	audit        []JSON // newest first
	log          []JSON // the event log, newest first
	wireless     string // the state of the WiFi port
	localSync    bool
	uefiSync     bool
	profiles     []profile
	sessions     map[string]int // redirection sessions by mode
	number       uint32         // a number from the guid, for addresses and serial numbers
}

// features holds the features of AMT as POST sets them.
type features struct {
	UserConsent string `json:"userConsent"`
	EnableSOL   bool   `json:"enableSOL"`
	EnableIDER  bool   `json:"enableIDER"`
	EnableKVM   bool   `json:"enableKVM"`
	OCR         *bool  `json:"ocr"`
}

// amtOf returns the state of AMT on a device, and makes it at the first call. The caller holds a.mu.
func (a *API) amtOf(d fleet.Device) *amt {
	m := a.amts[d.GUID]
	if m == nil {
		h := fnv.New32a()
		_, _ = h.Write([]byte(d.GUID))
		m = &amt{
			record: JSON{}, sessions: map[string]int{}, number: h.Sum32(), wireless: "WifiEnabledS0SxAC", localSync: true,
			features: features{UserConsent: "kvm", EnableSOL: true, EnableIDER: true, EnableKVM: true},
		}
		m.startLog(time.Now())
		m.addAuditRecord(16, 2, "Security Admin", "Provisioning Completed")
		a.amts[d.GUID] = m
	}
	return m
}

// maxAudit is the largest number of records in the audit log of a device.
const maxAudit = 100

// addAuditRecord adds a record to the audit log.
func (m *amt) addAuditRecord(app, id int, appName, name string) {
	m.audit = slices.Insert(m.audit, 0, JSON{
		"AuditAppID": app, "EventID": id, "InitiatorType": 0, "AuditApp": appName, "Event": name, "Initiator": "admin",
		"Time": isoTime(time.Now()), "MCLocationType": 0, "NetAddress": "127.0.0.1", "Ex": "", "ExStr": nil,
	})
	m.audit = m.audit[:min(len(m.audit), maxAudit)]
}

const setupClass = "http://intel.com/wbem/wscim/1/amt-schema/1/AMT_SetupAndConfigurationService"

func amtVersion(*call) (int, any) {
	identity := []JSON{}
	for _, v := range [][2]string{
		{"Flash", "16.1.25"},
		{"Netstack", "16.1.25"},
		{"AMTApps", "16.1.25"},
		{"AMT", "16.1.25"},
		{"Sku", "16392"},
		{"VendorID", "8086"},
		{"Build Number", "2124"},
		{"Recovery Version", "16.1.25"},
	} {
		identity = append(identity, JSON{"InstanceID": v[0], "IsEntity": true, "VersionString": v[1]})
	}
	service := JSON{
		"CreationClassName": "AMT_SetupAndConfigurationService", "ElementName": "Intel(r) AMT Setup and Configuration Service",
		"EnabledState": 5, "Name": "Intel(r) AMT Setup and Configuration Service", "PasswordModel": 1, "ProvisioningMode": 1,
		"ProvisioningServerOTP": "AAAAAAAAAAA=", "ProvisioningState": 2, "RequestedState": 12,
		"SystemCreationClassName": "CIM_ComputerSystem", "SystemName": "Intel(r) AMT", "ZeroTouchConfigurationEnabled": true,
	}
	return http.StatusOK, JSON{
		"CIM_SoftwareIdentity": JSON{"responses": identity, "status": 200},
		"AMT_SetupAndConfigurationService": JSON{
			"response": service, "responses": JSON{"Header": header(setupClass, "Get"), "Body": service}, "status": 200,
		},
	}
}

func getFeatures(k *call) (int, any) {
	f := k.amt.features
	return http.StatusOK, JSON{
		"userConsent": f.UserConsent, "redirection": f.EnableSOL || f.EnableIDER || f.EnableKVM,
		"KVM": f.EnableKVM, "SOL": f.EnableSOL, "IDER": f.EnableIDER, "optInState": k.amt.consentState, "kvmAvailable": true,
		"ocr": f.OCR != nil && *f.OCR, "httpsBootSupported": true, "winREBootSupported": true, "localPBABootSupported": true, "remoteErase": false,
	}
}

func setFeatures(k *call) (int, any) {
	var f features
	if !k.readBody(&f) || !slices.Contains([]string{"none", "kvm", "all"}, f.UserConsent) {
		return invalid("userConsent", "User consent value should be either kvm, all or none")
	}
	if f.OCR == nil {
		f.OCR = k.amt.features.OCR
	}
	k.amt.features = f
	k.amt.addAuditRecord(18, 10, "Redirection Manager", "KVM Enabled")
	return http.StatusOK, JSON{"status": "AMT Features updated"}
}

func generalSettings(k *call) (int, any) {
	const class = "http://intel.com/wbem/wscim/1/amt-schema/1/AMT_GeneralSettings"
	return http.StatusOK, JSON{"Header": header(class, "Get"), "Body": JSON{
		"AMTNetworkEnabled": 1, "DDNSPeriodicUpdateInterval": 1440, "DDNSTTL": 900, "DDNSUpdateByDHCPServerEnabled": true,
		"DDNSUpdateEnabled": false, "DHCPv6ConfigurationTimeout": 0, "DigestRealm": "Digest:A4070000000000000000000000000000",
		"DomainName": "example.com", "ElementName": "Intel(r) AMT: General Settings", "HostName": k.device.Hostname,
		"HostOSFQDN": k.device.Hostname + ".example.com", "IdleWakeTimeout": 65535, "InstanceID": "Intel(r) AMT: General Settings",
		"NetworkInterfaceEnabled": true, "PingResponseEnabled": true, "PowerSource": 0, "PreferredAddressFamily": 0,
		"PresenceNotificationInterval": 0, "PrivacyLevel": 0, "RmcpPingResponseEnabled": true, "SharedFQDN": true, "WsmanOnlyMode": false,
	}}
}

func hardwareInfo(k *call) (int, any) {
	one := func(response JSON) JSON {
		return JSON{"response": response, "responses": []JSON{response}, "status": 200}
	}
	return http.StatusOK, JSON{
		"CIM_ComputerSystemPackage": one(JSON{"PlatformGUID": k.device.GUID}),
		"CIM_SystemPackaging":       one(JSON{"PlatformGUID": k.device.GUID}),
		"CIM_Chassis": one(JSON{
			"ChassisPackageType": 3, "ElementName": "Managed System Chassis", "Manufacturer": "Example", "Model": "Desktop", "SerialNumber": serial(k.amt.number), "Tag": "CIM_Chassis",
		}),
		"CIM_Chip": one(JSON{"ElementName": "Managed System Processor Chip", "Manufacturer": "Intel(R) Corporation", "Tag": "CPU 0", "Version": "13th Gen Intel(R) Core(TM) i5"}),
		"CIM_Card": one(JSON{"ElementName": "Managed System Base Board", "Manufacturer": "Example", "Model": "Board", "SerialNumber": serial(k.amt.number), "Tag": "CIM_Card"}),
		"CIM_BIOSElement": one(JSON{
			"ElementName": "Primary BIOS", "Manufacturer": "Example", "PrimaryBIOS": true, "ReleaseDate": JSON{"Datetime": "2024-01-01T00:00:00Z"}, "Version": "1.0.0",
		}),
		"CIM_Processor": one(JSON{"CurrentClockSpeed": 2400, "DeviceID": "CPU 0", "ElementName": "Managed System CPU", "MaxClockSpeed": 4600, "Stepping": "2", "UpgradeMethod": 2}),
		"CIM_PhysicalMemory": JSON{"responses": []JSON{
			{"BankLabel": "BANK 0", "Capacity": 8589934592, "ElementName": "Managed System Memory Chip", "FormFactor": 13, "Manufacturer": "Example", "MemoryType": 26, "PartNumber": "M1", "SerialNumber": serial(k.amt.number + 1)},
		}, "status": 200},
		"CIM_MediaAccessDevice": JSON{"responses": []JSON{{"DeviceID": "MEDIA DEV 0", "ElementName": "Managed System Media Access Device", "MaxMediaSize": 250059350}}, "status": 200},
		"CIM_PhysicalPackage":   JSON{"responses": []JSON{{"ElementName": "Managed System Physical Package", "PackageType": 3, "Tag": "CIM_Chassis"}}, "status": 200},
	}
}

// deactivate deactivates AMT on a device and removes the device from the fleet.
func deactivate(k *call) (int, any) {
	k.api.fleet.Remove(k.device.GUID)
	delete(k.api.amts, k.device.GUID)
	return http.StatusOK, JSON{"status": "SUCCESS"}
}

func auditLog(k *call) (int, any) {
	start, wrongNumber := k.queryNumber("startIndex", 1)
	if wrongNumber {
		return invalid("startIndex", "startIndex should be an integer")
	}
	records := k.amt.audit[min(max(start-1, 0), len(k.amt.audit)):]
	return http.StatusOK, JSON{"totalCnt": len(k.amt.audit), "records": records[:min(len(records), 10)]}
}
