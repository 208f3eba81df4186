package rules

import (
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// Topics are the topic filters of a rule, which many of a file share. Without any it is
// for all that comes.
type Topics struct{ Filters []string }

// Action is what a rule does with a message that it matches.
type Action int

// The actions.
const (
	Raise Action = iota + 1
	Ignore
	Accept
	Resolve
)

// Rule is one rule, compiled.
type Rule struct {
	Name    string
	Topics  *Topics
	Options map[string]any
	Action  Action
	When    *Expression // nil: always

	Key            *Template
	IntegrationKey ilert.IntegrationKey
	Alert          AlertTexts

	For, Reminder, Silence, Age time.Duration
	EndsWhen                    *Expression
	EndsAll                     bool

	Window        *decision.Window // nil: it decides by one message
	Group, Member *Template
	Of, Leave     *Expression
}

// Complete fills in what a rule leaves out.
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
