package fleet_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
)

func newFleet(n int, seed uint64) *fleet.Fleet {
	return fleet.New(fleet.Config{Devices: n, Sites: []string{"Hamburg", "Lyon", "Austin"}, Seed: seed})
}

// step is the time of one step; an hour has twelve.
const step = 5 * time.Minute

func TestTheSameSeedMakesTheSameLife(t *testing.T) {
	lifeOf := func(seed uint64) (all []any) {
		f := newFleet(60, seed)
		life := fleet.NewLife(f, seed, step)
		for range 500 {
			occurrences, calls := life.Next(step)
			for _, c := range calls {
				if d, _ := f.Get(c.GUID); d.Trouble {
					life.Failed(c)
				}
			}
			all = append(all, occurrences, calls, f.List())
		}
		return all
	}
	once, again := lifeOf(7), lifeOf(7)
	assert.Equal(t, once, again)
	assert.NotEqual(t, once, lifeOf(8))
}

func TestSitesBecomeSmallerAndDevicesHaveNames(t *testing.T) {
	f := newFleet(60, 1)
	sites, names := map[string]int{}, map[string]bool{}
	for _, d := range f.List() {
		sites[d.Site]++
		names[d.Hostname] = true
		assert.True(t, strings.HasPrefix(d.Hostname, string(d.Role)+"-"))
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, d.GUID)
	}
	assert.Equal(t, map[string]int{"Hamburg": 40, "Lyon": 14, "Austin": 6}, sites)
	assert.Len(t, names, 60)
	critical, ok := f.Get(f.Critical())
	require.True(t, ok)
	assert.Equal(t, fleet.Kiosk, critical.Role)
	assert.Equal(t, "Austin", critical.Site)
	for n := 1; n < 10; n++ {
		total, connected, failing := newFleet(n, 1).Count()
		assert.Equal(t, []int{n, n, 0}, []int{total, connected, failing})
		assert.NotEmpty(t, newFleet(n, 1).Critical())
	}
}

// Laptops disconnect in the evening and connect in the morning. In the meantime administrators switch
// devices and take over screens, and every trouble ends.
func TestADay(t *testing.T) {
	f := newFleet(60, 1)
	life := fleet.NewLife(f, 1, step)
	counts, calls := map[fleet.OccurrenceKind]int{}, map[string]int{}
	connectedAt := map[int]int{} // hour of the day
	for range 24 * 12 {
		occurrences, made := life.Next(step)
		for _, o := range occurrences {
			counts[o.Kind]++
		}
		for _, c := range made {
			calls[c.Method+" "+strings.TrimSuffix(c.Path, c.GUID)+c.Body]++
		}
		_, connected, failing := f.Count()
		assert.LessOrEqual(t, failing, 2)
		connectedAt[int(life.Clock().Hours())] = connected
	}
	assert.Greater(t, connectedAt[10]-connectedAt[22], 3, "some laptops go home")
	assert.Greater(t, counts[fleet.Connected], 3)
	assert.InDelta(t, counts[fleet.Disconnected], counts[fleet.Connected], 10)
	assert.Positive(t, counts[fleet.SessionStarted])
	assert.Positive(t, calls[`POST /api/v1/amt/power/action/{"action":8}`])
	assert.Positive(t, calls[`POST /api/v1/amt/power/action/{"action":2}`])
	assert.Positive(t, calls[`POST /api/v1/amt/userConsentCode/{"consentCode":"123456"}`])
	assert.Positive(t, calls[`DELETE /api/v1/amt/alarmOccurrences/{"Name":"wake"}`])
	assert.Greater(t, calls["GET /api/v1/amt/power/state/"], 50)
}

// Now and then a laptop gets a new owner: it is deactivated and activated again. Others are replaced: a new
// one is activated, and the record of the old one is deleted. The fleet neither grows nor shrinks.
func TestLaptopsAreActivatedAndDeactivatedInAWeek(t *testing.T) {
	f := newFleet(60, 1)
	life := fleet.NewLife(f, 1, step)
	known, deactivated := map[string]bool{}, map[string]bool{}
	var fresh, again, deleted int
	for _, d := range f.List() {
		known[d.GUID] = true
	}
	for range 7 * 24 * 12 {
		occurrences, calls := life.Next(step)
		for _, o := range occurrences {
			switch {
			case o.Kind != fleet.Activated:
			case deactivated[o.Device.GUID]:
				again++
				delete(deactivated, o.Device.GUID)
			default:
				assert.False(t, known[o.Device.GUID])
				known[o.Device.GUID] = true
				fresh++
			}
		}
		for _, c := range calls {
			d, ok := f.Get(c.GUID)
			switch {
			case c.Method != http.MethodDelete || !ok:
			case strings.HasPrefix(c.Path, "/api/v1/amt/deactivate/"):
				assert.Equal(t, fleet.Office, d.Role)
				assert.Empty(t, deactivated, "one at a time")
				deactivated[d.GUID] = true
				f.Remove(d.GUID)
			case strings.HasPrefix(c.Path, "/api/v1/devices/"):
				assert.False(t, d.Connected)
				deleted++
				f.Remove(d.GUID)
			}
		}
	}
	assert.InDelta(t, 15, again, 7, "one or two a day")
	assert.InDelta(t, 12, fresh, 7, "one or two a day")
	assert.InDelta(t, fresh, deleted, 2)
	assert.InDelta(t, 60, len(f.List()), 2)
	_, ok := f.Get(f.Critical())
	assert.True(t, ok)
}

// However fast the evening passes, and however large the fleet is, fewer devices are away than the rules
// take for an outage.
func TestAnEveningIsNoOutage(t *testing.T) {
	for _, devices := range []int{12, 60, 200, 1000} {
		f := newFleet(devices, 1)
		life := fleet.NewLife(f, 1, time.Hour)
		mostAway := 0
		for range 7 * 24 {
			life.Next(time.Hour)
			total, connected, _ := f.Count()
			mostAway = max(mostAway, total-connected)
		}
		assert.Less(t, mostAway, fleet.OutageOf(devices))
		assert.Positive(t, mostAway)
	}
}

func TestQuietMakesNoTrouble(t *testing.T) {
	f := newFleet(60, 1)
	life := fleet.NewLife(f, 1, step)
	life.SetQuiet(true)
	for range 24 * 12 {
		life.Next(step)
		_, _, failing := f.Count()
		require.Zero(t, failing)
	}
}

func TestChangesReturnsEachChangeOnce(t *testing.T) {
	f := newFleet(3, 1)
	all, gone, version := f.Changes(0)
	assert.Len(t, all, 3)
	assert.Empty(t, gone)
	changed, _, same := f.Changes(version)
	assert.Empty(t, changed)
	assert.Equal(t, version, same)

	guid := all[1].GUID
	before, after, ok := f.Change(guid, func(d *fleet.Device) { d.Connected = false })
	assert.True(t, ok && before.Connected && !after.Connected)
	f.Change(all[0].GUID, func(*fleet.Device) {}) // no change
	f.Remove(all[2].GUID)
	changed, gone, version = f.Changes(version)
	assert.Equal(t, []fleet.Device{after}, changed)
	assert.Equal(t, []string{all[2].GUID}, gone)

	f.Add(all[2])
	changed, gone, _ = f.Changes(version)
	assert.Len(t, changed, 1)
	assert.Empty(t, gone)
	assert.Len(t, f.List(), 3)
}

func TestTheLifeOfAnEmptyFleetGoesOn(t *testing.T) {
	f := newFleet(2, 1)
	life := fleet.NewLife(f, 1, step)
	for _, d := range f.List() {
		f.Remove(d.GUID)
		for range 24 * 12 {
			life.Next(step)
		}
	}
	assert.Empty(t, f.List())
	_, calls := life.Next(step)
	for _, c := range calls {
		_, ok := f.Get(c.GUID)
		assert.False(t, ok)
	}
}
