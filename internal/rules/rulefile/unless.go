package rulefile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/mps-events/mps-events/internal/rules"
)

// maxUnless is the number of alerts that an alert may depend on.
const maxUnless = 5

// unlessOpen reads the keys of the alerts on which the alert of a rule depends.
func (l *loader) unlessOpen(r *rule, n ast.Node) {
	limits := rules.NotEmpty
	if r.Window != nil {
		limits |= rules.Grouped
	}
	l.list(n, func(n ast.Node) {
		var key *rules.Template
		if l.template(&key, "unless_open", limits)(n); key != nil {
			r.Unless = append(r.Unless, key)
		}
	})
	if len(r.Unless) > maxUnless {
		l.fail(n, "unless_open: %d keys: want at most %d", len(r.Unless), maxUnless)
	}
}

// checkUnless finds rules that depend on an alert which no rule raises.
func checkUnless(all []*rule) (mistakes MistakesError) {
	for _, r := range all {
		for _, key := range r.Unless {
			text, _ := key.Literal()
			raised := r.broken || strings.HasPrefix(text, "mps-ilert/") // of the daemon's own alert about the broker
			for _, other := range all {
				raised = raised || other.broken || other != r && other.Action == rules.Raise &&
					other.IntegrationKey == r.IntegrationKey && rules.MayBeEqual(key, other.Key)
			}
			if !raised {
				mistakes = append(mistakes, r.mistake(fmt.Sprintf("unless_open: no other rule with its integration_key raises an alert with %s", cmp.Or(text, "such a key"))))
			}
		}
	}
	return mistakes
}
