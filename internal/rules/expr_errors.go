package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
)

// plain returns an error of expr in our words, with the place and without the picture.
func plain(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return errors.New(inOurWords(err.Error()))
	}
	where := fmt.Sprintf("at character %d", at.Column+1)
	if at.Line > 1 {
		where = fmt.Sprintf("in its line %d, %s", at.Line, where)
	}
	return fmt.Errorf("%s: %s", where, inOurWords(at.Message))
}

// phrases maps expr's errors to our words.
var phrases = []struct {
	theirs *regexp.Regexp
	ours   func(m []string) string
}{
	{regexp.MustCompile(`type rules\.\w+ has no field (\w+)`), func(m []string) string {
		return "event has no field " + m[1] + Suggestion(m[1], eventFields)
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.+) and (.+)\)`), func(m []string) string {
		return cannotCombine(m[1], kindOfType(m[2]), kindOfType(m[3]), "")
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched type (.+)\)`), func(m []string) string {
		if m[1] == "-" || m[1] == "+" {
			return m[1] + ": want a number, have " + kindOfType(m[2])
		}
		return m[1] + ": want true or false, have " + kindOfType(m[2]) + `; compare it, as in event.guid != ""`
	}},
	{regexp.MustCompile(`^unexpected token Operator\("="\)`), func([]string) string { return "write == to compare" }},
	{regexp.MustCompile(`^unexpected token Operator\("(\w+)"\)`), func(m []string) string {
		return m[1] + " stands between two values, as in " + map[bool]string{
			true: "event.method in [\"a\", \"b\"]", false: "event.message " + m[1] + " \"...\"",
		}[m[1] == "in"]
	}},
	{regexp.MustCompile(`^unexpected token \w+\("(.+)"\)`), func(m []string) string { return m[1] + " does not go here" }},
	{regexp.MustCompile(`^unexpected token EOF`), func([]string) string {
		return "it ends too early; to YAML, # begins a comment where no quotes are around the whole"
	}},
	{regexp.MustCompile(`^literal not terminated`), func([]string) string { return "a text has no closing quote" }},
	{regexp.MustCompile(`^invalid char escape`), func([]string) string {
		return "in \" and ' a \\ is written \\\\; between ` it stands for itself, as in matches `\\d+`"
	}},
	{regexp.MustCompile(`^bad number syntax: "(.+)"`), func(m []string) string { return m[1] + " is no number; a text wants quotes around it" }},
	{regexp.MustCompile(`^unrecognized character`), func([]string) string {
		return `a key with other characters than letters, digits and _ is written msg["a key"]`
	}},
	{regexp.MustCompile(`^type string\[int\] is undefined`), func([]string) string {
		return `a text has no [...]; split(topic, "/")[0] is the first level of a topic, and topic[0:1] the first character`
	}},
	{regexp.MustCompile(`^type string has no field (length|size)\b`), func(m []string) string {
		return "a text has no " + m[1] + "; write len(...)"
	}},
	{regexp.MustCompile(`^type string has no field (\w+)`), func(m []string) string {
		return "a text has no " + m[1] + "; if a message in JSON has it, write msg." + m[1]
	}},
	{regexp.MustCompile(`^expected bool, but got (.+)`), func(m []string) string {
		return "want true or false, have " + kindOfType(m[1]) + `; compare it, as in event.guid != ""`
	}},
	{regexp.MustCompile(`^cannot fetch (.+) from <nil>`), func(m []string) string {
		return "there is nothing that could have " + m[1] + "; write ?. where something may be missing, as in msg.data?." + m[1]
	}},
	{regexp.MustCompile(`^cannot fetch (.+) from (.+)`), func(m []string) string { return kindOfType(m[2]) + " has no " + m[1] }},
	{regexp.MustCompile(`^invalid operation: int\(string\)`), func([]string) string { return "only an object has names" }},
	{regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)`), func(m []string) string {
		return "want " + kindOfType(m[2]) + ", have " + kindOfType(m[1])
	}},
	{regexp.MustCompile(`^invalid operation: (int|float|bool)\((.*)\)`), func(m []string) string {
		if kind := kindOfType(m[2]); kind != m[2] {
			return "want " + kindOfType(m[1]) + ", have " + kind
		}
		return fmt.Sprintf("%.40q is no number", m[2])
	}},
	{regexp.MustCompile(`^operator "in" not defined on (.+)`), func(m []string) string {
		return "in: want a list or an object, have " + kindOfType(m[1])
	}},
	{regexp.MustCompile(`^reflect\.Value\.MapIndex: value of type (.+) is not assignable`), func(m []string) string {
		return "in: want a text, have " + kindOfType(m[1])
	}},
	{regexp.MustCompile(`exceeds maximum allowed nodes`), func([]string) string {
		return fmt.Sprintf("more than %d names, values and operators", maxParts)
	}},
	{regexp.MustCompile(`^index out of range: (.+) \(array length is (\d+)\)`), func(m []string) string {
		return "there is no [" + m[1] + "] in a list of " + m[2]
	}},
	{regexp.MustCompile(`^cannot slice`), func([]string) string { return "only a text or a list can be cut, as in msg.id[0:8]" }},
	{regexp.MustCompile(`^runtime error: integer divide by zero`), func([]string) string { return "division by zero" }},
}

// otherLanguages maps names of other languages, in lower case, to what to write instead.
var otherLanguages = map[string]string{
	"null": "write nil", "none": "write nil", "undefined": "write nil",
	"true": "write true", "false": "write false",
	"now": noClock, "date": noClock, "time": noClock, "today": noClock, "duration": noClock,
}

const noClock = "a rule asks for no clock; what is about time is said by for, window and ends"

// inOurWords replaces an error text of expr by ours, if phrases has one.
func inOurWords(text string) string {
	for _, p := range phrases {
		if m := p.theirs.FindStringSubmatch(text); m != nil {
			return p.ours(m)
		}
	}
	return strings.ReplaceAll(text, "<nil>", "nothing")
}

// kinds maps our names of the kinds of values to the types of Go and expr.
var kinds = map[string][]string{
	"a text":        {"string", "[]uint8"},
	"a number":      {"int", "int64", "float64", "float"},
	"true or false": {"bool"},
	"nothing":       {"nil", "<nil>"},
	"a list":        {"[]interface {}", "[]string", "[]any", "array"},
	"anything":      {"unknown", "interface {}", "any"},
	"an object":     {"map[string]interface {}", "map[string]string", "rules.eventFacts"},
}

// KindOf names the kind of a value.
func KindOf(value any) string { return kindOfType(fmt.Sprintf("%T", value)) }

func kindOfType(name string) string {
	for kind, types := range kinds {
		if slices.Contains(types, name) {
			return kind
		}
	}
	return name
}

var (
	eventTypes  = []string{"request", "success", "fail"}
	outcomes    = []string{"", "ok", "client", "unreachable", "device", "server"}
	eventFields = []string{"type", "message", "method", "methods", "guid", "timestamp", "outcome", "httpstatus"}
	ofMessages  = []string{"msg", "payload", "event", "topic", "properties", "server", "retain", "age"}
	variables   = append([]string{"option", "rule", "group"}, ofMessages...)
	builtins    = []string{"float", "int", "len", "lower", "split", "string", "trim", "trimPrefix", "trimSuffix", "upper"}
	functions   = slices.Sorted(slices.Values(append([]string{"default", "find", "fromJSON", "number", "replace", "truncate"}, builtins...)))
)
