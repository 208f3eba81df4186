package middleware

import (
	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// overrides holds the values that the handlers of a call have set for its events.
type overrides struct {
	outcome event.Outcome
	message string
	guid    string
	actor   string
}

// overridesKey is the key of the overrides in a gin.Context.
type overridesKey struct{}

// SetOutcome sets the outcome of the call, whatever HTTP status its answer has: a device
// that refuses inside a 200 is event.OutcomeDevice, a database that is down behind a 400 is
// event.OutcomeServer. With event.OutcomeOK the last event is a success, else a fail. The last
// SetOutcome of a call wins; "" or an unknown outcome lets the status decide. After a panic the
// outcome is event.OutcomeServer all the same, unless a gin.Recovery inside the middleware hides
// the panic.
//
// Call SetOutcome, SetMessage, SetGUID and SetActor from the goroutine of the call, before its
// handlers return. They have no effect if the call makes no events, or if c is a copy that
// gin.Context.Copy has made. A middleware before this one may call them too.
func SetOutcome(c *gin.Context, outcome event.Outcome) {
	override(c, func(o *overrides) { o.outcome = known(outcome) })
}

// SetMessage sets the message of the last event of the call, success or fail, such as "Link
// Preference set to ME", where the table, which knows only the path, ends with "set to ". "" keeps
// the table's message. A message of more than 512 bytes is shortened. Take care what you put into
// it: everyone who may read the broker's topic sees it.
func SetMessage(c *gin.Context, message string) {
	override(c, func(o *overrides) { o.message = message })
}

// SetGUID sets the guid of the last event of the call if the path has none, as
// in POST /api/v1/devices, whose body has the guid. "" keeps the guid of the path. A guid of more
// than 256 bytes is shortened.
func SetGUID(c *gin.Context, guid string) {
	override(c, func(o *overrides) { o.guid = guid })
}

// SetActor sets the name of the person or client who makes the call, in the last event, and in
// the request event too if a middleware before this one calls it. It needs no option and has
// precedence over the function of WithActor; "" lets that function decide. Characters that cannot
// be printed become "?", and a name of more than 256 bytes is shortened. Everyone who may read
// the broker's topic sees the name: pass no token, and mind the laws about personal data.
func SetActor(c *gin.Context, actor string) {
	override(c, func(o *overrides) { o.actor = actor })
}

// override changes the overrides of the call of c. Before the events of the call begin, and for a
// copy of c, it keeps them in c.
func override(c *gin.Context, by func(*overrides)) {
	if change(c, by) {
		return
	}
	o := earlyOverrides(c)
	by(&o)
	c.Set(overridesKey{}, o) // a value, because copies of c share it
}

// earlyOverrides returns the overrides that were set before the events of the call began. It does
// not allocate.
func earlyOverrides(c *gin.Context) overrides {
	if o, ok := c.Get(overridesKey{}); ok {
		return o.(overrides)
	}
	return overrides{}
}
