package rules

import (
	"slices"
	"sync"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/openamt"
)

// knownMethods returns the methods of all events that MPS, RPS, Console and the middleware
// publish.
var knownMethods = sync.OnceValue(func() []string {
	all := []string{openamt.DeviceNotFound.Method, "logKvmCloseSource"}
	for _, e := range []event.Event{
		event.Connected(""), event.Disconnected("", ""), event.Activated("", ""), event.ActivationFailed("", ""),
		event.RedirectionStarted(""), event.RedirectionEnded(""), event.Added(""), event.Removed(""), event.Deactivated(""), event.PowerChanged(""),
	} {
		all = append(all, e.Methods...)
	}
	for r := range openamt.Routes() {
		for _, call := range []openamt.Call{r.Words(), r.MPSWords()} {
			all = append(all, call.Request.Method, call.Success.Method, call.Fail.Method, call.Error.Method)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
})

// nearMethod returns ", did you mean ...?" if a name resembles a known method. It returns "" for
// short names, which resemble many, because servers have methods of their own.
func nearMethod(name string) string {
	const minLength = 6
	if len(name) < minLength || slices.Contains(knownMethods(), name) {
		return ""
	}
	return Suggestion(name, knownMethods())
}
