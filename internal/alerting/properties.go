package alerting

import (
	"encoding/json"

	"github.com/mps-events/mps-events/internal/decision"
)

// Properties is the JSON of a message's user properties, as the rows hold them; empty if there are none.
type Properties string

func propertiesOf(all []decision.Property) Properties {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // cannot fail: there are only strings
	}
	return Properties(text)
}

// List returns the properties in p.
func (p Properties) List() (all []decision.Property) {
	if p != "" {
		_ = json.Unmarshal([]byte(p), &all) // propertiesOf has written it
	}
	return all
}

// traceParent returns the W3C trace context that the message belongs to; empty for none.
func (p Properties) traceParent() string {
	const maxLength = 128 // a trace context has 55 characters, and later versions of the standard may add some
	for _, one := range p.List() {
		if one.Key == "traceparent" && len(one.Value) <= maxLength {
			return one.Value
		}
	}
	return ""
}
