package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/ilert"
)

// ilert's two priorities: who is woken by an alert.
const (
	high = "HIGH"
	low  = "LOW"
)

// alertTexts are what an alert says, as templates. Those of any JSON hold templates in the
// place of texts.
type alertTexts struct {
	summary, details, priority, severity, routingKey *template
	links, images, labels, customDetails             any
}

// raise reads what an alert says.
func (l *loader) raise(r *rule, n ast.Node) {
	a := &r.alert
	l.object(n, "raise", fields{
		"key":            l.template(&r.key, "key", false),
		"summary":        l.template(&a.summary, "summary", r.hasWindow),
		"details":        l.template(&a.details, "details", r.hasWindow),
		"priority":       l.template(&a.priority, "priority", false),
		"severity":       l.template(&a.severity, "severity", false),
		"routing_key":    l.template(&a.routingKey, "routing_key", false),
		"links":          l.json(&a.links, "links", r.hasWindow),
		"images":         l.json(&a.images, "images", r.hasWindow),
		"labels":         l.json(&a.labels, "labels", false),
		"custom_details": l.json(&a.customDetails, "custom_details", r.hasWindow),
	})
	if text, literal := a.priority.literal(); literal && text != "" && text != high && text != low {
		l.fail(n, "priority %q: want HIGH or LOW", text)
	}
	if text, literal := a.severity.literal(); literal && text != "" {
		if v, err := strconv.Atoi(text); err != nil || v < 1 || v > 5 {
			l.fail(n, "severity %q: want a number from 1 to 5", text)
		}
	}
	if _, isObject := a.labels.(map[string]any); a.labels != nil && !isObject {
		l.fail(n, "labels: want a mapping of names to texts")
	}
	for name, list := range map[string]any{"links": a.links, "images": a.images} {
		if _, isList := list.([]any); list != nil && !isList {
			l.fail(n, "%s: want a list of objects, such as - href: https://...", name)
		}
	}
}

// json reads any value, whose texts are templates.
func (l *loader) json(to *any, what string, ofWindow bool) func(ast.Node) {
	return func(n ast.Node) {
		var compiled func(value any) any
		compiled = func(value any) any {
			switch v := value.(type) {
			case string:
				return l.templateOf(n, v, what, ofWindow)
			case []any:
				for i := range v {
					v[i] = compiled(v[i])
				}
			case map[string]any:
				for k := range v {
					v[k] = compiled(v[k])
				}
			}
			return value
		}
		*to = compiled(l.any(n))
	}
}

// event is what ilert is told by a message.
func (a *alertTexts) event(machine *vm.VM, f *facts) (e ilert.Event, err error) {
	text := func(t *template) (s string) {
		if err == nil {
			s, err = t.text(machine, f)
		}
		return s
	}
	e.Summary, e.Details, e.Priority = text(a.summary), text(a.details), text(a.priority)
	severity, routing := text(a.severity), text(a.routingKey)
	raw := func(value any) (j json.RawMessage) {
		if err == nil && value != nil {
			j, err = jsonOf(value, machine, f)
		}
		return j
	}
	e.Links, e.Images, e.Labels, e.CustomDetails = raw(a.links), raw(a.images), raw(a.labels), raw(a.customDetails)
	if routing != "" {
		e.RoutingKey = raw(routing)
	}
	switch {
	case err != nil:
		return e, err
	case e.Priority != "" && e.Priority != high && e.Priority != low:
		return e, fmt.Errorf("priority %.40q: want HIGH or LOW", e.Priority)
	case severity != "" && (len(severity) != 1 || severity < "1" || severity > "5"):
		return e, fmt.Errorf("severity %.40q: want a number from 1 to 5", severity)
	case strings.TrimSpace(e.Summary) == "":
		return e, fmt.Errorf("summary: is empty")
	}
	if severity != "" {
		e.Severity = json.RawMessage(severity)
	}
	return e, nil
}

// jsonOf evaluates the templates in a value.
func jsonOf(value any, machine *vm.VM, f *facts) (json.RawMessage, error) {
	evaluated, err := evaluate(value, machine, f)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(evaluated); err != nil {
		return nil, err
	}
	if out.Len() > 2*mostText {
		return nil, fmt.Errorf("custom details, links, images or labels of %d bytes: want at most %d", out.Len(), 2*mostText)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func evaluate(value any, machine *vm.VM, f *facts) (any, error) {
	switch v := value.(type) {
	case *template:
		return v.value(machine, f)
	case []any:
		all := make([]any, len(v))
		for i := range v {
			var err error
			if all[i], err = evaluate(v[i], machine, f); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for k := range v {
			var err error
			if all[k], err = evaluate(v[k], machine, f); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return value, nil
}
