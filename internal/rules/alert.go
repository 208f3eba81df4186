package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/mps-events/mps-events/internal/ilert"
)

// AlertTexts are the templates of an alert's texts. The fields of type any hold JSON values with
// templates in the place of texts.
type AlertTexts struct {
	Summary, Details, Priority, Severity, RoutingKey *Template
	Links, Images, Labels, CustomDetails             any
}

// event returns the event for ilert without type and keys, and the optional fields that it leaves
// out because they are wrong: an alert is worth more than its optional fields. It returns an
// error if the summary is wrong.
func (a *AlertTexts) event(machine *vm.VM, f *facts) (e ilert.Event, omitted []ilert.Omission, err error) {
	if e.Summary, err = a.Summary.text(machine, f); err != nil {
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
	e.Details, err = a.Details.text(machine, f)
	omit("details", err)
	e.Priority, err = a.Priority.text(machine, f)
	omit("priority", err)
	members := map[string]json.RawMessage{}
	if e.Priority != ilert.High && e.Priority != ilert.Low {
		members["priority"], e.Priority = quoted(e.Priority), ""
	}
	for _, one := range []struct {
		field string
		text  *Template
	}{{"severity", a.Severity}, {"routingKey", a.RoutingKey}} {
		if one.text != nil {
			text, err := one.text.text(machine, f)
			omit(one.field, err)
			members[one.field] = quoted(text)
		}
	}
	for _, one := range []struct {
		field string
		value any
	}{{"links", a.Links}, {"images", a.Images}, {"labels", a.Labels}, {"customDetails", a.CustomDetails}} {
		if one.value != nil {
			encoded, err := jsonOf(one.value, machine, f)
			omit(one.field, err)
			members[one.field] = encoded
		}
	}
	if len(members) == 0 { // as most alerts
		return e, omitted, nil
	}
	return e, append(omitted, e.SetOptional(members)...), nil
}

// needs returns the needs of all templates.
func (a *AlertTexts) needs() (n needs) {
	for _, t := range []*Template{a.Summary, a.Details, a.Priority, a.Severity, a.RoutingKey} {
		if t != nil {
			n = n.and(t.needs)
		}
	}
	for _, v := range []any{a.Links, a.Images, a.Labels, a.CustomDetails} {
		n = n.and(needsOf(v))
	}
	return n
}

// needsOf returns the needs of the templates in a value.
func needsOf(value any) (n needs) {
	switch v := value.(type) {
	case *Template:
		return v.needs
	case []any:
		for _, inner := range v {
			n = n.and(needsOf(inner))
		}
	case map[string]any:
		for _, inner := range v {
			n = n.and(needsOf(inner))
		}
	}
	return n
}

// quoted returns a text as JSON.
func quoted(text string) json.RawMessage {
	encoded, err := Encode(text)
	if err != nil {
		panic(err) // texts cannot fail
	}
	return encoded
}

// maxJSON limits the texts in a value of an alert, in bytes.
const maxJSON = 2 * maxText

// jsonOf evaluates the templates in a value and encodes it.
func jsonOf(value any, machine *vm.VM, f *facts) (json.RawMessage, error) {
	v := evaluator{machine, f, maxJSON}
	evaluated, err := v.evaluate(value)
	if err != nil {
		return nil, err
	}
	return Encode(evaluated)
}

// evaluator evaluates the templates in a value until their texts are too long.
type evaluator struct {
	machine *vm.VM
	facts   *facts
	left    int
}

// evaluate returns the value with texts in the place of its templates.
func (v *evaluator) evaluate(value any) (any, error) {
	var err error
	switch value := value.(type) {
	case *Template:
		text, err := value.json(v.machine, v.facts)
		if v.left -= len(text); err == nil && v.left < 0 {
			err = fmt.Errorf("more than %d bytes", maxJSON)
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

// Encode returns the JSON of a value without escaping for HTML.
func Encode(value any) (json.RawMessage, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("this is no value that can be written: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}
