package openamt

// These are the values of NeedsDevice, with names that make a row readable.
const (
	device = true  // AMT on the device answers the call, so the device must be connected
	server = false // the server answers the call by itself
)

// table holds one route in each row: HTTP method, path, device or server, AMT method name,
// and the messages of request, success, fail and error. If MPS or RPS puts a value of a request's
// or device's body into a message, the message here ends before that value.
var table = []Route{
	// MPS and Console: signing in and the server itself.
	{"POST", "/api/v1/authorize", server, "authorize", "Authorization requested", "Authorization granted", "Authorization failed", internalError},
	{"GET", "/api/v1/authorize/redirection/:guid", server, "authorizeRedirection", "Redirection authorization requested", "Redirection authorization granted", "Redirection authorization failed", internalError},
	{"POST", "/api/v1/authorize/logout", server, "logout", "Logout requested", "Logout completed", "Logout failed", internalError},
	{"GET", "/api/v1/ciracert", server, "getCIRACertificate", "CIRA Certificate requested", "CIRA Certificate received", "CIRA Certificate request failed", internalError},
	{"GET", "/api/v1/health", server, "getHealthCheck", "Health Check requested", "Health Check received", "Health Check Failed", ""},
	{"GET", "/api/v1/version", server, "getVersion", "Version requested", "Version received", "Version request failed", internalError},
	{"GET", "/api/v1/server/features", server, "getServerFeatures", "Server Features requested", "Server Features received", "Server Features request failed", internalError},
	{"GET", "/api/openapi.json", server, "getOpenAPI", "OpenAPI document requested", "OpenAPI document received", "OpenAPI document request failed", internalError},

	// MPS and Console: the records of devices.
	{"GET", "/api/v1/devices", server, "getAllDevices", "Devices requested", "Devices received", "Devices request failed", internalError},
	{"GET", "/api/v1/devices/stats", server, "getDeviceStats", "Device Stats requested", "Device Stats received", "Device Stats request failed", internalError},
	{"GET", "/api/v1/devices/tags", server, "getDeviceTags", "Device Tags requested", "Device Tags received", "Device Tags request failed", internalError},
	{"GET", "/api/v1/devices/:guid", server, "getDevice", "Device requested", "Device received", "Device request failed", internalError},
	{"POST", "/api/v1/devices", server, "createDevice", "Device add requested", "Device added", "Device add failed", internalError},
	{"PATCH", "/api/v1/devices", server, "editDevice", "Device update requested", "Device updated", "Device update failed", internalError},
	{"DELETE", "/api/v1/devices/:guid", server, "deleteDevice", "Device remove requested", "Device removed", "Device remove failed", internalError},
	{"DELETE", "/api/v1/devices/refresh/:guid", server, "refreshDevice", "Device refresh requested", "Device refreshed", "Device refresh failed", internalError},
	{"DELETE", "/api/v1/devices/disconnect/:guid", device, "disconnectDevice", "Device disconnect requested", "Device disconnected", "Device disconnect failed", internalError},
	{"GET", "/api/v1/devices/redirectstatus/:guid", device, "getRedirectStatus", "Redirection Status requested", "Redirection Status received", "Redirection Status request failed", internalError},
	{"GET", "/api/v1/devices/cert/:guid", device, "getDeviceCertificate", "Device Certificate requested", "Device Certificate received", "Device Certificate request failed", internalError},
	{"POST", "/api/v1/devices/cert/:guid", server, "pinDeviceCertificate", "Device Certificate pin requested", "Device Certificate pinned", "Device Certificate pin failed", internalError},
	{"DELETE", "/api/v1/devices/cert/:guid", server, "deleteDeviceCertificate", "Device Certificate delete requested", "Device Certificate deleted", "Device Certificate delete failed", internalError},

	// MPS and Console: AMT on a device.
	{"GET", "/api/v1/amt/version/:guid", device, "AMT_Version", "AMT Version requested", "AMT Version received", "AMT Version request failed", internalError},
	{"GET", "/api/v2/amt/version/:guid", device, "AMT_Version", "AMT Version requested", "AMT Version received", "AMT Version request failed", internalError},
	{"GET", "/api/v1/amt/features/:guid", device, "AMT_GetFeatures", "AMT Features requested", "AMT Features retrieved", "AMT Features request failed", internalError},
	{"GET", "/api/v2/amt/features/:guid", device, "AMT_GetFeatures", "AMT Features requested", "AMT Features retrieved", "AMT Features request failed", internalError},
	{"POST", "/api/v1/amt/features/:guid", device, "AMT_SetFeatures", "Set AMT Features requested", "AMT Features updated", "Set AMT Features request failed", internalError},
	{"POST", "/api/v2/amt/features/:guid", device, "AMT_SetFeatures", "Set AMT Features requested", "AMT Features updated", "Set AMT Features request failed", internalError},
	{"DELETE", "/api/v1/amt/deactivate/:guid", device, "AMT_Unprovision", "Device deactivation requested", "Device deactivated", "Device deactivation failed", internalError},
	{"GET", "/api/v1/amt/generalSettings/:guid", device, "AMT_GeneralSettings", "General Settings requested", "General Settings received", "AMT General Settings request failed", internalError},
	{"GET", "/api/v1/amt/hardwareInfo/:guid", device, "AMT_HardwareInfo", "Hardware Information requested", "Hardware Information received", "AMT Hardware Information request failed", internalError},
	{"GET", "/api/v1/amt/diskInfo/:guid", device, "AMT_DiskInfo", "Disk Info requested", "Disk Info received", "Disk Info request failed", internalError},
	{"GET", "/api/v1/amt/tls/:guid", device, "AMT_TLSSettingData", "TLS Settings requested", "TLS Settings received", "TLS Settings request failed", internalError},
	{"GET", "/api/v1/amt/explorer", server, "AMT_Explorer", "Explorer calls requested", "Explorer calls received", "Explorer calls request failed", internalError},
	{"GET", "/api/v1/amt/explorer/:guid/:call", device, "AMT_Explorer", "Explorer call requested: {call}", "Explorer call received: {call}", "Explorer call failed: {call}", internalError},

	// MPS and Console: power, boot and the logs.
	{"GET", "/api/v1/amt/power/state/:guid", device, "AMT_PowerState", "Power State requested", "Power State received", "Power State request failed", internalError},
	{"POST", "/api/v1/amt/power/action/:guid", device, "AMT_PowerAction", "Power Action requested", "Power Action requested", "Power Action request failed", internalError},
	{"GET", "/api/v1/amt/power/capabilities/:guid", device, "AMT_BootCapabilities", "Power Capabilities requested", "Power Capabilities received", "Power Capabilities request failed", internalError},
	{"GET", "/api/v1/amt/power/bootSources/:guid", device, "AMT_BootSources", "Boot Sources requested", "Boot Sources received", "Boot Sources request failed", internalError},
	{"POST", "/api/v1/amt/power/bootOptions/:guid", device, "AMT_BootSettingData", "Boot Options requested", "Boot Options set", "EnforceSecureBoot cannot be turned off in CCM", internalError},
	{"POST", "/api/v1/amt/power/bootoptions/:guid", device, "AMT_BootSettingData", "Boot Options requested", "Boot Options set", "EnforceSecureBoot cannot be turned off in CCM", internalError},
	{"GET", "/api/v1/amt/boot/remoteErase/:guid", device, "AMT_RemoteEraseCapabilities", "Remote Erase Capabilities requested", "Remote Erase Capabilities received", "Remote Erase Capabilities request failed", internalError},
	{"POST", "/api/v1/amt/boot/remoteErase/:guid", device, "AMT_RemoteErase", "Remote Erase requested", "Remote Erase sent", "Remote Erase request failed", internalError},
	{"GET", "/api/v1/amt/log/audit/:guid", device, "AMT_AuditLog", "Audit Log Requested", "Audit Log received", "Audit Log request failed", internalError},
	{"GET", "/api/v1/amt/log/audit/:guid/download", device, "AMT_AuditLog", "Audit Log download requested", "Audit Log downloaded", "Audit Log download failed", internalError},
	{"GET", "/api/v1/amt/log/event/:guid", device, "AMT_EventLog", "Event Log requested", "Event Log received", "Event Log request failed", internalError},
	{"GET", "/api/v1/amt/log/event/:guid/download", device, "AMT_EventLog", "Event Log download requested", "Event Log downloaded", "Event Log download failed", internalError},

	// MPS and Console: consent, screens, alarms and certificates.
	{"GET", "/api/v1/amt/userConsentCode/:guid", device, "Request_User_Consent_Code", "User Consent code requested", "User Consent code requested", "User Consent Request failed", internalError},
	{"POST", "/api/v1/amt/userConsentCode/:guid", device, "Send_User_Consent_Code", "User Consent code send requested", "User Consent code sent", "User Consent Sent failed", internalError},
	{"GET", "/api/v1/amt/userConsentCode/cancel/:guid", device, "Cancel_User_Consent_Code", "User Consent code cancel requested", "User Consent code cancelled", "User Consent Cancel failed", internalError},
	{"GET", "/api/v1/amt/kvm/displays/:guid", device, "AMT_KVM", "KVM Displays requested", "KVM Displays received", "KVM Displays request failed", internalError},
	{"PUT", "/api/v1/amt/kvm/displays/:guid", device, "AMT_KVM", "KVM Displays update requested", "KVM Displays updated", "KVM Displays update failed", internalError},
	{"GET", "/api/v1/amt/alarmOccurrences/:guid", device, "AMT_AlarmOccurrences", "Alarm occurrences request", "Alarm occurrences received", "Alarm occurrence get request failed", internalError},
	{"POST", "/api/v1/amt/alarmOccurrences/:guid", device, "AMT_AddAlarm", "Alarm add requested", "Alarm occurrences received", "Alarm add request failed", internalError},
	{"DELETE", "/api/v1/amt/alarmOccurrences/:guid", device, "AMT_DeleteAlarm", "Alarm occurrence delete request", "Alarm occurrence deleted", "Alarm occurrence delete request failed", internalError},
	{"GET", "/api/v1/amt/certificates/:guid", device, "AMT_GetCertificates", "AMT Certificates requested", "AMT Certificates retrieved", "AMT Certificates request failed", internalError},
	{"POST", "/api/v1/amt/certificates/:guid", device, "AMT_AddCertificate", "AMT Certificates add requested", "AMT Certificates added successfully", "AMT Certificates add failed", internalError},
	{"DELETE", "/api/v1/amt/certificates/:guid/:instanceId", device, "AMT_DeleteCertificate", "AMT Certificate delete requested", "AMT Certificate deleted successfully", "AMT Certificate delete failed", internalError},

	// MPS and Console: a device's network.
	{"POST", "/api/v1/amt/network/linkPreference/:guid", device, "AMT_LinkPreference", "Link Preference requested", "Link Preference set to ", "Set Link Preference failed: ", internalError},
	{"GET", "/api/v1/amt/networkSettings/:guid", device, "AMT_EthernetPortSettings", "Network Settings requested", "Network Settings received", "Network Settings not found", internalError},
	{"GET", "/api/v1/amt/networkSettings/wired/:guid", device, "AMT_EthernetPortSettings", "Wired Network Settings requested", "Wired Network Settings received", "Wired Network Settings not found", internalError},
	{"PATCH", "/api/v1/amt/networkSettings/wired/:guid", device, "AMT_EthernetPortSettings", "Wired Network Settings update requested", "Wired Network Settings updated", "Wired Network Settings update failed", internalError},
	{"GET", "/api/v1/amt/networkSettings/wireless/state/:guid", device, "CIM_WiFiPort", "Wireless State requested", "Wireless State received", "Wireless State not found", internalError},
	{"POST", "/api/v1/amt/networkSettings/wireless/state/:guid", device, "CIM_WiFiPort", "Wireless State change requested", "Wireless State changed", "Wireless State change failed", internalError},
	{"GET", "/api/v1/amt/networkSettings/wireless/profileSync/:guid", device, "AMT_WiFiPortConfigurationService", "Wireless Profile Sync requested", "Wireless Profile Sync received", "Wireless Profile Sync not found", internalError},
	{"POST", "/api/v1/amt/networkSettings/wireless/profileSync/:guid", device, "AMT_WiFiPortConfigurationService", "Wireless Profile Sync update requested", "Wireless Profile Sync updated", "Wireless Profile Sync update failed", internalError},
	{"GET", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, "AMT_WiFiProfiles", "Wireless Profiles requested", "Wireless Profiles received", "Wireless Profiles request failed", ""},
	{"POST", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, "AMT_WiFiProfiles", "Wireless Profile add requested", "Wireless Profile added", "Wireless Profile add failed", internalError},
	{"PATCH", "/api/v1/amt/networkSettings/wireless/profile/:guid", device, "AMT_WiFiProfiles", "Wireless Profile update requested", "Wireless Profile updated", "Wireless Profile update failed", internalError},
	{"DELETE", "/api/v1/amt/networkSettings/wireless/profile/:guid/:profileName", device, "AMT_WiFiProfiles", "Wireless Profile delete requested", "Wireless Profile deleted", "Wireless Profile delete failed", internalError},

	// RPS and Console: the server itself. RPS has one message for all failures of a call.
	{"GET", "/api/v1/admin", server, "getAdmin", "Admin requested", "Admin received", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/version", server, "getVersion", "Version requested", "Version received", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/health", server, "getHealthCheck", "Health Check requested", "Health Check received", "Failed to get health", ""},

	// RPS and Console: domains.
	{"GET", "/api/v1/admin/domains", server, "getAllDomains", "Domains requested", "Sent domains", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/domains/:domainName", server, "getDomain", "Domain requested : {domainName}", "Sent Domain : {domainName}", "Failed to GET: {domainName}", ""},
	{"POST", "/api/v1/admin/domains", server, "createDomain", "Domain create requested", "Created Domain : ", "Failed to POST: ", ""},
	{"PATCH", "/api/v1/admin/domains", server, "editDomain", "Domain update requested", "Domain Updated : ", "Failed to PATCH: ", ""},
	{"DELETE", "/api/v1/admin/domains/:domainName", server, "deleteDomain", "Domain delete requested : {domainName}", "Domain Deleted : {domainName}", "Failed to DELETE: {domainName}", ""},

	// RPS and Console: activation profiles.
	{"GET", "/api/v1/admin/profiles", server, "allProfiles", "Profiles requested", "Sent profiles", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/profiles/:profileName", server, "getProfile", "Profile requested : {profileName}", "Sent Profile : {profileName}", "Failed to GET: {profileName}", ""},
	{"POST", "/api/v1/admin/profiles", server, "createProfile", "Profile create requested", "Created Profile : ", "Failed to POST: ", ""},
	{"PATCH", "/api/v1/admin/profiles", server, "editProfile", "Profile update requested", "Updated Profile : ", "Failed to PATCH: ", ""},
	{"DELETE", "/api/v1/admin/profiles/:profileName", server, "deleteProfile", "Profile delete requested : {profileName}", "Deleted Profile : {profileName}", "Failed to DELETE: {profileName}", ""},
	{"GET", "/api/v1/admin/profiles/export/:profileName", server, "exportProfile", "Profile export requested : {profileName}", "Exported Profile : {profileName}", "Failed to GET: {profileName}", ""},

	// RPS and Console: CIRA configurations.
	{"GET", "/api/v1/admin/ciraconfigs", server, "allCiraConfigs", "CIRA config profiles requested", "Sent configs", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/ciraconfigs/:ciraConfigName", server, "getCiraConfig", "CIRA config profile requested : {ciraConfigName}", "Get CIRA config profile : {ciraConfigName}", "Failed to GET: {ciraConfigName}", ""},
	{"POST", "/api/v1/admin/ciraconfigs", server, "createCiraConfig", "CIRA config profile create requested", "Created ", "Failed to POST: ", ""},
	{"PATCH", "/api/v1/admin/ciraconfigs", server, "editCiraConfig", "CIRA config profile update requested", "Updated CIRA config profile : ", "Failed to PATCH: ", ""},
	{"DELETE", "/api/v1/admin/ciraconfigs/:ciraConfigName", server, "deleteCiraConfig", "CIRA config profile delete requested : {ciraConfigName}", "Deleted CIRA config : {ciraConfigName}", "Failed to DELETE: {ciraConfigName}", ""},

	// RPS and Console: wireless profiles.
	{"GET", "/api/v1/admin/wirelessconfigs", server, "allWirelessProfiles", "Wireless Profiles requested", "Sent wireless profiles", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/wirelessconfigs/:profileName", server, "getWirelessProfiles", "Wireless Profile requested : {profileName}", "Sent Wireless Profile : {profileName}", "Failed to GET: {profileName}", ""},
	{"POST", "/api/v1/admin/wirelessconfigs", server, "createWirelessProfiles", "Wireless Profile create requested", "Created wireless profile : ", "Failed to POST: wirelessConfig.profileName", ""},
	{"PATCH", "/api/v1/admin/wirelessconfigs", server, "editWirelessProfiles", "Wireless Profile update requested", "Updated Wireless Profile : ", "Failed to PATCH: ", ""},
	{"DELETE", "/api/v1/admin/wirelessconfigs/:profileName", server, "deleteWirelessProfiles", "Wireless Profile delete requested : {profileName}", "Deleted wireless profile : {profileName}", "Failed to DELETE: {profileName}", ""},

	// RPS and Console: 802.1x profiles.
	{"GET", "/api/v1/admin/ieee8021xconfigs", server, "getAllIEEE8021xConfigs", "802.1x Profiles requested", "Sent all 802.1x configurations", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/ieee8021xconfigs/:profileName", server, "getIeee8021xProfiles", "802.1x Profile requested : {profileName}", "Sent 802.1x Profile : {profileName}", "Failed to GET: {profileName}", ""},
	{"POST", "/api/v1/admin/ieee8021xconfigs", server, "createIEEE8021xProfiles", "802.1x Profile create requested", "Created 802.1x profile : ", "Failed to POST: ieee8021xConfig.profileName", ""},
	{"PATCH", "/api/v1/admin/ieee8021xconfigs", server, "edit8021xProfiles", "802.1x Profile update requested", "Updated8021x Profile : ", "Failed to PATCH: ", ""},
	{"DELETE", "/api/v1/admin/ieee8021xconfigs/:profileName", server, "deleteIEEE8021xProfiles", "802.1x Profile delete requested : {profileName}", "Deleted 802.1x profile : {profileName}", "Failed to DELETE: {profileName}", ""},

	// RPS and Console: proxy profiles.
	{"GET", "/api/v1/admin/proxyconfigs", server, "allProxyConfigs", "Proxy Profiles requested", "Sent proxy configs", "Failed to GET: ", ""},
	{"GET", "/api/v1/admin/proxyconfigs/:name", server, "getProxyProfile", "Proxy Profile requested : {name}", "Sent Profile : {name}", "Failed to GET: getProxyProfile", ""},
	{"POST", "/api/v1/admin/proxyconfigs", server, "createProxyConfigs", "Proxy Profile create requested", "Created proxy profile: ", "Failed to POST: proxyConfig.name", ""},
	{"PATCH", "/api/v1/admin/proxyconfigs", server, "editProxyConfig", "Proxy Profile update requested", "Updated proxy configuration : ", "Failed to PATCH: proxyConfigAccessInfo", ""},
	{"DELETE", "/api/v1/admin/proxyconfigs/:name", server, "deleteProxyProfile", "Proxy Profile delete requested : {name}", "Deleted proxy configuration : {name}", "Failed to DELETE: deleteProxyProfile", ""},
}
