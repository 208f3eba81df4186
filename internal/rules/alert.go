package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/ilert"
)

// alertTexts are what an alert says, as templates. Those of any JSON hold templates in the
// place of texts.
type alertTexts struct {
	summary, details, priority, severity, routingKey *template
	links, images, labels, customDetails             any
}

// ofAlerts are the keys of raise.
var ofAlerts = []string{"key", "summary", "details", "priority", "severity", "routing_key", "links", "images", "labels", "custom_details"}

// raise reads what an alert says.
func (l *loader) raise(r *rule, n ast.Node) {
	a := &r.alert
	var always, inText limits // the numbers are not yet known where ilert's behaviour hangs on the text
	if r.window != nil {
		always, inText = grouped, grouped|ofWindow
	}
	has := l.object(n, "raise", fields{
		"key":            l.template(&r.key, "key", always|notEmpty),
		"summary":        l.template(&a.summary, "summary", inText|notEmpty),
		"details":        l.template(&a.details, "details", inText),
		"priority":       l.oneOf(&a.priority, "priority", always),
		"severity":       l.oneOf(&a.severity, "severity", always),
		"routing_key":    l.template(&a.routingKey, "routing_key", always),
		"links":          l.listOfObjects(&a.links, "links", inText),
		"images":         l.listOfObjects(&a.images, "images", inText),
		"labels":         l.labels(&a.labels, always),
		"custom_details": func(n ast.Node) { a.customDetails = l.json(n, "custom_details", inText) },
	})
	if !has["key"] && r.window == nil {
		l.fail(n, "%s: raise: want key, which says what is one alert", r.called())
	}
	if !has["summary"] {
		l.fail(n, "%s: raise: want summary", r.called())
	}
}

// oneOf reads a template that says one of a few things.
func (l *loader) oneOf(to **template, what string, limits limits) func(ast.Node) {
	return func(n ast.Node) {
		before := len(l.mistakes)
		l.template(to, what, limits)(n)
		if text, literal := (*to).literal(); literal && len(l.mistakes) == before {
			for _, o := range new(ilert.Event).SetOptional(map[string]json.RawMessage{what: quoted(text)}) {
				l.fail(n, "%s", o)
			}
		}
	}
}

func (l *loader) labels(to *any, limits limits) func(ast.Node) {
	return func(n ast.Node) {
		if *to = l.json(n, "labels", limits); !isObject(*to) {
			l.fail(n, "labels: want a mapping of names to texts, such as {site: Berlin}")
		}
	}
}

func (l *loader) listOfObjects(to *any, what string, limits limits) func(ast.Node) {
	return func(n ast.Node) {
		*to = l.json(n, what, limits)
		list, isList := (*to).([]any)
		if !isList || slices.ContainsFunc(list, func(v any) bool { return !isObject(v) }) {
			l.fail(n, "%s: want a list of mappings, such as - href: https://...", what)
		}
	}
}

func isObject(v any) bool {
	_, is := v.(map[string]any)
	return is
}

// json reads any value, whose texts are templates.
func (l *loader) json(n ast.Node, what string, limits limits) any {
	switch n := l.bare(n).(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		object := map[string]any{}
		pairs, _ := l.pairs(n)
		for _, p := range pairs {
			object[p.key] = l.json(p.value, what, limits)
		}
		return object
	case *ast.SequenceNode:
		all := make([]any, len(n.Values))
		for i, v := range n.Values {
			all[i] = l.json(v, what, limits)
		}
		return all
	case *ast.StringNode, *ast.LiteralNode:
		text, _ := l.scalar(n, what)
		return l.templateOf(n, text, what, limits)
	default:
		return l.any(n)
	}
}

// event returns what ilert is told by a message, and what of it is left out: an alert is worth
// more than its optional fields. The error is that of the summary.
func (a *alertTexts) event(machine *vm.VM, f *facts) (e ilert.Event, omitted []ilert.Omission, err error) {
	if e.Summary, err = a.summary.text(machine, f); err != nil {
		return e, nil, err
	}
	if strings.TrimSpace(e.Summary) == "" {
		return e, nil, errors.New("summary: is empty")
	}
	omit := func(field string, err error) {
		if err != nil {
			omitted = append(omitted, ilert.Omission{Field: field, Reason: err.Error()})
		}
	}
	e.Details, err = a.details.text(machine, f)
	omit("details", err)
	e.Priority, err = a.priority.text(machine, f)
	omit("priority", err)
	members := map[string]json.RawMessage{}
	if e.Priority != ilert.High && e.Priority != ilert.Low {
		members["priority"], e.Priority = quoted(e.Priority), ""
	}
	for _, one := range []struct {
		field string
		text  *template
	}{{"severity", a.severity}, {"routingKey", a.routingKey}} {
		if one.text != nil {
			text, err := one.text.text(machine, f)
			omit(one.field, err)
			members[one.field] = quoted(text)
		}
	}
	for _, one := range []struct {
		field string
		value any
	}{{"links", a.links}, {"images", a.images}, {"labels", a.labels}, {"customDetails", a.customDetails}} {
		if one.value != nil {
			encoded, err := jsonOf(one.value, machine, f)
			omit(one.field, err)
			members[one.field] = encoded
		}
	}
	return e, append(omitted, e.SetOptional(members)...), nil
}

// quoted is a text as JSON.
func quoted(text string) json.RawMessage {
	encoded, err := encode(text)
	if err != nil {
		panic(err) // texts cannot fail
	}
	return encoded
}

// mostJSON is how long a value of an alert may become, in bytes.
const mostJSON = 2 * mostText

// jsonOf evaluates the templates in a value.
func jsonOf(value any, machine *vm.VM, f *facts) (json.RawMessage, error) {
	v := evaluator{machine, f, mostJSON}
	evaluated, err := v.evaluate(value)
	if err != nil {
		return nil, err
	}
	return encode(evaluated)
}

// evaluator evaluates the templates in a value, as long as they do not become too long.
type evaluator struct {
	machine *vm.VM
	facts   *facts
	left    int
}

func (v *evaluator) evaluate(value any) (any, error) {
	var err error
	switch value := value.(type) {
	case *template:
		text, err := value.json(v.machine, v.facts)
		if v.left -= len(text); err == nil && v.left < 0 {
			err = fmt.Errorf("more than %d bytes", mostJSON)
		}
		return text, err
	case []any:
		all := make([]any, len(value))
		for i := range value {
			if all[i], err = v.evaluate(value[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(value))
		for k := range value {
			if all[k], err = v.evaluate(value[k]); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return value, nil
}

// encode is the JSON of a value, as short as it is on the wire.
func encode(value any) (json.RawMessage, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("this is no value that can be written: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}
