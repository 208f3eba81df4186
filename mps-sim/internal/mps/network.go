package mps

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/middleware"
)

func serial(n uint32) string { return fmt.Sprintf("SIM%08X", n) }

func certificates(k *call) (int, any) {
	items := []JSON{{
		"elementName": "Intel(r) AMT Certificate", "instanceID": "Intel(r) AMT Certificate: Handle: 0", "x509Certificate": "TUlJQ3JqQ0M=",
		"trustedRootCertificate": false, "issuer": "CN=AMT self-signed certificate", "subject": "CN=AMT self-signed certificate",
		"readOnlyCertificate": true, "publicKeyHandle": "", "associatedProfiles": []string{"TLS"}, "displayName": "AMT self-signed certificate",
	}}
	return http.StatusOK, JSON{
		"certificates": JSON{"keyManagementItems": []JSON{}, "publicKeyCertificateItems": append(items, k.amt.certificates...)},
		"publicKeys": JSON{"publicPrivateKeyPairItems": []JSON{{
			"elementName": "Intel(r) AMT Key", "instanceID": "Intel(r) AMT Key: Handle: 0", "derKey": "MIIBCgKCAQEA", "certificateHandle": "Intel(r) AMT Certificate: Handle: 0",
		}}},
		"profileAssociation": []JSON{},
	}
}

func addCertificate(k *call) (int, any) {
	var body struct {
		Cert      string `json:"cert"`
		IsTrusted bool   `json:"isTrusted"`
	}
	if !k.readBody(&body) || body.Cert == "" {
		return invalid("cert", "Certificate is required")
	}
	handle := fmt.Sprintf("Intel(r) AMT Certificate: Handle: %d", len(k.amt.certificates)+1)
	k.amt.certificates = append(k.amt.certificates, JSON{
		"elementName": "Intel(r) AMT Certificate", "instanceID": handle, "x509Certificate": body.Cert, "trustedRootCertificate": body.IsTrusted,
		"issuer": "CN=added", "subject": "CN=added", "readOnlyCertificate": false, "publicKeyHandle": "", "associatedProfiles": []string{}, "displayName": "added",
	})
	return http.StatusOK, JSON{"handle": handle}
}

func deleteCertificate(k *call) (int, any) {
	handle := k.Param("instanceId")
	if handle == "Intel(r) AMT Certificate: Handle: 0" {
		return badRequest("Cannot delete certificate '" + handle + "': Certificate is read-only and cannot be removed")
	}
	before := len(k.amt.certificates)
	k.amt.certificates = slices.DeleteFunc(k.amt.certificates, func(c JSON) bool { return c["instanceID"] == handle })
	if len(k.amt.certificates) == before {
		return notFound("Certificate with handle '" + handle + "' not found")
	}
	return http.StatusOK, JSON{"message": "Certificate deleted successfully", "handle": handle}
}

func linkPreference(k *call) (int, any) {
	var body struct{ LinkPreference, Timeout int }
	name := ""
	if k.readBody(&body) {
		name = map[int]string{1: "ME", 2: "HOST"}[body.LinkPreference]
	}
	if name == "" {
		return invalid("linkPreference", "linkPreference must be 1 (ME) or 2 (HOST)")
	}
	middleware.SetMessage(k.Context, "Link Preference set to "+name)
	return http.StatusOK, JSON{"ReturnValue": 0, "ReturnValueStr": "SUCCESS"}
}

// port returns the settings of the network port at index: 0 wired, 1 wireless.
func port(n uint32, index int) JSON {
	address := fmt.Sprintf("192.168.%d.%d", n>>8%256, 1+n%254)
	return JSON{
		"elementName": "Intel(r) AMT Ethernet Port Settings", "instanceID": fmt.Sprintf("Intel(r) AMT Ethernet Port Settings %d", index),
		"vlanTag": 0, "sharedMAC": true, "macAddress": fmt.Sprintf("02-00-%02x-%02x-%02x-%02x", byte(n>>24), byte(n>>16), byte(n>>8), byte(n)+byte(index)),
		"linkIsUp": index == 0, "linkPolicy": []string{"S0 AC", "Sx AC"}, "linkPreference": "Management Engine", "linkControl": "Management Engine",
		"sharedStaticIP": false, "sharedDynamicIP": true, "ipSyncEnabled": true, "dhcpEnabled": true, "ipAddress": address,
		"subnetMask": "255.255.0.0", "defaultGateway": "192.168.0.1", "primaryDNS": "192.168.0.1", "secondaryDNS": "",
		"consoleTCPMaxRetransmissions": 5, "wlanLinkProtectionLevel": "None", "physicalNICMedium": "SMBUS",
		"physicalConnectionType": []string{"Integrated LAN NIC", "Wireless LAN"}[index],
	}
}

func (m *amt) wired() JSON {
	p := port(m.number, 0)
	p["ieee8021x"] = JSON{"enabled": "Disabled", "availableInS0": false, "pxeTimeout": 0}
	return p
}

func networkSettings(k *call) (int, any) {
	wireless := port(k.amt.number, 1)
	networks := []JSON{}
	for _, p := range k.amt.profiles {
		networks = append(networks, JSON{
			"elementName": p.ProfileName, "ssid": p.SSID, "authenticationMethod": p.AuthenticationMethod,
			"encryptionMethod": p.EncryptionMethod, "priority": p.Priority, "bsstype": "Infrastructure",
		})
	}
	wireless["wifiNetworks"], wireless["ieee8021xSettings"] = networks, []JSON{}
	wireless["wifiPortConfigService"] = JSON{
		"requestedState": 12, "enabledState": 5, "healthState": 5, "elementName": "Intel(r) AMT WiFi Port Configuration Service",
		"systemCreationClassName": "CIM_ComputerSystem", "systemName": "Intel(r) AMT", "creationClassName": "AMT_WiFiPortConfigurationService",
		"name": "Intel(r) AMT WiFi Port Configuration Service", "localProfileSynchronizationEnabled": 3,
		"lastConnectedSsidUnderMeControl": "", "noHostCsmeSoftwarePolicy": 0, "uefiWiFiProfileShareEnabled": k.amt.uefiSync,
	}
	return http.StatusOK, JSON{"wired": k.amt.wired(), "wireless": wireless}
}

func wiredSettings(k *call) (int, any) { return http.StatusOK, k.amt.wired() }

func setWired(k *call) (int, any) {
	var body struct {
		DHCPEnabled *bool  `json:"dhcpEnabled"`
		IPAddress   string `json:"ipAddress"`
		IEEE8021x   any    `json:"ieee8021x"`
	}
	switch ok := k.readBody(&body); {
	case !ok:
		return badRequest("the body is no JSON")
	case body.IEEE8021x != nil:
		return http.StatusNotImplemented, JSON{"error": "Not Implemented", "errorDescription": "Wired 802.1x configuration is not supported"}
	case body.DHCPEnabled != nil && *body.DHCPEnabled && body.IPAddress != "":
		return badRequest("ipAddress must not be set when dhcpEnabled is true")
	}
	return http.StatusNoContent, nil
}

var wirelessStates = []string{"WifiDisabled", "WifiEnabledS0", "WifiEnabledS0SxAC"}

func wirelessState(k *call) (int, any) { return http.StatusOK, JSON{"state": k.amt.wireless} }

func setWirelessState(k *call) (int, any) {
	var body struct{ State string }
	if k.readBody(&body) {
		for _, state := range wirelessStates {
			if strings.EqualFold(state, body.State) {
				k.amt.wireless = state
				return http.StatusOK, JSON{"state": state}
			}
		}
	}
	return badRequest("Unsupported wireless state: " + body.State)
}

func profileSync(k *call) (int, any) {
	return http.StatusOK, JSON{"localProfileSync": k.amt.localSync, "uefiProfileSync": k.amt.uefiSync, "uefiProfileSyncSupported": true}
}

func setProfileSync(k *call) (int, any) {
	var body struct{ LocalProfileSync, UEFIProfileSync *bool }
	if !k.readBody(&body) || body.LocalProfileSync == nil && body.UEFIProfileSync == nil {
		return invalid("localProfileSync", "at least one of localProfileSync and uefiProfileSync is required")
	}
	if body.LocalProfileSync != nil {
		k.amt.localSync = *body.LocalProfileSync
	}
	if body.UEFIProfileSync != nil {
		k.amt.uefiSync = *body.UEFIProfileSync
	}
	return profileSync(k)
}

// profile is a wireless profile, without its password.
type profile struct {
	ProfileName          string `json:"profileName"`
	SSID                 string `json:"ssid"`
	AuthenticationMethod string `json:"authenticationMethod"`
	EncryptionMethod     string `json:"encryptionMethod"`
	Priority             int    `json:"priority"`
}

// maxProfiles is the largest number of wireless profiles that AMT keeps.
const maxProfiles = 8

func profiles(k *call) (int, any) { return http.StatusOK, append([]profile{}, k.amt.profiles...) }

// readProfile reads a profile from the body. It also returns the index of the profile of that name or
// -1, and whether another profile has the same priority.
func (k *call) readProfile() (p profile, at int, priorityTaken, ok bool) {
	if !k.readBody(&p) || p.ProfileName == "" || p.SSID == "" || p.Priority < 1 || p.Priority > 255 {
		return p, 0, false, false
	}
	at = k.amt.profileAt(p.ProfileName)
	taken := slices.ContainsFunc(k.amt.profiles, func(q profile) bool { return q.Priority == p.Priority && q.ProfileName != p.ProfileName })
	return p, at, taken, true
}

func (m *amt) profileAt(name string) int {
	return slices.IndexFunc(m.profiles, func(p profile) bool { return p.ProfileName == name })
}

func conflict(what string) (int, any) {
	return http.StatusConflict, JSON{"error": "Conflict", "errorDescription": what}
}

func addProfile(k *call) (int, any) {
	p, at, priorityTaken, ok := k.readProfile()
	switch {
	case !ok:
		return badRequest("profileName, ssid and a priority of 1 to 255 are required")
	case at >= 0:
		return conflict("Wireless Profile already exists: " + p.ProfileName + ".")
	case priorityTaken:
		return conflict(fmt.Sprintf("Wireless Profile with the requested priority already exists: %d.", p.Priority))
	case len(k.amt.profiles) == maxProfiles:
		return conflict("Maximum number of wireless profiles already configured on the device for guid : " + k.device.GUID + ".")
	}
	k.amt.profiles = append(k.amt.profiles, p)
	return http.StatusNoContent, nil
}

func updateProfile(k *call) (int, any) {
	p, at, priorityTaken, ok := k.readProfile()
	switch {
	case !ok:
		return badRequest("profileName, ssid and a priority of 1 to 255 are required")
	case at < 0:
		return notFound("Wireless Profile not found")
	case priorityTaken:
		return conflict(fmt.Sprintf("Wireless Profile with the requested priority already exists: %d.", p.Priority))
	}
	k.amt.profiles[at] = p
	return http.StatusNoContent, nil
}

func deleteProfile(k *call) (int, any) {
	at := k.amt.profileAt(k.Param("profileName"))
	if at < 0 {
		return notFound("Wireless Profile not found")
	}
	k.amt.profiles = slices.Delete(k.amt.profiles, at, at+1)
	return http.StatusNoContent, nil
}
