package rulefile

import (
	"encoding/json"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/rules"
)

// ofAlerts are the keys of raise.
var ofAlerts = []string{"key", "summary", "details", "priority", "severity", "routing_key", "links", "images", "labels", "custom_details"}

// raise reads the texts of an alert.
func (l *loader) raise(r *rule, n ast.Node) {
	a := &r.Alert
	always, inText := rules.Limits(0), rules.Filled // no numbers in fields that change what ilert does: they are known only when the alert is sent
	if r.Window != nil {
		always, inText = rules.Grouped, rules.Filled|rules.Grouped|rules.OfWindow
	} else if r.Absence != nil {
		always, inText = rules.Grouped, rules.Filled|rules.Grouped
	}
	has := l.object(n, "raise", fields{
		"key":            l.template(&r.Key, "key", always|rules.NotEmpty),
		"summary":        l.template(&a.Summary, "summary", inText|rules.NotEmpty),
		"details":        l.template(&a.Details, "details", inText),
		"priority":       l.oneOf(&a.Priority, "priority", always),
		"severity":       l.oneOf(&a.Severity, "severity", always),
		"routing_key":    l.template(&a.RoutingKey, "routing_key", always),
		"links":          l.listOfObjects(&a.Links, "links", inText),
		"images":         l.listOfObjects(&a.Images, "images", inText),
		"labels":         l.labels(&a.Labels, always),
		"custom_details": func(n ast.Node) { a.CustomDetails = l.json(n, "custom_details", inText) },
	})
	if !has["key"] && r.Window == nil && r.Absence == nil {
		l.fail(n, "%s: raise: want key, which says what is one alert", r.called())
	}
	if !has["summary"] {
		l.fail(n, "%s: raise: want summary", r.called())
	}
}

// oneOf reads a template whose text must be one of a few that ilert knows.
func (l *loader) oneOf(to **rules.Template, what string, limits rules.Limits) func(ast.Node) {
	return func(n ast.Node) {
		before := len(l.mistakes)
		l.template(to, what, limits)(n)
		if text, literal := (*to).Literal(); literal && len(l.mistakes) == before {
			encoded, _ := rules.Encode(text) // texts cannot fail
			for _, o := range new(ilert.Event).SetOptional(map[string]json.RawMessage{what: encoded}) {
				l.fail(n, "%s", o)
			}
		}
	}
}

// labels reads a mapping of names to templates.
func (l *loader) labels(to *any, limits rules.Limits) func(ast.Node) {
	return func(n ast.Node) {
		if *to = l.json(n, "labels", limits); !isObject(*to) {
			l.fail(n, "labels: want a mapping of names to texts, such as {site: Berlin}")
		}
	}
}

// listOfObjects reads a list of mappings.
func (l *loader) listOfObjects(to *any, what string, limits rules.Limits) func(ast.Node) {
	return func(n ast.Node) {
		*to = l.json(n, what, limits)
		list, isList := (*to).([]any)
		if !isList || slices.ContainsFunc(list, func(v any) bool { return !isObject(v) }) {
			l.fail(n, "%s: want a list of mappings, such as - href: https://...", what)
		}
	}
}

// isObject reports whether a value is a mapping.
func isObject(v any) bool {
	_, is := v.(map[string]any)
	return is
}

// json reads a JSON value whose texts are templates.
func (l *loader) json(n ast.Node, what string, limits rules.Limits) any {
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
		t, err := rules.ParseTemplate(text, limits, l.file.options)
		if err != nil {
			l.fail(n, "%s: %w", what, err)
		}
		l.item(n, what, t.NamesItem())
		return t
	default:
		return l.any(n)
	}
}
