package middleware

import (
	"reflect"
	"sync"

	"github.com/gin-gonic/gin"
)

// call is an HTTP call of which an emitter has the request event, but not the last one yet.
//
// gin.Engine.HandleContext sends a call through the middlewares again and resets all values in
// its gin.Context: only the address of the gin.Context shows that it is the same call.
type call struct {
	c       *gin.Context
	emitter Emitter
}

// underWay holds the calls of all engines, because a handler may send its call to another engine.
// Each set holds the calls of some addresses, which is cheaper than one map.
var underWay [256]callSet

// callSet is a set of calls with the overrides that their handlers have set so far.
type callSet struct {
	mu    sync.Mutex
	calls []openCall
}

// openCall is a call under way with its overrides.
type openCall struct {
	call
	overrides overrides
}

// setOf returns the set in underWay that holds the calls with c.
func setOf(c *gin.Context) *callSet {
	const size = 256 // about the size of a gin.Context, so that neighbours are in different sets
	return &underWay[reflect.ValueOf(c).Pointer()/size%uintptr(len(underWay))]
}

// begin adds k to the calls under way, with the overrides that a middleware before this one has
// set. It returns false if k is under way already.
func (k call) begin(overrides overrides) bool {
	set := setOf(k.c)
	set.mu.Lock()
	defer set.mu.Unlock()
	for i := range set.calls {
		if set.calls[i].call == k {
			return false
		}
	}
	set.calls = append(set.calls, openCall{k, overrides})
	return true
}

// end removes k from the calls under way and sets o to its overrides, unless it was removed
// before.
func (k call) end(o *overrides) {
	set := setOf(k.c)
	set.mu.Lock()
	defer set.mu.Unlock()
	for i := range set.calls {
		if set.calls[i].call == k {
			*o = set.calls[i].overrides
			last := len(set.calls) - 1
			set.calls[i], set.calls[last] = set.calls[last], openCall{}
			set.calls = set.calls[:last]
			return
		}
	}
}

// change changes the overrides of the calls under way with c. It returns false if there are none.
func change(c *gin.Context, by func(*overrides)) bool {
	set := setOf(c)
	set.mu.Lock()
	defer set.mu.Unlock()
	found := false
	for i := range set.calls {
		if set.calls[i].c == c {
			by(&set.calls[i].overrides)
			found = true
		}
	}
	return found
}

// comparableEmitter returns emitter, or a pointer to it if Go cannot compare values of its type.
func comparableEmitter(emitter Emitter) Emitter {
	if reflect.ValueOf(emitter).Comparable() {
		return emitter
	}
	return &struct{ Emitter }{emitter}
}
