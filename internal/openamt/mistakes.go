package openamt

import "strings"

// MPSWords returns the words of the events that MPS or RPS publish for a call of r, with their
// mistakes. For events that they do not publish it returns those of Words.
func (r Route) MPSWords() Call {
	c := r.Words()
	call := r.HTTPMethod + " " + r.Path
	if correct, ok := mistakes[call]; ok {
		correct(&c)
	}
	if anonymousErrors[call] {
		c.Error.GUID = false
	}
	if resource, ok := strings.CutPrefix(r.Path, "/api/v1/admin/"); ok && strings.HasPrefix(r.Fail, "Failed to "+r.HTTPMethod) {
		resource, _, _ = strings.Cut(resource, "/")
		if resource != "version" { // RPS publishes nothing about it
			c.Fail.Method = "/api/v1/admin/" + resource
			c.Error.Method = c.Fail.Method
		}
	}
	return c
}

// mistakes maps routes to functions that put MPS's mistakes into a Call.
var mistakes = map[string]func(*Call){
	// MPS's handler was copied from that of the power state.
	"GET /api/v1/amt/version/:guid": func(c *Call) { c.Request.Message = "Power State requested" },
	// MPS requests the deletion under one name and ends it under the name of the listing.
	"DELETE /api/v1/amt/alarmOccurrences/:guid": func(c *Call) {
		const listing = "AMT_AlarmOccurrences"
		c.Success.Method, c.Fail.Method, c.Error.Method = listing, listing, listing
	},
	"POST /api/v1/amt/power/action/:guid":      func(c *Call) { c.Success.GUID = false },
	"POST /api/v1/amt/power/bootOptions/:guid": func(c *Call) { c.Fail.GUID = false },
	"POST /api/v1/amt/network/linkPreference/:guid": func(c *Call) {
		c.Success.GUID, c.Fail.GUID = false, false
	},
}

// anonymousErrors is the set of routes whose exceptions MPS publishes without the guid.
var anonymousErrors = map[string]bool{
	"GET /api/v1/amt/log/audit/:guid":                   true,
	"GET /api/v1/amt/log/event/:guid":                   true,
	"GET /api/v1/amt/generalSettings/:guid":             true,
	"GET /api/v1/amt/hardwareInfo/:guid":                true,
	"POST /api/v1/amt/power/action/:guid":               true,
	"POST /api/v1/amt/power/bootOptions/:guid":          true,
	"GET /api/v1/amt/power/capabilities/:guid":          true,
	"GET /api/v1/amt/power/state/:guid":                 true,
	"GET /api/v1/amt/features/:guid":                    true,
	"POST /api/v1/amt/features/:guid":                   true,
	"DELETE /api/v1/amt/deactivate/:guid":               true,
	"GET /api/v1/amt/userConsentCode/cancel/:guid":      true,
	"GET /api/v1/amt/userConsentCode/:guid":             true,
	"POST /api/v1/amt/userConsentCode/:guid":            true,
	"GET /api/v1/amt/alarmOccurrences/:guid":            true,
	"POST /api/v1/amt/alarmOccurrences/:guid":           true,
	"DELETE /api/v1/amt/alarmOccurrences/:guid":         true,
	"GET /api/v1/amt/certificates/:guid":                true,
	"POST /api/v1/amt/certificates/:guid":               true,
	"DELETE /api/v1/amt/certificates/:guid/:instanceId": true,
	"GET /api/v1/amt/kvm/displays/:guid":                true,
	"PUT /api/v1/amt/kvm/displays/:guid":                true,
	"POST /api/v1/amt/network/linkPreference/:guid":     true,
}
