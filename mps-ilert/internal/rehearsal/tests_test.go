package rehearsal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

func TestAnythingThatATestNamesHasToBeSo(t *testing.T) {
	sent := rulefile.Notice{Line: 1, At: time.Minute, Type: "ALERT", Key: "k", Priority: "LOW", Summary: "a b c", Details: "d e f"}
	for _, fulfilled := range []rulefile.Notice{
		sent,
		{At: -1, Type: "ALERT"},
		{At: time.Minute, Type: "ALERT", Summary: "b", Details: "e f"},
	} {
		assert.Empty(t, difference([]rulefile.Notice{fulfilled}, []rulefile.Notice{sent}))
	}
	for name, other := range map[string]rulefile.Notice{
		"earlier":       {At: time.Minute - time.Second, Type: "ALERT"},
		"later":         {At: time.Minute + time.Second, Type: "ALERT"},
		"another type":  {At: -1, Type: "RESOLVE"},
		"another key":   {At: -1, Type: "ALERT", Key: "K"},
		"more urgent":   {At: -1, Type: "ALERT", Priority: "HIGH"},
		"other words":   {At: -1, Type: "ALERT", Summary: "x"},
		"other details": {At: -1, Type: "ALERT", Details: "x"},
	} {
		assert.NotEmpty(t, difference([]rulefile.Notice{other}, []rulefile.Notice{sent}), name)
	}
	assert.NotEmpty(t, difference(nil, []rulefile.Notice{sent}))
	assert.NotEmpty(t, difference([]rulefile.Notice{sent}, nil))
	assert.NotEmpty(t, difference([]rulefile.Notice{sent, sent}, []rulefile.Notice{sent}))
}
