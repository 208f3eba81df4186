package alerting

import (
	"encoding/json"

	"github.com/mps-events/mps-events/internal/decision"
)

// Properties are the user properties of a message as the rows hold them: JSON, empty if there
// are none.
type Properties string

func propertiesOf(all []decision.Property) Properties {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return Properties(text)
}

// List returns the properties that p was made of.
func (p Properties) List() (all []decision.Property) {
	if p != "" {
		_ = json.Unmarshal([]byte(p), &all) // propertiesOf has written it
	}
	return all
}

// traceParent returns the W3C trace context that the message belongs to; empty for none.
func (p Properties) traceParent() string {
	const maxLength = 128 // it has 55 characters, and later versions may add to it
	for _, one := range p.List() {
		if one.Key == "traceparent" && len(one.Value) <= maxLength {
			return one.Value
		}
	}
	return ""
}
