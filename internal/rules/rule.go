package rules

import (
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Topics holds the topic filters of a rule. The rules of a file share one. Without filters a rule
// listens to all messages.
type Topics struct{ Filters []string }

// Action is the kind of effect of a rule.
type Action int

// These are the actions.
const (
	Raise Action = iota + 1
	Ignore
	Accept
	Resolve
)

// Rule is a compiled rule.
type Rule struct {
	Name    string
	Topics  *Topics
	Options map[string]any
	Action  Action
	When    *Expression // nil: always

	Key            *Template
	IntegrationKey ilert.IntegrationKey
	Alert          AlertTexts

	Unless []*Template // keys of alerts: while one is open, the rule's alert is not sent

	For, Reminder, Silence, Age time.Duration
	EndsWhen                    *Expression
	EndsAll                     bool

	Window        *decision.Window // nil: the rule decides by one message
	Group, Member *Template
	Of, Leave     *Expression
}

// Complete sets the default texts of a rule with a window.
func (r *Rule) Complete() {
	if r.Window == nil {
		return
	}
	if r.Key == nil {
		key := strings.NewReplacer("{", "{{", "}", "}}").Replace(r.Name)
		if r.Group != nil {
			key += "/{group}"
		}
		r.Key, _ = parseTemplate(key, false, nil)
	}
	if r.Member != nil && r.Alert.Details == nil && !r.Alert.Summary.mentions("members") {
		r.Alert.Details, _ = parseTemplate("{members}", true, nil)
	}
}
