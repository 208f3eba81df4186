package alerting

import (
	"slices"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
)

// All alerts of an integration key whose keys begin with a text may end at once, whichever rules have raised them. As
// with the alerts of a rule, a RuleEnd stands for those that do not fit into the first page. Its pages follow each
// other in the order of the keys.

// PrefixQuery is the question for the alerts whose identities begin with a prefix.
type PrefixQuery struct {
	Prefix AlertID
	From   string // only folded keys behind this one; empty: all
	Limit  int
}

// PrefixPage is the answer to a PrefixQuery.
type PrefixPage struct {
	Alerts []AlertID // in the order of their folded keys; the alerts are in Rows.Alerts, too
	Full   bool      // there may be more
}

// HasPrefix reports whether an alert has the integration key of a prefix, and a folded key that begins with its own.
func (id AlertID) HasPrefix(prefix AlertID) bool {
	return id.Integration == prefix.Integration && strings.HasPrefix(id.Folded, prefix.Folded)
}

// prefixOf returns the prefix of the identities of alerts whose keys begin with the text of a key.
func prefixOf(k decision.Key) AlertID {
	return AlertID{k.Integration, strings.ToLower(strings.TrimLeft(k.Alert, " \t\r\n"))}
}

// minFirstPage is the least number of alerts that one of many prefixes in a batch ends in its first page.
const minFirstPage = 16

// dividePages divides a page among the prefixes of a batch, since a transaction must not become long.
func (k *Keys) dividePages() {
	n := map[AlertID]struct{}{}
	for _, q := range k.Prefixes {
		n[q.Prefix] = struct{}{}
	}
	for i := range k.Prefixes {
		k.Prefixes[i].Limit = max(maxPage/len(n), min(maxPage, minFirstPage))
	}
}

// endPrefix ends the first page of the alerts whose keys begin with a text, and adds a RuleEnd if others are left.
func (w *work) endPrefix(key decision.Key, o *origin) {
	prefix := prefixOf(key)
	page, read := w.rows.Prefixes[prefix]
	if !read {
		panic(missing{Keys{Prefixes: []PrefixQuery{{Prefix: prefix, Limit: maxPage}}}})
	}
	var open, ended []AlertID
	for id, a := range w.rows.Alerts { // those of the page, and what this transaction has raised
		switch {
		case a == nil || a.Storm == IsStorm || !id.HasPrefix(prefix):
		case a.open():
			open = append(open, id)
		default:
			ended = append(ended, id)
		}
	}
	slices.SortFunc(open, compareIDs) // the message waits with the first of them
	o.by = ByPrefix
	for _, id := range slices.Concat(open, ended) {
		w.endByID(id, o)
	}
	o.by = ""
	if page.Full {
		end := o.ruleEnd()
		end.Prefix, end.From = &prefix, page.last()
		w.addEnd(end)
	}
}

func (p *PrefixPage) last() string { return p.Alerts[len(p.Alerts)-1].Folded }

// endPrefixPage ends the next page of the alerts of a prefix, and reports whether others may be left.
func (w *work) endPrefixPage(end *RuleEnd, now time.Time) (more bool) {
	page := w.rows.Prefixes[*end.Prefix]
	for _, id := range page.Alerts {
		w.endWithRule(id, now)
	}
	if page.Full {
		end.From = page.last()
		w.changes.RuleEnds = append(w.changes.RuleEnds, *end)
		for i := range w.ends {
			if w.ends[i].Epoch == end.Epoch {
				w.ends[i] = *end
			}
		}
	}
	return page.Full
}
