package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

// A model of ilert is told whatever the store wants it to be told, with every
// kind of answer, in random order; when the dust settles it knows what is true.
func TestIlertEndsWithTheTruth(t *testing.T) {
	const keys, steps = 5, 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b := open(t)
	failing, open := map[string]bool{}, map[string]bool{}
	var underWay []store.Notice
	arrive := func(n store.Notice) { open[n.Event.AlertKey] = n.Event.EventType == ilert.Alert }
	for range steps {
		b.now = b.now.Add(time.Duration(r.IntN(10)) * time.Minute)
		switch r.IntN(4) {
		case 0, 1:
			k := fmt.Sprint(r.IntN(keys))
			failing[k] = r.IntN(2) == 0
			if failing[k] {
				b.apply(raise(k))
			} else {
				b.apply(end(k))
			}
		case 2:
			underWay = append(underWay, b.claim()...)
		case 3:
			if len(underWay) == 0 {
				continue
			}
			n := underWay[0]
			underWay = underWay[1:]
			result := []store.Result{store.Told, store.Unknown, store.NotTold}[r.IntN(3)]
			if result == store.Told || result == store.Unknown && r.IntN(2) == 0 {
				arrive(n)
			}
			b.settle(n, result)
		}
	}
	for _, n := range underWay {
		b.settle(n, store.Unknown)
	}
	for notices := b.claim(); len(notices) > 0; notices = b.claim() {
		for _, n := range notices {
			arrive(n)
			b.settle(n, store.Told)
		}
	}
	for k := range keys {
		assert.Equal(t, failing[fmt.Sprint(k)], open[fmt.Sprint(k)], "key %d", k)
	}
	assert.Zero(t, b.tally().Pending)
}
