package rules

import (
	"slices"

	"github.com/mps-events/mps-events/internal/decision"
)

// claim is the last effect on an alert of the first rule that has one.
type claim struct {
	place int
	is    keyed
}

// keyed is the kind of an effect that names an alert.
type keyed int

const (
	none keyed = iota
	raising
	accepting
	ending
)

// keyedBy returns the alert that an effect names, as ilert compares keys. Hits name none: they
// count whatever becomes of the alert.
func keyedBy(effect decision.Effect) (decision.Key, keyed) {
	switch e := effect.(type) {
	case decision.Raise:
		return e.Key.Folded(), raising
	case decision.Accept:
		return e.Key.Folded(), accepting
	case decision.End:
		if !e.Waiting { // such an end is no decision about an alert that ilert knows
			return e.Key.Folded(), ending
		}
	}
	return decision.Key{}, none
}

// maxOverruled limits the list of overruled effects, which people read.
const maxOverruled = 100

// overrule removes the effects on each alert but those of the first rule in the file that has one.
// Rules are independent, so one message may have contrary effects, of which only one can be meant.
func (w *work) overrule(rules []*Rule) {
	if !w.contested() {
		return
	}
	first := map[decision.Key]claim{}
	for i, effect := range w.decision.Effects {
		key, is := keyedBy(effect)
		if was, claimed := first[key]; is != none && (!claimed || w.places[i] <= was.place) {
			first[key] = claim{w.places[i], is}
		}
	}
	kept := w.decision.Effects[:0]
	for i, effect := range w.decision.Effects {
		key, is := keyedBy(effect)
		by := first[key]
		if is == none || by.place == w.places[i] {
			kept = append(kept, effect)
			continue
		}
		o := decision.Overruled{Rule: rules[w.places[i]].Name, By: rules[by.place].Name, Key: key}
		sameWish := is == by.is && is != raising
		if !sameWish && len(w.decision.Overruled) < maxOverruled && !slices.Contains(w.decision.Overruled, o) {
			w.decision.Overruled = append(w.decision.Overruled, o)
		}
	}
	w.decision.Effects = kept
}

// contested reports whether effects of different rules name alerts.
func (w *work) contested() bool {
	place := -1
	for i, effect := range w.decision.Effects {
		switch effect.(type) {
		case decision.Raise, decision.Accept, decision.End:
			if place >= 0 && place != w.places[i] {
				return true
			}
			place = w.places[i]
		}
	}
	return false
}
