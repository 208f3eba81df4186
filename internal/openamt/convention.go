package openamt

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Named returns a route without a Path. Its messages are made from the name of its method, in
// the style of MPS: for "AMT_DiskInfo" "Disk Info requested", "Disk Info received" (for a GET,
// else "completed") and "Disk Info request failed".
func Named(httpMethod, method string) Route {
	thing := strings.ReplaceAll(strings.TrimPrefix(method, "AMT_"), "_", " ")
	thing = innerWord.ReplaceAllString(thing, "$1 $2")
	done := " completed"
	if httpMethod == "GET" {
		thing = strings.TrimPrefix(thing, "get ")
		done = " received"
	}
	thing = capitalized(thing)
	return Route{
		HTTPMethod: httpMethod, Method: method,
		Request: thing + " requested", Success: thing + done, Fail: thing + " request failed", Error: internalError,
	}
}

var (
	innerWord = regexp.MustCompile(`([\p{Ll}\p{N}])(\p{Lu})`)
	version   = regexp.MustCompile(`^v[0-9]+$`)
)

// conventionalName returns the name of a call in the style of MPS and RPS: below amt the AMT
// method, such as AMT_DiskInfo, AMT_SetDiskInfo or AMT_DeleteDiskInfo; elsewhere the verb and the
// resource, such as getWidgets or createWidgets. The segments begin with "api".
func conventionalName(httpMethod string, segments []string) string {
	var area, resource string
	for _, s := range segments[1:] {
		switch {
		case s == "", s[0] == ':', s[0] == '*', version.MatchString(s):
		case area == "" && (s == "amt" || s == "admin"):
			area = s
		default:
			for _, word := range strings.FieldsFunc(s, notAlphanumeric) {
				resource += capitalized(word)
			}
		}
	}
	if resource == "" {
		resource = capitalized(segments[0])
	}
	if area == "amt" {
		return "AMT_" + amtVerb(httpMethod) + resource
	}
	return handlerVerb(httpMethod) + resource
}

// amtVerb returns the verb in the name of an AMT method, which is "" for a GET, as in
// AMT_PowerState.
func amtVerb(httpMethod string) string {
	switch httpMethod {
	case "GET":
		return ""
	case "DELETE":
		return "Delete"
	default:
		return "Set"
	}
}

// handlerVerb returns the verb in the name of a handler.
func handlerVerb(httpMethod string) string {
	switch httpMethod {
	case "POST":
		return "create"
	case "PATCH", "PUT":
		return "edit"
	default:
		return strings.ToLower(httpMethod)
	}
}

func notAlphanumeric(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func capitalized(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
