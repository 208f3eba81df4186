package rulefile

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/rules"
)

// readOptions reads the options of a file. The file that includes it, and --option, may override
// their values by values of the same kind.
func (l *loader) readOptions(n ast.Node) {
	pairs, ok := l.pairs(n)
	if !ok {
		l.fail(n, "options: want a mapping of names to values")
	}
	for _, p := range pairs {
		value := l.any(p.value)
		if value == nil {
			value = []any{} // an option without a value is an empty list, for others to override
		}
		if given, ok := l.given[p.key]; ok {
			if rules.KindOf(given) != rules.KindOf(value) {
				l.fail(p.at, "option %s: want %s, have %s in the file that includes this", p.key, rules.KindOf(value), rules.KindOf(given))
			}
			value = given
		}
		if given, ok := l.overrides[p.key]; ok {
			l.used[p.key] = true
			var err error
			if value, err = sameKind(value, given); err != nil {
				l.fail(p.at, "option %s=%s: %w", p.key, given, err)
			}
		}
		if !plainOption(value) {
			l.fail(p.value, "option %s: want a text, a number, true or false, or a list of these", p.key)
		}
		l.file.given[p.key], l.file.options[p.key] = value, setOf(value)
	}
}

// setOf converts a list of texts to a set, in which the operator in finds a text at once.
func setOf(value any) any {
	list, _ := value.([]any)
	set := make(map[string]bool, len(list))
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			return value
		}
		set[text] = true
	}
	if len(set) == 0 {
		return value
	}
	return set
}

// plainOption reports whether expressions can compare an option.
func plainOption(value any) bool {
	switch v := value.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool {
			_, isList := item.([]any)
			return isList || !plainOption(item)
		})
	case map[string]any:
		return false
	}
	return true
}

// sameKind converts a text of the command line to the kind of the option in the file.
func sameKind(was any, given string) (any, error) {
	switch was := was.(type) {
	case bool:
		if given != "true" && given != "false" {
			return was, errors.New("want true or false")
		}
		return given == "true", nil
	case int, float64:
		if n, err := strconv.Atoi(given); err == nil {
			return n, nil
		}
		n, err := strconv.ParseFloat(given, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return was, errors.New("want a number")
		}
		return n, nil
	case []any:
		list := []any{}
		for item := range strings.SplitSeq(given, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			var typed any = item
			if len(was) > 0 {
				var err error
				if typed, err = sameKind(was[0], item); err != nil {
					return was, err
				}
			}
			list = append(list, typed)
		}
		return list, nil
	default:
		return given, nil
	}
}
