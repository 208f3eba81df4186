package fleet_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	story := func(seed uint64) (all []any) {
		f := fleet.New(12, seed)
		life := fleet.NewLife(f, seed)
		for range 200 {
			happened, call, _ := life.Next()
			if d, _ := f.Get(call.GUID); d.Trouble {
				life.Failed(call)
			}
			all = append(all, happened, call, f.List())
		}
		return all
	}
	once, again := story(7), story(7)
	assert.Equal(t, once, again)
	assert.NotEqual(t, once, story(8))
}

func TestEveryTroubleEndsAndIsSeen(t *testing.T) {
	f := fleet.New(12, 1)
	life := fleet.NewLife(f, 1)
	type pair struct {
		guid string
		kind fleet.Kind
	}
	failing := map[pair]bool{}
	var failures, recoveries, away, back int
	for range 1000 {
		happened, call, ok := life.Next()
		require.True(t, ok)
		for _, h := range happened {
			if h.Connected {
				back++
			} else {
				away++
			}
		}
		d, ok := f.Get(call.GUID)
		require.True(t, ok)
		p := pair{call.GUID, call.Kind}
		switch {
		case !d.Connected:
			life.Failed(call)
		case d.Trouble:
			failures++
			failing[p] = true
			life.Failed(call)
		case failing[p]:
			recoveries++
			delete(failing, p)
		}
		troubled := 0
		for _, d := range f.List() {
			if d.Trouble {
				troubled++
			}
		}
		assert.LessOrEqual(t, troubled, 12/5+1)
	}
	assert.Greater(t, failures, 50)
	assert.Greater(t, recoveries, 30)
	assert.LessOrEqual(t, len(failing), 5, "nothing stays open for long")
	assert.InDelta(t, away, back, 1)
}

// An alert that its call has raised ends with the same call's success, also when
// the device goes away in between and in a fleet where chance would take long.
func TestNoAlertStaysOpenForLong(t *testing.T) {
	const most = 60 // a minute at one call a second
	for _, devices := range []int{1, 12, 100} {
		f := fleet.New(devices, 1)
		life := fleet.NewLife(f, 1)
		openSince := map[fleet.Call]int{}
		for step := range 20_000 {
			_, call, ok := life.Next()
			require.True(t, ok)
			d, _ := f.Get(call.GUID)
			since, open := openSince[call]
			switch {
			case d.Connected && !d.Trouble:
				delete(openSince, call)
			case d.Trouble && !open:
				openSince[call] = step
			}
			if !d.Connected || d.Trouble {
				life.Failed(call)
			}
			if open {
				require.LessOrEqual(t, step-since, most, "%d devices", devices)
			}
		}
		for _, since := range openSince {
			require.LessOrEqual(t, 20_000-since, most, "%d devices", devices)
		}
	}
}

func TestAFleetOfNoneAndAGoneDeviceHarmNothing(t *testing.T) {
	life := fleet.NewLife(fleet.New(0, 1), 1)
	for range 100 {
		_, _, ok := life.Next()
		require.False(t, ok)
	}
	f := fleet.New(2, 1)
	life = fleet.NewLife(f, 1)
	for _, d := range f.List() {
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, d.GUID)
		f.Remove(d.GUID)
		for range 40 {
			life.Next()
		}
	}
	assert.Empty(t, f.List())
}
