package store

import (
	"encoding/json"

	"github.com/mps-events/mps-events/internal/decision"
)

// properties are a message's user properties as the tables have them: JSON, empty if there
// are none.
type properties string

func propertiesOf(all []decision.Property) properties {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return properties(text)
}

// list is what they were made of.
func (p properties) list() (all []decision.Property) {
	if p != "" {
		_ = json.Unmarshal([]byte(p), &all) // they are ours
	}
	return all
}

// traceParent is the trace that the message belongs to, as W3C has it; empty for none.
func (p properties) traceParent() string {
	const longest = 128 // it has 55 characters, and later versions may add to it
	for _, one := range p.list() {
		if one.Key == "traceparent" && len(one.Value) <= longest {
			return one.Value
		}
	}
	return ""
}
