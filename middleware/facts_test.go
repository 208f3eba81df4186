package middleware_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
	"github.com/mps-events/mps-events/middleware"
)

// A fact is one route with the events that its server publishes about it.
type fact struct {
	Method, Route string
	NeedsDevice   bool `json:"needs_connected_device"`
	Events        []said
}

// said is an event that MPS or RPS may publish; Console publishes none.
type said struct {
	When    string // request, success, fail, fail-exception
	Methods []string
	Message string
	GUID    bool
}

func facts(t *testing.T, name string) []fact {
	t.Helper()
	raw, err := os.ReadFile("../testdata/facts/" + name + ".json")
	require.NoError(t, err)
	var all []fact
	require.NoError(t, json.Unmarshal(raw, &all))
	all = slices.DeleteFunc(all, func(f fact) bool { return f.Route == "" })
	require.NotEmpty(t, all)
	return all
}

var servers = []string{"mps-events", "rps-events", "console-routes"}

// mounts lists the ways in which a server may register its routes, and the paths of their calls.
var mounts = []struct {
	prefix, called string
	param          *strings.Replacer // names of parameters
}{
	{"", "", strings.NewReplacer()},
	{"/mps", "/mps", strings.NewReplacer(":guid", ":id")},
	{"/t/:guid/:name", "/t/tenant/no-name", strings.NewReplacer(":guid", ":own", ":profileName", ":guid", ":name", ":id")},
}

// answers maps the ways in which a handler may end, by the value of the header X-Answer, to
// their names in the facts about MPS.
var answers = map[string]string{"200": "success", "400": "fail", "404": "fail", "500": "fail-exception", "panic": "fail-exception"}

func answer(c *gin.Context) {
	status, err := strconv.Atoi(c.GetHeader("X-Answer"))
	if err != nil {
		panic("boom")
	}
	c.Status(status)
}

// mounted returns a router with all routes of a server at a mount.
func mounted(all []fact, prefix string, params *strings.Replacer, opts ...middleware.Option) (*gin.Engine, *recorder) {
	rec := &recorder{}
	router := gin.New()
	router.Use(gin.Recovery(), middleware.New(rec, opts...))
	for _, f := range all {
		router.Handle(f.Method, prefix+params.Replace(f.Route), answer)
	}
	return router, rec
}

var (
	parameter   = regexp.MustCompile(`:\w+`)
	placeholder = regexp.MustCompile(`\$?\{[^}]*\}`)
)

// filled returns the message of a template in a call of a path by callFact.
func filled(template, path string) string {
	return placeholder.ReplaceAllStringFunc(template, func(s string) string {
		return valueOf(path, strings.Trim(s, "${}"))
	})
}

// valueOf returns the value of a path's parameter in a call by callFact, or "" if the path has no
// such parameter.
func valueOf(path, name string) string {
	if i := slices.Index(parameter.FindAllString(path, -1), ":"+name); i >= 0 {
		return fmt.Sprint("value ", i)
	}
	return ""
}

// callFact calls a route, with "value 0" for its first parameter and so on.
func callFact(t *testing.T, router http.Handler, f fact, called, answer string) {
	t.Helper()
	values := 0
	path := parameter.ReplaceAllStringFunc(f.Route, func(string) string {
		values++
		return fmt.Sprint("value%20", values-1)
	})
	req := httptest.NewRequest(f.Method, called+path, http.NoBody)
	req.Header.Set("X-Answer", answer)
	res := httptest.NewRecorder()
	router.ServeHTTP(res, req)
	if answer == "panic" {
		answer = "500"
	}
	require.Equal(t, answer, strconv.Itoa(res.Code), "%s %s", f.Method, f.Route)
}

// row returns the row of the table for the route of a fact.
func row(t *testing.T, f fact) openamt.Route {
	t.Helper()
	r, ok := openamt.Lookup(f.Method, f.Route)
	require.True(t, ok, f.Route)
	require.NotEmpty(t, r.Path, f.Route)
	return r
}

func TestEveryRouteUnderAnyMountMakesItsRequestAndOneEnd(t *testing.T) {
	for _, server := range servers {
		all := facts(t, server)
		for _, mount := range mounts {
			router, rec := mounted(all, mount.prefix, mount.param)
			for _, f := range all {
				for answer := range answers {
					what := fmt.Sprintf("%s%s %s answers %s", mount.prefix, f.Method, f.Route, answer)
					callFact(t, router, f, mount.called, answer)
					events := rec.take(t)
					if !strings.HasPrefix(f.Route, "/api/") {
						assert.Empty(t, events, what)
						continue
					}
					assert.Equal(t, expected(t, f, answer), events, what)
				}
			}
		}
	}
}

// expected returns the two events that this module makes of a call.
func expected(t *testing.T, f fact, answer string) []event.Event {
	t.Helper()
	r := row(t, f)
	in := func(message string) string { return filled(message, r.Path) }
	begun := event.Event{Type: event.Request, Methods: []string{r.Method}, Message: in(r.Request), GUID: valueOf(r.Path, "guid")}
	end := begun
	end.Type, end.Message, end.Outcome = event.Fail, in(r.Fail), event.OutcomeClient
	end.HTTPStatus, _ = strconv.Atoi(answer)
	switch {
	case answer == "200":
		end.Type, end.Message, end.Outcome, end.HTTPStatus = event.Success, in(r.Success), event.OutcomeOK, 0
	case answer == "404" && r.NeedsDevice:
		end.Methods, end.Message, end.Outcome = []string{"CIRA_Connection"}, "Device Not Found", event.OutcomeUnreachable
	case answers[answer] == "fail-exception":
		end.Message, end.Outcome, end.HTTPStatus = in(r.Words().Error.Message), event.OutcomeServer, 500
	}
	return []event.Event{begun, end}
}

func TestWithMPSWordsSaysWhatMPSAndRPSPublish(t *testing.T) {
	for _, server := range []string{"mps-events", "rps-events"} {
		all := facts(t, server)
		router, rec := mounted(all, "", strings.NewReplacer(), middleware.WithMPSWords())
		for _, f := range all {
			for answer, when := range answers {
				what := fmt.Sprintf("%s %s answers %s", f.Method, f.Route, answer)
				callFact(t, router, f, "", answer)
				events := rec.take(t)
				require.Len(t, events, 2, what)
				assertSameAsMPS(t, f, "request", events[0], what)
				if answer == "404" && f.NeedsDevice {
					assert.Equal(t, "Device Not Found", events[1].Message, what)
					assert.Equal(t, valueOf(f.Route, "guid"), events[1].GUID, what)
					continue
				}
				assertSameAsMPS(t, f, when, events[1], what)
			}
		}
	}
}

// assertSameAsMPS checks that e is one of the events that MPS or RPS may publish.
func assertSameAsMPS(t *testing.T, f fact, when string, e event.Event, what string) {
	t.Helper()
	var theirs []string
	for _, s := range f.Events {
		if s.When != when {
			continue
		}
		guid := ""
		if s.GUID {
			guid = valueOf(f.Route, "guid")
		}
		theirs = append(theirs, fmt.Sprint(s.Methods, filled(s.Message, f.Route), guid))
	}
	if theirs != nil {
		assert.Contains(t, theirs, fmt.Sprint(e.Methods, e.Message, e.GUID), what)
	}
}

// These events are wrong in MPS, and right in this module by default.
func TestMPSWordsOnlyForThoseWhoAsk(t *testing.T) {
	for _, wrong := range []struct {
		httpMethod, route, answer string
		at                        int
		mps, ours                 string
	}{
		{"GET", "/api/v1/amt/version/:guid", "200", 0, "Power State requested [AMT_Version] value 0", "AMT Version requested [AMT_Version] value 0"},
		{"DELETE", "/api/v1/amt/alarmOccurrences/:guid", "200", 1, "Alarm occurrence deleted [AMT_AlarmOccurrences] value 0", "Alarm occurrence deleted [AMT_DeleteAlarm] value 0"},
		{"GET", powerState + ":guid", "500", 1, "Internal Service Error [AMT_PowerState] ", "Internal Service Error [AMT_PowerState] value 0"},
		{"POST", "/api/v1/amt/power/action/:guid", "200", 1, "Power Action requested [AMT_PowerAction] ", "Power Action requested [AMT_PowerAction] value 0"},
		{"POST", "/api/v1/amt/network/linkPreference/:guid", "400", 1, "Set Link Preference failed:  [AMT_LinkPreference] ", "Set Link Preference failed:  [AMT_LinkPreference] value 0"},
		{"GET", "/api/v1/admin/domains/:name", "500", 1, "Failed to GET: value 0 [/api/v1/admin/domains] ", "Failed to GET: value 0 [getDomain] "},
	} {
		f := fact{Method: wrong.httpMethod, Route: wrong.route}
		for want, opts := range map[string][]middleware.Option{wrong.ours: nil, wrong.mps: {middleware.WithMPSWords()}} {
			router, rec := mounted([]fact{f}, "", strings.NewReplacer(), opts...)
			callFact(t, router, f, "", wrong.answer)
			e := rec.take(t)[wrong.at]
			assert.Equal(t, want, fmt.Sprint(e.Message, " ", e.Methods, " ", e.GUID))
		}
	}
}
