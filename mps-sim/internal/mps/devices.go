package mps

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

func newSecret() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// tokenLife is the time until a token expires. The simulator asks for no token, and checks none.
const tokenLife = 24 * time.Hour

// token returns a JSON Web Token like that of MPS.
func (a *API) token(device string) string {
	part := func(v any) string {
		text, _ := json.Marshal(v) // texts and numbers cannot fail
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(JSON{"alg": "HS256", "typ": "JWT"}) + "." +
		part(JSON{"iss": "mps-sim", "deviceId": device, "tenantId": "", "exp": time.Now().Add(tokenLife).Unix()})
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authorize accepts any user name and password, because a simulator has no secrets.
func authorize(k *call) (int, any) {
	var body struct{ Username, Password string }
	switch ok := k.readBody(&body); {
	case !ok || body.Username == "":
		return invalid("username", "User name is required")
	case body.Password == "":
		return invalid("password", "Password is required")
	}
	return http.StatusOK, JSON{"token": k.api.token("*")}
}

func authorizeRedirection(k *call) (int, any) {
	if _, ok := k.api.fleet.Get(k.Param("guid")); !ok {
		return http.StatusNotFound, nil
	}
	return http.StatusOK, JSON{"token": k.api.token(k.Param("guid"))}
}

func ciraCert(k *call) (int, any) { return http.StatusOK, k.api.ciraCertificate() }

func health(*call) (int, any) {
	return http.StatusOK, JSON{
		"db": JSON{"name": "POSTGRES", "status": "OK"},
		"secretStore": JSON{"name": "VAULT", "status": JSON{
			"initialized": true, "sealed": false, "standby": false, "server_time_utc": time.Now().Unix(), "version": "1.9.3",
		}},
	}
}

func serviceVersion(*call) (int, any) { return http.StatusOK, JSON{"serviceVersion": "2.34.0"} }

// deviceJSON returns the record of a device with the fields that clients have changed. The caller holds
// a.mu.
func (a *API) deviceJSON(d fleet.Device) JSON {
	record := JSON{
		"guid": d.GUID, "hostname": d.Hostname, "friendlyName": d.Hostname, "connectionStatus": d.Connected,
		"tags": []string{d.Site, string(d.Role)}, "mpsInstance": "mps-" + strings.ToLower(d.Site), "mpsusername": "admin",
		"tenantId": "", "dnsSuffix": "example.com", "lastConnected": isoTime(time.Now()), "lastSeen": isoTime(time.Now()), "lastDisconnected": nil,
		"deviceInfo": JSON{
			"fwVersion": "16.1.25", "fwBuild": "2124", "fwSku": "16392", "currentMode": "0",
			"features": "AMT Pro Corporate", "ipAddress": "", "lastUpdated": isoTime(time.Now()),
		},
	}
	if kept := a.amts[d.GUID]; kept != nil {
		for _, field := range editable {
			if value, ok := kept.record[field]; ok {
				record[field] = value
			}
		}
	}
	return record
}

// editable lists the fields of a record that POST and PATCH change.
var editable = []string{"tags", "friendlyName", "dnsSuffix", "mpsusername", "tenantId", "deviceInfo"}

// listDevices answers with the devices that match the parameters of MPS: $top, $skip, $count, status,
// hostname, friendlyName, and tags with method AND or OR.
func listDevices(k *call) (int, any) {
	a := k.api
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []JSON{}
	for _, d := range a.fleet.List() {
		if record := a.deviceJSON(d); k.matches(d, record) {
			list = append(list, record)
		}
	}
	skip, err := k.queryNumber("$skip", 0)
	top, err2 := k.queryNumber("$top", len(list))
	if err || err2 {
		return invalid("$top", "The default value of top should be integer")
	}
	list = list[min(skip, len(list)):]
	list = list[:min(top, len(list))]
	if k.Query("$count") == "true" {
		total, _, _ := a.fleet.Count()
		return http.StatusOK, JSON{"data": list, "totalCount": total}
	}
	return http.StatusOK, list
}

// queryNumber reads a number of the query that is not negative.
func (k *call) queryNumber(name string, byDefault int) (n int, wrong bool) {
	text := k.Query(name)
	if text == "" {
		return byDefault, false
	}
	n, err := strconv.Atoi(text)
	return n, err != nil || n < 0
}

// matches reports whether a device matches the parameters of the query.
func (k *call) matches(d fleet.Device, record JSON) bool {
	if s := k.Query("status"); s != "" && (s == "1") != d.Connected {
		return false
	}
	if name := k.Query("hostname"); name != "" && name != d.Hostname {
		return false
	}
	if name := k.Query("friendlyName"); name != "" && name != record["friendlyName"] {
		return false
	}
	tags := k.Query("tags")
	if tags == "" {
		return true
	}
	has := func(tag string) bool {
		switch own := record["tags"].(type) {
		case []string:
			return slices.Contains(own, tag)
		case []any:
			return slices.Contains(own, any(tag))
		}
		return false
	}
	wanted := strings.Split(tags, ",")
	if strings.EqualFold(k.Query("method"), "OR") {
		return slices.ContainsFunc(wanted, has)
	}
	return !slices.ContainsFunc(wanted, func(tag string) bool { return !has(tag) })
}

func deviceStats(k *call) (int, any) {
	total, connected, _ := k.api.fleet.Count()
	return http.StatusOK, JSON{"totalCount": total, "connectedCount": connected, "disconnectedCount": total - connected}
}

func deviceTags(k *call) (int, any) {
	tags := []string{}
	for _, d := range k.api.fleet.List() {
		for _, tag := range []string{d.Site, string(d.Role)} {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return http.StatusOK, tags
}

func getDevice(k *call) (int, any) {
	d, ok := k.api.fleet.Get(k.Param("guid"))
	if !ok {
		return http.StatusNotFound, nil
	}
	k.api.mu.Lock()
	defer k.api.mu.Unlock()
	return http.StatusOK, k.api.deviceJSON(d)
}

// createDevice adds the record of a device, or changes it if there is one.
func createDevice(k *call) (int, any) { return keepRecord(k, true) }

func editDevice(k *call) (int, any) { return keepRecord(k, false) }

func keepRecord(k *call, create bool) (int, any) {
	record := JSON{}
	guid := ""
	if k.readBody(&record) {
		guid, _ = record["guid"].(string)
	}
	if guid == "" {
		return invalid("guid", "Device guid is required")
	}
	middleware.SetGUID(k.Context, guid)
	status := http.StatusOK
	d, known := k.api.fleet.Get(guid)
	switch {
	case !known && !create:
		return http.StatusNotFound, JSON{"error": "NOT FOUND", "message": "Device ID " + guid + " not found"}
	case !known:
		status = http.StatusCreated
		d = k.api.fleet.NewRecord(guid, record["hostname"])
		k.api.fleet.Add(d)
	}
	k.api.mu.Lock()
	defer k.api.mu.Unlock()
	kept := k.api.amtOf(d)
	for _, field := range editable {
		if value, ok := record[field]; ok {
			kept.record[field] = value
		}
	}
	return status, k.api.deviceJSON(d)
}

func redirectStatus(k *call) (int, any) {
	s := k.amt.sessions
	return http.StatusOK, JSON{"isKVMConnected": s["kvm"] > 0, "isSOLConnected": s["sol"] > 0, "isIDERConnected": s["ider"] > 0}
}

// CountSession adds n to the number of redirection sessions of a mode, kvm, sol or ider, with a device.
func (a *API) CountSession(d fleet.Device, mode string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sessions := a.amtOf(d).sessions // new ones if the device was activated again
	sessions[mode] = max(0, sessions[mode]+n)
}

func refreshDevice(k *call) (int, any) {
	return http.StatusOK, JSON{"success": 200, "description": "Device info refreshed : " + k.device.GUID}
}

// disconnectDevice ends the CIRA connection of a device. Its server publishes that.
func disconnectDevice(k *call) (int, any) {
	k.api.connect(k.device.GUID, false)
	return http.StatusOK, JSON{"success": 200, "description": "Device CIRA connection disconnected : " + k.device.GUID}
}

func deleteDevice(k *call) (int, any) {
	guid := k.Param("guid")
	if _, ok := k.api.fleet.Get(guid); !ok {
		return http.StatusNotFound, JSON{"error": "NOT FOUND", "message": "Device ID " + guid + " not found"}
	}
	k.api.fleet.Remove(guid)
	return http.StatusNoContent, nil
}
