package alerting

import (
	"github.com/mps-events/mps-events/internal/decision"
)

// maxPage is the number of alerts, and of windows, that one transaction ends because their time or their rule
// has ended. It is small enough that no message waits long for the transaction. A test sets a lower number.
var maxPage = 2000

// plan loads all rows that the effects of messages can touch.
func (w *work) plan(messages []Message) error {
	var k Keys
	var holders []AlertID
	fleet := false
	for i := range messages {
		for _, effect := range messages[i].Decision.Effects {
			w.planEffect(&k, effect)
			holders = append(holders, holdersOf(effect)...)
			hit, is := effect.(decision.Hit)
			fleet = fleet || is && hit.Window.Fleet
		}
	}
	k.dividePages()
	if fleet {
		k.add(w.fleetKeys(messages[len(messages)-1].ReceivedAt))
	}
	if err := w.loadAll(k); err != nil {
		return err
	}
	return w.loadHolders(holders)
}

// planEffect adds the keys of the rows that an effect can touch.
func (w *work) planEffect(k *Keys, effect decision.Effect) {
	switch e := effect.(type) {
	case decision.Raise:
		k.Alerts = appendNew(k.Alerts, idOf(e.Key))
	case decision.Accept:
		k.Alerts = appendNew(k.Alerts, idOf(e.Key))
	case decision.End:
		k.Alerts = appendNew(k.Alerts, idOf(e.Key))
	case decision.EndAll:
		k.Rules = append(k.Rules, RuleQuery{e.Rule, w.lastEpoch() + 1, maxPage})
	case decision.EndPrefix:
		k.Prefixes = append(k.Prefixes, PrefixQuery{Prefix: prefixOf(e.Key)})
	case decision.Send:
		if _, literal := e.IntegrationKey.Literal(); literal {
			k.Proven = append(k.Proven, e.IntegrationKey)
		}
	case decision.Hit:
		k.Groups = appendNew(k.Groups, GroupID{e.Window.Rule, e.Group})
		k.Alerts = appendNew(k.Alerts, idOf(e.Raise.Key))
	case decision.Whole:
		k.Groups = appendNew(k.Groups, GroupID{e.Window.Rule, e.Group})
	case decision.Break:
		k.Groups = appendNew(k.Groups, GroupID{e.Rule, e.Group})
	case decision.Reset:
		k.Groups = appendNew(k.Groups, GroupID{e.Rule, e.Group})
	case decision.Leave:
		k.Groups = appendNew(k.Groups, GroupID{e.Rule, e.Group})
	case decision.Forget:
		k.Groups = appendNew(k.Groups, GroupID{e.Window.Rule, e.Group})
	case decision.Heard:
		w.planAwaited(k, GroupID{e.Absence.Rule, e.Group}, &e.Raise)
	case decision.Dismiss:
		w.planAwaited(k, GroupID{e.Rule, e.Group}, nil)
	}
}

// appendNew appends a key unless it is the last one: messages that follow each other are often about the same rows.
func appendNew[K comparable](keys []K, key K) []K {
	if n := len(keys); n > 0 && keys[n-1] == key {
		return keys
	}
	return append(keys, key)
}

// loadAll loads rows, the rows related to them, and the alerts that may hold an alert.
func (w *work) loadAll(k Keys) error {
	if err := w.loadRelated(k); err != nil {
		return err
	}
	return w.loadHolders(nil)
}

// loadRelated loads rows, and then the rows related to them: the storm of a member, the window of an alert, the alert of
// a window.
func (w *work) loadRelated(k Keys) error {
	for !k.empty() {
		if err := w.load(k); err != nil {
			return err
		}
		k = w.relatedKeys()
	}
	return nil
}

// relatedKeys returns the keys of rows that are related to those of the working set and were not read yet.
func (w *work) relatedKeys() (k Keys) {
	for _, a := range w.rows.Alerts {
		switch {
		case a == nil:
		case a.Storm == InStorm:
			for _, alertKey := range stormKeys(a.Rule) {
				k.Alerts = appendNew(k.Alerts, idOf(decision.Key{Integration: a.ID.Integration, Alert: alertKey}))
			}
		case a.Windowed:
			k.Groups = appendNew(k.Groups, GroupID{a.Rule, a.Group})
		}
	}
	for _, g := range w.rows.Groups {
		if g != nil && g.Alert != (AlertID{}) {
			k.Alerts = append(k.Alerts, g.Alert)
		}
		if g != nil && g.Window.Fleet && !w.fleetLoaded() {
			k.add(w.fleetKeys(g.Latest))
		}
	}
	k.Alerts, k.Groups = unread(k.Alerts, w.rows.Alerts), unread(k.Groups, w.rows.Groups)
	return k
}
