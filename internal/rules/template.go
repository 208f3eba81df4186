package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/internal/decision"
)

// Template is a text with expressions in braces, such as "{event.method} failed". Two braces
// stand for one brace in the text.
type Template struct {
	parts []part
	needs needs
}

// part is a text, or an expression in its place.
type part struct {
	text  string
	value *Expression
	fact  func(*facts) string // returns the value without expr's machine; may be nil
}

// rulesFacts maps expressions to Go code that returns their values, which differ between rules.
var rulesFacts = map[string]func(*facts) string{
	"rule":  func(f *facts) string { return f.Rule },
	"group": func(f *facts) string { return f.Group },
}

// Limits is a set of requirements for a template.
type Limits int

// These are the limits.
const (
	NotEmpty Limits = 1 << iota
	OfWindow        // the template may contain numbers of a window
	Grouped         // the template may contain the group
	Varies          // the template contains an expression
	Filled          // the template is filled when the alert is sent: it may contain the time since when
)

// numbers are the names of the numbers in the texts of windows.
var numbers = []string{"count", "of", "distinct", "percent", "members", "window"}

// maxPlaces limits the parts of a template.
const maxPlaces = 100

// since is the name of the time at which that began of which an alert tells, in the texts that are filled when it is sent.
const since = "since"

// parseTemplate compiles a template. With OfWindow the text may contain numbers of the window, and with Filled the time
// since when, which are known only when the alert is sent.
func parseTemplate(text string, limits Limits, options map[string]any) (*Template, error) {
	t := &Template{}
	literal := func(s string) {
		if n := len(t.parts); n > 0 && t.parts[n-1].value == nil {
			t.parts[n-1].text += s
		} else if s != "" {
			t.parts = append(t.parts, part{text: s})
		}
	}
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			literal(rest)
			break
		}
		literal(rest[:i])
		brace := rest[i]
		rest = rest[i+1:]
		if rest != "" && rest[0] == brace {
			literal(string(brace))
			rest = rest[1:]
			continue
		}
		if brace == '}' {
			return nil, fmt.Errorf("%.80q: a } without its {; write }} for one that stands for itself", text)
		}
		end := closing(rest)
		if end < 0 {
			return nil, fmt.Errorf("%.80q: a { without its }; write {{ for one that stands for itself", text)
		}
		inner := strings.TrimSpace(rest[:end])
		rest = rest[end+1:]
		if inner == since {
			if limits&Filled == 0 {
				return nil, errors.New("{since} may only stand in the summary, details, links and custom_details of a raise")
			}
			literal(decision.Place(inner))
			continue
		}
		if slices.Contains(numbers, inner) {
			if limits&OfWindow == 0 {
				return nil, fmt.Errorf("{%s} may only stand in the summary, details, links and custom_details of a rule with a window", inner)
			}
			literal(decision.Place(inner))
			continue
		}
		if len(t.parts) > maxPlaces {
			return nil, fmt.Errorf("more than %d texts and expressions in one", maxPlaces)
		}
		value, err := compile(inner, expr.AsAny(), options)
		if err != nil {
			return nil, fmt.Errorf("{%s}: %w", inner, err)
		}
		t.needs = t.needs.and(value.needs)
		fact := rulesFacts[inner]
		if fact == nil {
			fact = plainText(value.tree)
		}
		t.parts = append(t.parts, part{value: value, fact: fact})
	}
	return t, nil
}

// ParseText compiles a template as ParseTemplate does, and returns an error for texts that their
// author hardly meant, such as an expression without braces.
func ParseText(text string, limits Limits, options map[string]any) (*Template, error) {
	t, err := ParseTemplate(text, limits, options)
	switch {
	case err != nil:
		return t, err
	case strings.TrimSpace(text) == "" && limits&NotEmpty != 0:
		return t, errors.New("is empty")
	}
	return t, t.braces(text, limits, options)
}

// ParseTemplate compiles a template within its limits. It returns a template even with an error.
func ParseTemplate(text string, limits Limits, options map[string]any) (*Template, error) {
	t, err := parseTemplate(text, limits, options)
	switch {
	case err != nil:
		return &Template{}, err
	case t.needs.group && limits&Grouped == 0:
		return t, errors.New("there is no group here; it may stand in what the raise of a window or of absent says")
	}
	return t, nil
}

// closing returns the index of the brace that closes an expression, or -1. It skips braces within
// the expression and its quoted texts.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// maxText limits a text of an alert, in bytes; bounded cuts off the rest.
const maxText = 32 << 10

// text evaluates the template.
func (t *Template) text(machine *vm.VM, f *facts) (string, error) {
	if t == nil || len(t.parts) == 0 {
		return "", nil
	}
	if len(t.parts) == 1 {
		s, err := t.parts[0].evaluate(machine, f)
		return bounded(s), err
	}
	texts, length := make([]string, 0, 8), 0 // enough for most templates, on the stack
	for i := range t.parts {
		s, err := t.parts[i].evaluate(machine, f)
		if err != nil {
			return "", err
		}
		texts = append(texts, s)
		if length += len(s); length > maxText {
			break
		}
	}
	return bounded(strings.Join(texts, "")), nil
}

// bounded returns a text that is not too long and that JSON and databases can store: without NUL.
func bounded(s string) string {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	if len(s) > maxText {
		s = truncate(s, maxText)
		if begin := strings.LastIndex(s, decision.PlaceBegins); begin > strings.LastIndex(s, decision.PlaceEnds) {
			s = s[:begin] // half a place
		}
	}
	return s
}

// evaluate returns the text of a part.
func (p *part) evaluate(machine *vm.VM, f *facts) (string, error) {
	switch {
	case p.value == nil:
		return p.text, nil
	case p.fact != nil:
		return withoutPlaces(p.fact(f)), nil
	}
	value, err := p.value.run(machine, f)
	if err != nil {
		return "", err
	}
	s, err := TextOf(value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.value.text, err)
	}
	return withoutPlaces(s), nil
}

// json evaluates the template to JSON. A template that is one expression keeps the type of its
// value.
func (t *Template) json(machine *vm.VM, f *facts) (json.RawMessage, error) {
	if len(t.parts) != 1 || t.parts[0].value == nil {
		text, err := t.text(machine, f)
		if err != nil {
			return nil, err
		}
		return Encode(text)
	}
	value, err := t.parts[0].value.run(machine, f)
	if err != nil {
		return nil, err
	}
	encoded, err := Encode(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.parts[0].value.text, err)
	}
	return json.RawMessage(withoutPlaces(string(encoded))), nil
}

// Literal returns the text of a template without expressions.
func (t *Template) Literal() (string, bool) {
	switch {
	case t == nil || len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].value == nil:
		return t.parts[0].text, true
	default:
		return "", false
	}
}

// begins returns the text before the first expression, and whether it is the whole template.
func (t *Template) begins() (text string, whole bool) {
	if text, whole = t.Literal(); whole || t.parts[0].value != nil {
		return text, whole
	}
	return t.parts[0].text, false
}

// finishes returns the text behind the last expression.
func (t *Template) finishes() string {
	if text, whole := t.Literal(); whole {
		return text
	}
	return t.parts[len(t.parts)-1].text
}

// TextOf returns the text of a value in a template.
func TextOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	text, err := Encode(value)
	return string(text), err
}

// withoutPlaces replaces the two characters of a place, so that no message can contain a place.
func withoutPlaces(s string) string {
	if !strings.Contains(s, decision.PlaceBegins) && !strings.Contains(s, decision.PlaceEnds) {
		return s
	}
	return strings.NewReplacer(decision.PlaceBegins, "\uFFFD", decision.PlaceEnds, "\uFFFD").Replace(s)
}

// NamesItem reports whether the template names an element of the rule's list.
func (t *Template) NamesItem() bool { return t != nil && t.needs.item }

// mentions reports whether the template contains a number of the window.
func (t *Template) mentions(number string) bool {
	return t != nil && slices.ContainsFunc(t.parts, func(p part) bool { return strings.Contains(p.text, decision.Place(number)) })
}

// MayBeEqual reports whether two templates may have the same text.
func MayBeEqual(a, b *Template) bool {
	if a == nil || b == nil {
		return a == b
	}
	p, pWhole := a.begins()
	q, qWhole := b.begins()
	p, q = strings.ToLower(strings.TrimSpace(p)), strings.ToLower(strings.TrimSpace(q)) // as keys are compared
	if pWhole && qWhole {
		return p == q
	}
	before := strings.HasPrefix(p, q) || strings.HasPrefix(q, p)
	p, q = strings.ToLower(strings.TrimSpace(a.finishes())), strings.ToLower(strings.TrimSpace(b.finishes()))
	return before && (strings.HasSuffix(p, q) || strings.HasSuffix(q, p))
}

// MayBegin reports whether the text of a key may begin with that of a prefix.
func MayBegin(key, prefix *Template) bool {
	k, whole := key.begins()
	p, _ := prefix.begins()
	k, p = strings.ToLower(strings.TrimSpace(k)), strings.ToLower(strings.TrimLeft(p, " \t\r\n"))
	return strings.HasPrefix(k, p) || !whole && strings.HasPrefix(p, k)
}
