package middleware

import (
	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// said holds what the handlers of a call say about its events.
type said struct {
	outcome event.Outcome
	message string
	guid    string
	actor   string
}

type saidKey struct{}

// SetOutcome says how the call has ended, whatever HTTP status its answer has: a device
// that refuses inside a 200 is event.OutcomeDevice, a database that is down behind a 400 is
// event.OutcomeServer. With event.OutcomeOK the last event is a success, else a fail. The last of
// several calls holds; "" and what is no outcome leave it to the status. A panic is the
// server's fault all the same, unless a gin.Recovery inside the middleware hides it.
//
// Like SetMessage, SetGUID and SetActor it is for the call's own goroutine, before the
// handlers return. It does nothing where the call makes no events, and nothing to the
// call's events if c is a copy that gin.Context.Copy has made. A middleware in front of ours may
// call it too.
func SetOutcome(c *gin.Context, outcome event.Outcome) {
	say(c, func(s *said) { s.outcome = known(outcome) })
}

// SetMessage gives the last event of the call, success or fail, a message of its own,
// such as "Link Preference set to ME" where the table, which knows only the path, has
// to end with "set to ". "" leaves the table's. One of more than 512 bytes is shortened.
// Mind what it is made of: it goes to everyone who may read the broker's topic.
func SetMessage(c *gin.Context, message string) {
	say(c, func(s *said) { s.message = message })
}

// SetGUID names the device in the last event of the call where the path does not, as
// in POST /api/v1/devices, whose body has the guid. "" leaves the path's. One of more than
// 256 bytes is shortened.
func SetGUID(c *gin.Context, guid string) {
	say(c, func(s *said) { s.guid = guid })
}

// SetActor names the person or client who makes the call, in the last event, and in the
// request event too if a middleware before ours calls it. It needs no option and comes before what the
// function of WithActor says; "" leaves it to that. Characters that cannot be printed become
// "?", and a name of more than 256 bytes is shortened. The name goes to everyone who may
// read the broker's topic: give no token, and mind what the law says of personal data.
func SetActor(c *gin.Context, actor string) {
	say(c, func(s *said) { s.actor = actor })
}

// say changes what is said of the call of c. It is kept with c itself before the call's events
// begin, and of a copy.
func say(c *gin.Context, by func(*said)) {
	if change(c, by) {
		return
	}
	s := saidBefore(c)
	by(&s)
	c.Set(saidKey{}, s) // a value: copies of c share it
}

// saidBefore returns what was said before the call's events began, without an allocation.
func saidBefore(c *gin.Context) said {
	if s, ok := c.Get(saidKey{}); ok {
		return s.(said)
	}
	return said{}
}
