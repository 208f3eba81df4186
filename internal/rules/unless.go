package rules

import (
	"strings"

	"github.com/mps-events/mps-events/internal/ilert"
)

// unless returns the keys of the alerts while one of which is open the rule's alert is not sent. It leaves out a key
// that is wrong or empty, since an alert too many is better than none.
func (w *work) unless(r *Rule) (keys []string) {
	for _, t := range r.Unless {
		key, err := t.text(w.machine, &w.facts)
		switch {
		case err != nil:
			w.decision.Omitted = append(w.decision.Omitted, ilert.Omission{Field: "unless_open", Reason: "rule " + r.Name + ": " + err.Error()})
		case strings.TrimSpace(key) != "":
			keys = append(keys, key)
		}
	}
	return keys
}

// notWhile returns a part of a sentence that names the alerts while one of which is open an alert is not sent.
func notWhile(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return ", not sent while " + strings.Join(keys, " or ") + " is open"
}
