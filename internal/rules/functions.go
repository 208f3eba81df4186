package rules

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// ownFunctions returns the functions that expressions have beside expr's own.
func ownFunctions() []expr.Option {
	return []expr.Option{
		expr.Function("default", func(args ...any) (any, error) {
			if args[0] == nil || args[0] == "" {
				return args[1], nil
			}
			return args[0], nil
		}, new(func(string, string) string), new(func(any, any) any)),
		expr.Function("truncate", func(args ...any) (any, error) {
			text, isText := args[0].(string)
			n, isNumber := args[1].(int)
			if !isText || !isNumber {
				return nil, errors.New("truncate: want a text and a whole number, such as truncate(event.message, 80)")
			}
			return truncate(text, n), nil
		}, new(func(string, int) string)),
		expr.Function("replace", func(args ...any) (any, error) {
			return replace(args[0], args[1], args[2])
		}, new(func(string, string, string) string)),
		expr.Function("fromJSON", func(args ...any) (any, error) {
			text, _ := args[0].(string)
			value, _ := decodeJSON([]byte(text))
			return value, nil
		}, new(func(any) any)),
		expr.Function(memberFunction, func(args ...any) (any, error) {
			object, _ := args[0].(map[string]any)
			return object[args[1].(string)], nil
		}, new(func(any, string) any)),
		expr.Function("find", func(args ...any) (any, error) {
			return find(args[0], args[1], args[2])
		}, new(func(any, string, any) any)),
		expr.Function("number", func(args ...any) (any, error) { return numberOf(args[0]), nil }, new(func(any) any)),
	}
}

// memberFunction is the function that stands for a?.b. No expression can name it.
const memberFunction = "a?.b"

// lenient makes a?.b nil if a is no object. expr does so only if a is nil, but the same topic may
// bring objects and texts.
type lenient struct{}

// Visit replaces a member; expr calls it for each node, the inner ones first.
func (lenient) Visit(node *ast.Node) {
	m, isMember := (*node).(*ast.MemberNode)
	if !isMember || !m.Optional || m.Node.Type() == nil || m.Node.Type().Kind() != reflect.Interface {
		return
	}
	if name, isName := m.Property.(*ast.StringNode); isName {
		ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: memberFunction}, Arguments: []ast.Node{m.Node, name}})
	}
}

// truncate returns the longest prefix of s that has at most n bytes and ends between characters.
func truncate(s string, n int) string {
	if n < 0 || len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// find returns the first object in a list whose field has a value, or nil.
func find(in, field, value any) (any, error) {
	name, isName := field.(string)
	list, isList := in.([]any)
	switch {
	case in == nil:
		return nil, nil
	case !isList || !isName:
		return nil, errors.New(`find: want a list and the name of a field, such as find(msg.sensors, "id", 7), have ` + KindOf(in) + " and " + KindOf(field))
	}
	for _, element := range list {
		if object, isObject := element.(map[string]any); isObject && runtime.Equal(object[name], value) {
			return element, nil
		}
	}
	return nil, nil
}

// maxReplaced limits the result of replace, in bytes: it may not make a long text of a short one.
const maxReplaced = 256 << 10

// replace returns a text with all old parts replaced.
func replace(in, old, with any) (string, error) {
	text, isText := in.(string)
	from, isFrom := old.(string)
	to, isTo := with.(string)
	switch {
	case in == nil:
		return "", errors.New("replace: <nil>")
	case !isText || !isFrom || !isTo:
		return "", errors.New(`replace: want three texts, such as replace(msg.name, "_", " ")`)
	case from == "":
		return text, nil
	}
	if length := len(text) + strings.Count(text, from)*(len(to)-len(from)); length > max(maxReplaced, len(text)) {
		return "", fmt.Errorf("replace: the result has %d bytes: want at most %d", length, maxReplaced)
	}
	return strings.ReplaceAll(text, from, to), nil
}

// numeral matches a number in a text. People write the decimals behind a point or a comma.
var numeral = regexp.MustCompile(`^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$`)

// numberOf returns a number, or the number in a text, and nil for everything else.
func numberOf(value any) any {
	text, isText := value.(string)
	if !isText {
		if KindOf(value) != "a number" {
			return nil
		}
		return value
	}
	const maxLength = 400 // of the longest float64 in full
	text = strings.TrimSpace(text)
	if len(text) > maxLength || !numeral.MatchString(text) {
		return nil
	}
	text = strings.Replace(text, ",", ".", 1)
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return n
}
