package mps

import "net/http"

// The values of Route.NeedsDevice.
const (
	device = true
	server = false
)

// Routes returns all routes of MPS's REST API.
func Routes() []Route {
	const ok, created, none = http.StatusOK, http.StatusCreated, http.StatusNoContent
	return []Route{
		// Login, and the server itself.
		{"POST", "/api/v1/authorize", server, ok, `{"username":"standalone","password":"G@ppm0ym"}`, authorize},
		{"GET", "/api/v1/authorize/redirection/:guid", server, ok, "", authorizeRedirection},
		{"GET", "/api/v1/ciracert", server, ok, "", ciraCert},
		{"GET", "/api/v1/health", server, ok, "", health},
		{"GET", "/api/v1/version", server, ok, "", serviceVersion},

		// The records of devices.
		{"GET", "/api/v1/devices", server, ok, "", listDevices},
		{"GET", "/api/v1/devices/stats", server, ok, "", deviceStats},
		{"GET", "/api/v1/devices/tags", server, ok, "", deviceTags},
		{"GET", "/api/v1/devices/:guid", server, ok, "", getDevice},
		{"GET", "/api/v1/devices/redirectstatus/:guid", device, ok, "", redirectStatus},
		{"POST", "/api/v1/devices", server, created, `{"guid":"12345678-9abc-4def-8123-456789abcdef","hostname":"new-pc","mpsusername":"admin","tags":["new"]}`, createDevice},
		{"PATCH", "/api/v1/devices", server, ok, `{"guid":"12345678-9abc-4def-8123-456789abcdef","tags":["known"]}`, editDevice},
		{"DELETE", "/api/v1/devices/refresh/:guid", device, ok, "", refreshDevice},
		{"DELETE", "/api/v1/devices/disconnect/:guid", device, ok, "", disconnectDevice},
		{"DELETE", "/api/v1/devices/:guid", server, none, "", deleteDevice},

		// AMT on a device.
		{"GET", "/api/v1/amt/version/:guid", device, ok, "", amtVersion},
		{"GET", "/api/v1/amt/features/:guid", device, ok, "", getFeatures},
		{"POST", "/api/v1/amt/features/:guid", device, ok, `{"userConsent":"all","enableSOL":true,"enableIDER":true,"enableKVM":true}`, setFeatures},
		{"GET", "/api/v1/amt/generalSettings/:guid", device, ok, "", generalSettings},
		{"GET", "/api/v1/amt/hardwareInfo/:guid", device, ok, "", hardwareInfo},
		{"DELETE", "/api/v1/amt/deactivate/:guid", device, ok, "", deactivate},

		// Power, boot and the logs.
		{"GET", "/api/v1/amt/power/state/:guid", device, ok, "", powerState},
		{"POST", "/api/v1/amt/power/action/:guid", device, ok, `{"action":8}`, powerAction},
		{"GET", "/api/v1/amt/power/capabilities/:guid", device, ok, "", powerCapabilities},
		{"GET", "/api/v1/amt/power/bootSources/:guid", device, ok, "", bootSources},
		{"POST", "/api/v1/amt/power/bootOptions/:guid", device, ok, `{"action":101,"useSOL":false}`, bootOptions},
		{"GET", "/api/v1/amt/log/audit/:guid", device, ok, "", auditLog},
		{"GET", "/api/v1/amt/log/event/:guid", device, ok, "", eventLog},

		// Consent, screens, alarms and certificates.
		{"GET", "/api/v1/amt/userConsentCode/:guid", device, ok, "", requestConsent},
		{"POST", "/api/v1/amt/userConsentCode/:guid", device, ok, `{"consentCode":"123456"}`, sendConsent},
		{"GET", "/api/v1/amt/userConsentCode/cancel/:guid", device, ok, "", cancelConsent},
		{"GET", "/api/v1/amt/kvm/displays/:guid", device, ok, "", displays},
		{"PUT", "/api/v1/amt/kvm/displays/:guid", device, ok, `{"displayIndex":0}`, setDisplay},
		{"POST", "/api/v1/amt/alarmOccurrences/:guid", device, ok, `{"ElementName":"wake","StartTime":"2030-01-01T06:00:00.000Z","Interval":0,"DeleteOnCompletion":true}`, addAlarm},
		{"GET", "/api/v1/amt/alarmOccurrences/:guid", device, ok, "", alarms},
		{"DELETE", "/api/v1/amt/alarmOccurrences/:guid", device, ok, `{"Name":"wake"}`, deleteAlarm},
		{"POST", "/api/v1/amt/certificates/:guid", device, ok, `{"cert":"TUlJQ3JqQ0M=","isTrusted":true}`, addCertificate},
		{"GET", "/api/v1/amt/certificates/:guid", device, ok, "", certificates},
		{"DELETE", "/api/v1/amt/certificates/:guid/:instanceId", device, ok, "", deleteCertificate},

		// The network of a device.
		{"POST", "/api/v1/amt/network/linkPreference/:guid", device, ok, `{"linkPreference":1,"timeout":60}`, linkPreference},
		{"GET", "/api/v1/amt/networkSettings/:guid", device, ok, "", networkSettings},
		{"GET", "/api/v1/amt/networkSettings/wired/:guid", device, ok, "", wiredSettings},
		{"PATCH", "/api/v1/amt/networkSettings/wired/:guid", device, none, `{"dhcpEnabled":true,"ipSyncEnabled":true}`, setWired},
		{"GET", "/api/v1/amt/networkSettings/wireless/state/:guid", device, ok, "", wirelessState},
		{"POST", "/api/v1/amt/networkSettings/wireless/state/:guid", device, ok, `{"state":"WifiEnabledS0SxAC"}`, setWirelessState},
		{"GET", "/api/v1/amt/networkSettings/wireless/profileSync/:guid", device, ok, "", profileSync},
		{"POST", "/api/v1/amt/networkSettings/wireless/profileSync/:guid", device, ok, `{"localProfileSync":true}`, setProfileSync},
		{"POST", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, none, `{"profileName":"home","ssid":"home-ssid","authenticationMethod":"WPA2PSK","encryptionMethod":"CCMP","priority":1,"password":"12345678"}`, addProfile},
		{"GET", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, ok, "", profiles},
		{"PATCH", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, none, `{"profileName":"home","ssid":"other-ssid","authenticationMethod":"WPA2PSK","encryptionMethod":"CCMP","priority":1}`, updateProfile},
		{"DELETE", "/api/v1/amt/networkSettings/wireless/profile/:guid/:profileName", device, none, "", deleteProfile},
	}
}
