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
	Each    *Expression // a list, for each element of which the rule decides; nil: once for the message
	When    *Expression // nil: always

	Key            *Template
	IntegrationKey ilert.IntegrationKey
	Alert          AlertTexts

	Unless []*Template // keys of alerts: while one is open, the rule's alert is not sent

	For, Reminder, Silence, Age time.Duration
	Repeat                      time.Duration // 0: the default, negative: never
	After                       time.Duration // for which an end by a message is held
	EndsWhen                    *Expression
	Cancel                      *Expression // ends the alert while it waits for For
	EndsAll                     bool
	EndsMatch                   *Template // EndsWhen ends all alerts whose keys begin so; nil: the alert of the message

	Prefix bool // of Resolve: Key is the beginning of the keys

	Window        *decision.Window // nil: the rule decides by one message
	Group, Member *Template
	Of, Leave     *Expression

	Absence *decision.Absence // nil: the rule does not wait for messages; it uses Group, too
	Expect  []string          // groups that the rule waits for from the start
	Forget  *Expression       // messages after which a group is not awaited, or a member of a window does not count
}

// Complete sets the default texts of a rule with a window, and of one that waits.
func (r *Rule) Complete() {
	if r.Window == nil && r.Absence == nil {
		return
	}
	if r.Key == nil {
		key := strings.NewReplacer("{", "{{", "}", "}}").Replace(r.Name)
		if r.Group != nil {
			key += "/{group}"
		}
		r.Key, _ = parseTemplate(key, 0, nil)
	}
	if r.Member != nil && r.Alert.Details == nil && !r.Alert.Summary.mentions("members") {
		r.Alert.Details, _ = parseTemplate("{members}", OfWindow, nil)
	}
}
