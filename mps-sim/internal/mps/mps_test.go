package mps_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/mps"
)

var update = flag.Bool("update", false, "write testdata/shapes.txt anew")

type service struct {
	t      *testing.T
	router *gin.Engine
	fleet  *fleet.Fleet
	guid   string // of a device
}

func newService(t *testing.T) service {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	s := service{t: t, router: gin.New(), fleet: fleet.New(fleet.Config{Devices: 3, Sites: []string{"Hamburg", "Lyon"}, Seed: 1})}
	mps.New(s.fleet, func(guid string, connected bool) bool {
		_, _, ok := s.fleet.Change(guid, func(d *fleet.Device) { d.Connected = connected })
		return ok
	}).Serve(s.router)
	s.guid = s.fleet.List()[0].GUID
	return s
}

func (s service) call(method, path, body string) (int, string) {
	s.t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(method, strings.NewReplacer(":guid", s.guid, " ", "%20").Replace(path), strings.NewReader(body))
	s.router.ServeHTTP(answer, request)
	return answer.Code, answer.Body.String()
}

// shape writes the types of a JSON value with the names of its members, such as {powerstate:number}.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for name, value := range v {
			members = append(members, name+":"+shape(value))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shape(v[0]) + "]"
	case nil:
		return "null"
	case float64:
		return "number"
	default:
		return fmt.Sprintf("%T", v)
	}
}

// Every route answers a correct call with the status of MPS and with JSON of the same shape. The shapes
// come from the OpenAPI document and the handlers of MPS.
func TestEveryRouteHasTheShapeOfMPS(t *testing.T) {
	s := newService(t)
	var shapes strings.Builder
	after := map[string]string{ // calls to make after all others
		"DELETE /api/v1/devices/disconnect/:guid": "", "DELETE /api/v1/amt/deactivate/:guid": "", "DELETE /api/v1/devices/:guid": "",
	}
	var last []mps.Route
	call := func(r mps.Route) {
		path := strings.NewReplacer(":instanceId", "Intel(r) AMT Certificate: Handle: 1", ":profileName", "home").Replace(r.Path)
		status, answer := s.call(r.Method, path, r.Body)
		assert.Equal(t, r.Status, status, "%s %s: %s", r.Method, r.Path, answer)
		var value any
		if json.Unmarshal([]byte(answer), &value) == nil {
			answer = shape(value)
		} else if answer != "" {
			answer = "text"
		}
		fmt.Fprintf(&shapes, "%s %s %d %s\n", r.Method, r.Path, status, answer)
	}
	for _, r := range mps.Routes() {
		if _, later := after[r.Method+" "+r.Path]; later {
			last = append(last, r)
			continue
		}
		call(r)
	}
	for i, r := range last {
		s.guid = s.fleet.List()[min(i, 1)].GUID
		call(r)
	}
	const golden = "testdata/shapes.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(shapes.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), shapes.String())
}

// The routes are exactly those of MPS.
func TestAllRoutesOfMPSAreThere(t *testing.T) {
	content, err := os.ReadFile("../../../testdata/facts/mps-events.json")
	require.NoError(t, err)
	var facts []struct {
		Method, Route string
		NeedsDevice   bool `json:"needs_connected_device"`
	}
	require.NoError(t, json.Unmarshal(content, &facts))
	var want, got []string
	for _, f := range facts {
		// The handler of refresh checks itself that the device is connected.
		if f.Route != "" && f.Route != "/api/v1/devices/refresh/:guid" {
			want = append(want, fmt.Sprint(f.Method, f.Route, f.NeedsDevice))
		}
	}
	for _, r := range mps.Routes() {
		if r.Path != "/api/v1/devices/refresh/:guid" {
			got = append(got, fmt.Sprint(r.Method, r.Path, r.NeedsDevice))
		}
	}
	assert.ElementsMatch(t, want, got)
}

func TestWhatIsSetIsReadBack(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string // a part of the answer
	}{
		{"POST", "/api/v1/amt/power/action/:guid", `{"action":8}`, 200, `"ReturnValueStr":"SUCCESS"`},
		{"GET", "/api/v1/amt/power/state/:guid", "", 200, `"powerstate":8`},
		{"POST", "/api/v1/amt/power/action/:guid", `{"action":77}`, 400, `"errors"`},
		{"POST", "/api/v1/amt/power/action/:guid", `junk`, 400, `"errors"`},
		{"POST", "/api/v1/amt/features/:guid", `{"userConsent":"all","enableKVM":false,"enableSOL":true,"enableIDER":true}`, 200, "AMT Features updated"},
		{"GET", "/api/v1/amt/features/:guid", "", 200, `"KVM":false`},
		{"POST", "/api/v1/amt/features/:guid", `{"userConsent":"perhaps"}`, 400, "kvm, all or none"},
		{"POST", "/api/v1/amt/userConsentCode/:guid", `{"consentCode":"123456"}`, 400, `"ReturnValue":2`},
		{"GET", "/api/v1/amt/userConsentCode/:guid", "", 200, `"ReturnValue":0`},
		{"POST", "/api/v1/amt/userConsentCode/:guid", `{"consentCode":"123456"}`, 200, `"ReturnValue":0`},
		{"DELETE", "/api/v1/amt/alarmOccurrences/:guid", `{"Name":"wake"}`, 404, "Alarm instance not found"},
		{"POST", "/api/v1/amt/alarmOccurrences/:guid", `{"ElementName":"wake","StartTime":"2030-01-01T06:00:00.000Z"}`, 200, "SUCCESS"},
		{"GET", "/api/v1/amt/alarmOccurrences/:guid", "", 200, `"InstanceID":"wake"`},
		{"DELETE", "/api/v1/amt/alarmOccurrences/:guid", `{"Name":"wake"}`, 200, "SUCCESS"},
		{"GET", "/api/v1/amt/alarmOccurrences/:guid", "", 200, `[]`},
		{"POST", "/api/v1/amt/networkSettings/wireless/state/:guid", `{"state":"wifidisabled"}`, 200, "WifiDisabled"},
		{"GET", "/api/v1/amt/networkSettings/wireless/state/:guid", "", 200, "WifiDisabled"},
		{"POST", "/api/v1/amt/networkSettings/wireless/profile/:guid", `{"profileName":"home","ssid":"a","priority":1,"password":"s3cret"}`, 204, ""},
		{"POST", "/api/v1/amt/networkSettings/wireless/profile/:guid", `{"profileName":"home","ssid":"a","priority":2}`, 409, "already exists"},
		{"POST", "/api/v1/amt/networkSettings/wireless/profile/:guid", `{"profileName":"other","ssid":"a","priority":1}`, 409, "priority already exists"},
		{"GET", "/api/v1/amt/networkSettings/wireless/profile/:guid", "", 200, `"profileName":"home"`},
		{"DELETE", "/api/v1/amt/networkSettings/wireless/profile/:guid/home", "", 204, ""},
		{"DELETE", "/api/v1/amt/networkSettings/wireless/profile/:guid/home", "", 404, "not found"},
		{"DELETE", "/api/v1/amt/certificates/:guid/nothing", "", 404, "not found"},
		{"PATCH", "/api/v1/amt/networkSettings/wired/:guid", `{"ieee8021x":{}}`, 501, "Not Implemented"},
		{"POST", "/api/v1/authorize", `{"username":"a"}`, 400, "Password is required"},
		{"POST", "/api/v1/devices", `{"guid":":guid"}`, 201, `"connectionStatus":false`},
		{"PATCH", "/api/v1/devices", `{"guid":"nobody"}`, 404, "Device ID nobody not found"},
		{"GET", "/api/v1/devices?tags=Hamburg,Lyon&method=OR&$top=2&$count=true", "", 200, `"totalCount":4`},
		{"GET", "/api/v1/devices?tags=Hamburg,Lyon&method=AND", "", 200, `[]`},
		{"GET", "/api/v1/devices?$top=x", "", 400, `"errors"`},
		{"GET", "/api/v1/devices?status=0", "", 200, `"guid":":guid"`},
		{"GET", "/api/v1/devices/nobody", "", 404, ""},
	} {
		status, answer := s.call(c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s %s: %s", c.method, c.path, c.body, answer)
		assert.Contains(t, answer, c.answer, "%s %s", c.method, c.path)
		assert.NotContains(t, answer, "s3cret")
	}
}

func TestTheOpenAPIDocumentHasEveryRoute(t *testing.T) {
	content, err := json.Marshal(mps.Document())
	require.NoError(t, err)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Responses   map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(content, &document))
	assert.Equal(t, "3.0.3", document.OpenAPI)
	operations := map[string]bool{}
	for path, methods := range document.Paths {
		assert.NotContains(t, path, ":")
		for _, o := range methods {
			assert.NotEmpty(t, o.Summary, path)
			assert.NotEmpty(t, o.Responses, path)
			operations[o.OperationID] = true
		}
	}
	assert.Len(t, operations, len(mps.Routes()))
	assert.Equal(t, http.MethodPost, mps.Routes()[0].Method)
}

// The event log of a device tells its life: it follows from the seed, and each boot adds to it.
func TestTheEventLogTellsTheLifeOfTheDevice(t *testing.T) {
	texts := func(s service) (all []string) {
		_, answer := s.call("GET", "/api/v1/amt/log/event/:guid", "")
		var entries []struct{ Desc, TimeStamp string }
		require.NoError(t, json.Unmarshal([]byte(answer), &entries))
		assert.True(t, slices.IsSortedFunc(entries, func(a, b struct{ Desc, TimeStamp string }) int { return strings.Compare(b.TimeStamp, a.TimeStamp) }), "newest first")
		for _, e := range entries {
			all = append(all, e.Desc)
		}
		return all
	}
	s, same := newService(t), newService(t)
	before := texts(s)
	assert.Equal(t, before, texts(same))
	other := s
	other.guid = s.fleet.List()[1].GUID
	assert.NotEqual(t, before, texts(other))

	s.call("POST", "/api/v1/amt/power/action/:guid", `{"action":10}`)
	s.call("POST", "/api/v1/amt/userConsentCode/:guid", `{"consentCode":"1"}`)
	after := texts(s)
	assert.Equal(t, "Authentication failed. The system may be under attack.", after[0])
	assert.Equal(t, "Starting operating system boot process", after[1])
	assert.Equal(t, before, after[4:])
}

// The CIRA certificate is a real one, made by each process.
func TestTheCIRACertificateIsMadeByEachProcess(t *testing.T) {
	certificateOf := func(s service) string {
		_, answer := s.call("GET", "/api/v1/ciracert", "")
		block, rest := pem.Decode([]byte(answer))
		require.NotNil(t, block)
		assert.Empty(t, rest)
		certificate, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.True(t, certificate.IsCA)
		return answer
	}
	s := newService(t)
	once := certificateOf(s)
	assert.Equal(t, once, certificateOf(s))
	assert.NotEqual(t, once, certificateOf(newService(t)))
}
