package openamt_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/openamt"
)

// A fact is a record of the source of a server about one route, or about a place outside
// the REST API when Route is empty.
type fact struct {
	Method      string
	Route       string
	NeedsDevice bool   `json:"needs_connected_device"` // MPS and RPS
	SameAs      string `json:"same_as"`                // Console: "mps GET /api/v1/devices"
	Source      string // set if Route is empty
	Events      []struct {
		When    string // request, success, fail, fail-exception
		Methods []string
		Message string
		GUID    bool
	}
}

func facts(t *testing.T, names ...string) []fact {
	t.Helper()
	var all []fact
	for _, name := range names {
		raw, err := os.ReadFile("../../testdata/facts/" + name + ".json")
		require.NoError(t, err)
		var some []fact
		require.NoError(t, json.Unmarshal(raw, &some))
		require.NotEmpty(t, some)
		all = append(all, some...)
	}
	return all
}

// corrections holds the words of MPS that the table deliberately corrects.
// A correction that is not needed fails the test, as does one that is missing.
var corrections = map[string]struct{ theirs, ours string }{
	// MPS's handler was copied from that of the power state.
	"GET /api/v1/amt/version/:guid request": {"Power State requested", "AMT Version requested"},
	// MPS requests the deletion as AMT_DeleteAlarm and ends it under the name of the listing.
	"DELETE /api/v1/amt/alarmOccurrences/:guid success method":        {"AMT_AlarmOccurrences", "AMT_DeleteAlarm"},
	"DELETE /api/v1/amt/alarmOccurrences/:guid fail method":           {"AMT_AlarmOccurrences", "AMT_DeleteAlarm"},
	"DELETE /api/v1/amt/alarmOccurrences/:guid fail-exception method": {"AMT_AlarmOccurrences", "AMT_DeleteAlarm"},
}

func TestTableSaysWhatMPSAndRPSPublish(t *testing.T) {
	used := map[string]bool{}
	corrected := func(what, theirs string) string {
		c, ok := corrections[what]
		if !ok {
			return theirs
		}
		used[what] = true
		assert.Equal(t, c.theirs, theirs, what)
		return c.ours
	}
	for _, f := range facts(t, "mps-events", "rps-events") {
		if f.Route == "" {
			continue
		}
		call := f.Method + " " + f.Route
		row := rowOf(t, f.Method, f.Route)
		assert.Equal(t, f.NeedsDevice, row.NeedsDevice, call)
		ours, theirs := row.Words(), row.MPSWords()
		var fails []string // MPS may know several reasons; the row has one
		for _, e := range f.Events {
			what := call + " " + e.When
			require.Len(t, e.Methods, 1, what)
			want := openamt.Words{Method: e.Methods[0], Message: onlyPathParameters(e.Message, f.Route), GUID: e.GUID || !strings.Contains(f.Route, ":guid")}
			right := openamt.Words{Method: corrected(what+" method", want.Method), Message: corrected(what, want.Message), GUID: true}
			if strings.HasPrefix(right.Method, "/api/") { // RPS fails under the path: never a name
				right.Method = row.Method
			}
			if e.When == "fail" {
				fails = append(fails, want.Message)
				want.Message, right.Message = theirs.Fail.Message, ours.Fail.Message
			}
			assert.Equal(t, want, wordsWhen(t, theirs, e.When), "%s, as MPS has it", what)
			assert.Equal(t, right, wordsWhen(t, ours, e.When), what)
		}
		if len(fails) > 0 {
			assert.Contains(t, fails, row.Fail, call)
		}
	}
	assert.Len(t, used, len(corrections), "corrections that correct nothing")
}

func wordsWhen(t *testing.T, c openamt.Call, when string) openamt.Words {
	t.Helper()
	words, ok := map[string]openamt.Words{"request": c.Request, "success": c.Success, "fail": c.Fail, "fail-exception": c.Error}[when]
	require.True(t, ok, when)
	return words
}

func TestMPSWordsAreOursWhereMPSIsSilent(t *testing.T) {
	said := map[string]bool{}
	for _, f := range facts(t, "mps-events", "rps-events") {
		for _, e := range f.Events {
			said[f.Method+" "+f.Route+" "+e.When] = true
			if strings.HasPrefix(e.Methods[0], "/api/") { // RPS has one event for all failures
				said[f.Method+" "+f.Route+" fail"] = true
			}
		}
	}
	for r := range openamt.Routes() {
		for _, when := range []string{"request", "success", "fail", "fail-exception"} {
			if what := r.HTTPMethod + " " + r.Path + " " + when; !said[what] {
				assert.Equal(t, wordsWhen(t, r.Words(), when), wordsWhen(t, r.MPSWords(), when), what)
			}
		}
	}
}

// rowOf returns the one row that is registered as path.
func rowOf(t *testing.T, httpMethod, path string) openamt.Route {
	t.Helper()
	rows := slices.Collect(openamt.Routes())
	rows = slices.DeleteFunc(rows, func(r openamt.Route) bool { return r.HTTPMethod != httpMethod || r.Path != path })
	require.Len(t, rows, 1, "%s %s", httpMethod, path)
	return rows[0]
}

// onlyPathParameters returns a message in the source of MPS or RPS in the form of the table.
func onlyPathParameters(message, path string) string {
	return regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllStringFunc(message, func(s string) string {
		name := s[len("${") : len(s)-len("}")]
		if slices.Contains(strings.Split(path, "/"), ":"+name) {
			return "{" + name + "}"
		}
		return ""
	})
}

func TestConsoleRoutesHaveTheRowOfTheirEqual(t *testing.T) {
	for _, f := range facts(t, "console-routes") {
		_, same, found := strings.Cut(f.SameAs, " ")
		if !found {
			same = f.Method + " " + f.Route
		}
		row, ok := openamt.Lookup(f.Method, f.Route)
		assert.Equal(t, strings.HasPrefix(f.Route, "/api/"), ok, f.Route)
		if ok {
			assert.Equal(t, same, row.HTTPMethod+" "+row.Path)
			assert.Equal(t, rowOf(t, row.HTTPMethod, row.Path), row, "by convention only")
		}
	}
}

func TestEveryRowIsAFactAndWhole(t *testing.T) {
	known := map[string]bool{}
	for _, f := range facts(t, "mps-events", "rps-events", "console-routes") {
		known[f.Method+" "+f.Route] = true
	}
	for r := range openamt.Routes() {
		call := r.HTTPMethod + " " + r.Path
		assert.True(t, known[call], "%s is no fact", call)
		if strings.Contains(r.Path, "/amt/") {
			assert.Equal(t, strings.Contains(r.Path, "/:guid"), r.NeedsDevice, call)
		}
		for _, word := range []string{r.Method, r.Request, r.Success, r.Fail} {
			assert.NotEmpty(t, word, call)
		}
		for _, message := range []string{r.Request, r.Success, r.Fail, r.Error} {
			for _, placeholder := range regexp.MustCompile(`\{(.*?)\}`).FindAllStringSubmatch(message, -1) {
				assert.Contains(t, strings.Split(r.Path, "/"), ":"+placeholder[1], "%s: %s", call, message)
			}
		}
	}
}

func TestDeviceNotFoundIsWhatMPSPublishes(t *testing.T) {
	all := facts(t, "mps-events")
	i := slices.IndexFunc(all, func(f fact) bool { return f.Source == "ciraMiddleware" })
	require.GreaterOrEqual(t, i, 0)
	e := all[i].Events[0]
	want := openamt.Words{Method: e.Methods[0], Message: e.Message, GUID: e.GUID}
	assert.Equal(t, want, openamt.DeviceNotFound)
}

func TestLookupKnowsARouteByItsTail(t *testing.T) {
	const byConvention, none = "convention", "none"
	for path, want := range map[string]string{
		"/api/v1/devices/:guid":             "/api/v1/devices/:guid",
		"/api/v1/devices/:id":               "/api/v1/devices/:guid",
		"/api/v1/devices/:id/":              "/api/v1/devices/:guid",
		"/api/v1/devices/":                  "/api/v1/devices",
		"/api/v1/devices/stats":             "/api/v1/devices/stats",
		"/mps/api/v1/devices/:guid":         "/api/v1/devices/:guid",
		"/foo/:tenant/api/v1/devices/:guid": "/api/v1/devices/:guid",
		"/api/api/v1/devices/:guid":         "/api/v1/devices/:guid",
		"/api/v1/gateway/:g/api/v1/devices": "/api/v1/devices",
		"/api/v1/devices/*guid":             byConvention,
		"/api/v1/devices/:guid/notes":       byConvention,
		"/API/v1/devices":                   none, // paths have case
		"/myapi/v1/devices":                 none, // not the segment
		"/v1/devices/:api":                  none, // a parameter
		"/healthz":                          none, // not the API
		"":                                  none, // no route
	} {
		r, ok := openamt.Lookup("GET", path)
		got := r.Path
		if !ok {
			got = none
		} else if got == "" {
			got = byConvention
		}
		assert.Equal(t, want, got, path)
	}
}

func TestUnknownRoutesAreNamedByConvention(t *testing.T) {
	for call, want := range map[string][4]string{
		"GET /api/v1/amt/bootOrder/:guid":         {"AMT_BootOrder", "Boot Order requested", "Boot Order received", "Boot Order request failed"},
		"PUT /api/v1/amt/bootOrder/:guid":         {"AMT_SetBootOrder", "Set Boot Order requested", "Set Boot Order completed", "Set Boot Order request failed"},
		"DELETE /x/api/v3/amt/boot/order/:guid/*": {"AMT_DeleteBootOrder", "Delete Boot Order requested", "Delete Boot Order completed", "Delete Boot Order request failed"},
		"GET /api/v1/admin/widgets":               {"getWidgets", "Widgets requested", "Widgets received", "Widgets request failed"},
		"POST /api/v1/widgets":                    {"createWidgets", "Create Widgets requested", "Create Widgets completed", "Create Widgets request failed"},
		"PATCH /api/v1/widgets/:id":               {"editWidgets", "Edit Widgets requested", "Edit Widgets completed", "Edit Widgets request failed"},
		"DELETE /api/v1/üble-dinge.json":          {"deleteÜbleDingeJson", "Delete Üble Dinge Json requested", "Delete Üble Dinge Json completed", "Delete Üble Dinge Json request failed"},
		"PURGE /api/*path":                        {"purgeApi", "Purge Api requested", "Purge Api completed", "Purge Api request failed"},
	} {
		httpMethod, path, _ := strings.Cut(call, " ")
		r, ok := openamt.Lookup(httpMethod, path)
		assert.True(t, ok, call)
		assert.Equal(t, want, [4]string{r.Method, r.Request, r.Success, r.Fail}, call)
		assert.Equal(t, httpMethod, r.HTTPMethod)
		assert.Equal(t, "Internal Service Error", r.Error)
	}
}
