package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ruleEndTests = []test{testAStormOfARuleThatHasEndedIsNeverSent}

// A rule with more alerts than a page ends while they wait for the first notice of their storm.
func testAStormOfARuleThatHasEndedIsNeverSent(t *testing.T, open opener) {
	b := open(t)
	b.fails("r", 0, 4500)
	_, err := b.Retain(t.Context(), b.now, nil)
	require.NoError(t, err)
	for range 10 {
		assert.Empty(t, b.passes())
	}
	assert.EqualValues(t, 4500, b.tally().Merged)
	assert.EqualValues(t, -1, b.next())
}
