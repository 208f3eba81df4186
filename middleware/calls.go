package middleware

import (
	"reflect"
	"sync"

	"github.com/gin-gonic/gin"
)

// call is an HTTP call of which an emitter has the request event, but not the last one yet.
//
// gin.Engine.HandleContext sends a call through the middlewares again and resets all that its
// gin.Context holds: what tells that it is the same call is the gin.Context itself.
type call struct {
	c       *gin.Context
	emitter Emitter
}

// underWay holds the calls of all engines, for a handler may send its call to another one. Each
// part holds the calls of some of the addresses, which is cheaper than one map.
var underWay [256]callSet

// callSet is a set of calls, with what their handlers have said so far.
type callSet struct {
	mu    sync.Mutex
	calls []callSaid
}

type callSaid struct {
	call
	said said
}

// setOf returns the part of underWay that holds the calls with c.
func setOf(c *gin.Context) *callSet {
	const size = 256 // of a gin.Context, or nearly so: neighbours come into sets of their own
	return &underWay[reflect.ValueOf(c).Pointer()/size%uintptr(len(underWay))]
}

// begin holds k, of which is said what a middleware in front of ours has said. It returns false if
// k is under way already.
func (k call) begin(said said) bool {
	set := setOf(k.c)
	set.mu.Lock()
	defer set.mu.Unlock()
	for i := range set.calls {
		if set.calls[i].call == k {
			return false
		}
	}
	set.calls = append(set.calls, callSaid{k, said})
	return true
}

// end removes k and sets said to what was said of it, unless it was removed before.
func (k call) end(said *said) {
	set := setOf(k.c)
	set.mu.Lock()
	defer set.mu.Unlock()
	for i := range set.calls {
		if set.calls[i].call == k {
			*said = set.calls[i].said
			last := len(set.calls) - 1
			set.calls[i], set.calls[last] = set.calls[last], callSaid{}
			set.calls = set.calls[:last]
			return
		}
	}
}

// change changes what is said of the calls under way with c. It returns false if there are none.
func change(c *gin.Context, by func(*said)) bool {
	set := setOf(c)
	set.mu.Lock()
	defer set.mu.Unlock()
	found := false
	for i := range set.calls {
		if set.calls[i].c == c {
			by(&set.calls[i].said)
			found = true
		}
	}
	return found
}

// comparableEmitter returns emitter, or a pointer to it if Go cannot compare its values.
func comparableEmitter(emitter Emitter) Emitter {
	if reflect.ValueOf(emitter).Comparable() {
		return emitter
	}
	return &struct{ Emitter }{emitter}
}
