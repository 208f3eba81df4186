package middleware

import (
	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/event"
)

// said is what the handlers of a call say about its last event.
type said struct {
	outcome event.Outcome
	message string
	guid    string
}

type saidKey struct{}

// SetOutcome says how the call has ended, whatever HTTP status its answer has: a device
// that refuses inside a 200 is event.OutcomeDevice, a database that is down behind a 400 is
// event.OutcomeServer. With event.OutcomeOK the last event is a success, else a fail. The last of
// several calls holds; "" and what is no outcome leave it to the status. A panic is the
// server's fault all the same, unless a gin.Recovery inside the middleware hides it.
//
// Like SetMessage and SetGUID it is for the call's own goroutine, before the handlers
// return, and does nothing where the call makes no events.
func SetOutcome(c *gin.Context, outcome event.Outcome) { toSay(c).outcome = known(outcome) }

// SetMessage gives the last event of the call, success or fail, a message of its own,
// such as "Link Preference set to ME" where the table, which knows only the path, has
// to end with "set to ". "" leaves the table's. Mind what it is made of: it goes to
// everyone who may read the broker's topic.
func SetMessage(c *gin.Context, message string) { toSay(c).message = message }

// SetGUID names the device in the last event of the call where the path does not, as
// in POST /api/v1/devices, whose body has the guid.
func SetGUID(c *gin.Context, guid string) { toSay(c).guid = guid }

func toSay(c *gin.Context) *said {
	if s, ok := c.Get(saidKey{}); ok {
		return s.(*said)
	}
	s := new(said)
	c.Set(saidKey{}, s)
	return s
}

// saidIn returns what was said, without an allocation if nothing was.
func saidIn(c *gin.Context) said {
	if s, ok := c.Get(saidKey{}); ok {
		return *s.(*said)
	}
	return said{}
}
