package journal_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/journal"
)

func TestLinesForAFullDiskAreDropped(t *testing.T) {
	failures := make(chan error, 1)
	j := open(t, journal.Config{Path: "/dev/full", Size: 10, Keep: 1, Failed: func(err error, _ int) { failures <- err }})
	j.Add(entry{N: 1})
	assert.ErrorContains(t, <-failures, "no space left on device")
	_, dropped := j.Counts()
	assert.EqualValues(t, 1, dropped)
}
