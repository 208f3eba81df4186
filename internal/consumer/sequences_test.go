package consumer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
)

const (
	aProcess = "AAAAAAAAAAA2"
	bProcess = "BBBBBBBBBBB3"
	aGUID    = "4c4c4544-004b-4210-8033-b6c04f504633"
)

// numbers plays messages of one source to sequences.
type numbers struct {
	t *testing.T
	*sequences
	now     time.Time
	message numbered // the parts that stay the same
	process string
}

// playTo returns a player of the messages of a server that publishes to a topic.
func playTo(t *testing.T, topic string, filters ...string) *numbers {
	t.Helper()
	p := &numbers{t: t, sequences: newSequences("session", 24*time.Hour), now: time.Unix(1e9, 0), process: aProcess}
	p.message = numbered{source: "mps-1", topic: topic, filter: filters[0], link: 1, payload: event.Connected(aGUID).AppendJSON(nil)}
	p.subscribe(filters)
	return p
}

// plays notes the numbers from one to another.
func (p *numbers) plays(from, to uint64) {
	for n := from; n <= to; n++ {
		p.message.id = p.process + "-" + strconv.FormatUint(n, 10)
		p.note(p.message, p.now)
	}
}

// restart goes on with what the store has kept, as another process does.
func (p *numbers) restart() {
	p.t.Helper()
	rows := p.takeUnsaved()
	p.sequences = newSequences(p.session, p.keeps)
	p.subscribe([]string{p.message.filter})
	p.restore(rows, p.now)
	p.message.link++
}

// lost lets time pass and returns the losses to tell of.
func (p *numbers) lost(after time.Duration) (events uint64) {
	p.now = p.now.Add(after)
	for _, l := range p.settle(p.now) {
		assert.Equal(p.t, "mps-1", l.source)
		p.said(l, p.now)
		events += l.events
	}
	return events
}

func TestANumberThatDoesNotComeIsLostAfterAMinute(t *testing.T) {
	p := playTo(t, "mps/events", "mps/events")
	p.plays(1, 3)
	p.plays(5, 5)
	assert.True(t, p.waits())
	assert.Zero(t, p.lost(time.Minute-1))
	assert.EqualValues(t, 1, p.lost(1))
	assert.False(t, p.waits())
	assert.Zero(t, p.lost(lossSilence-2*time.Minute), "it is told of once")
	p.plays(4, 4)
	p.plays(6, 6)
	p.plays(9, 9)
	assert.EqualValues(t, 3, p.lost(time.Minute), "with that of the last hour")
	p.plays(11, 11)
	p.now = p.now.Add(2 * lossSilence)
	p.plays(12, 12)
	assert.EqualValues(t, 1, p.lost(time.Minute), "the alert before has ended")
	assert.Equal(t, []NumberedSource{{Name: "mps-1", Lost: 4, LastLostAt: p.now, Watched: true, HeardAt: p.now.Add(-time.Minute)}}, p.read())
}

func TestNoFalseAlarm(t *testing.T) {
	for name, play := range map[string]func(p *numbers){
		"the consumer comes late": func(p *numbers) { p.plays(1000, 1100) },
		"the order is another": func(p *numbers) {
			for n := uint64(1); n < 100; n += 3 {
				p.plays(n+2, n+2)
				p.plays(n+1, n+1)
				p.plays(n, n)
			}
		},
		"what is missing comes within a minute": func(p *numbers) {
			p.plays(1, 10)
			p.plays(20, 30)
			p.now = p.now.Add(time.Minute - 1)
			p.plays(15, 15)
			p.plays(11, 14)
			p.plays(17, 19)
			p.plays(16, 16)
		},
		"the broker sends again": func(p *numbers) { p.plays(1, 50); p.plays(20, 60); p.plays(1, 60) },
		"the publisher is restarted": func(p *numbers) {
			p.plays(1, 50)
			p.process = bProcess
			p.plays(1, 50) // from the spool, a part may come from the old process
			p.process = aProcess
			p.plays(51, 60)
		},
		"the consumer is restarted":   func(p *numbers) { p.plays(1, 50); p.restart(); p.plays(51, 60) },
		"the consumer is new":         func(p *numbers) { p.plays(1, 50); p.takeUnsaved(); p.restart(); p.plays(70, 90) },
		"another connection at QoS 0": func(p *numbers) { p.message.atMostOnce = true; p.plays(1, 50); p.message.link++; p.plays(70, 90) },
		"a restart at QoS 0":          func(p *numbers) { p.message.atMostOnce = true; p.plays(1, 50); p.restart(); p.plays(70, 90) },
		"the session has ended":       func(p *numbers) { p.plays(1, 50); p.now = p.now.Add(p.keeps + 1); p.restart(); p.plays(70, 90) },
		"another session": func(p *numbers) {
			p.plays(1, 50)
			p.session = "another"
			p.restart()
			p.plays(70, 90)
		},
		"other topics": func(p *numbers) {
			p.plays(1, 50)
			p.subscribe([]string{"mps/events", "more"})
			p.plays(70, 90)
		},
		"other topics after a restart": func(p *numbers) {
			p.plays(1, 50)
			p.message.filter = "mps/+"
			p.restart()
			p.plays(70, 90)
		},
		"a shared subscription": func(p *numbers) {
			p.message.filter = "$share/a/mps/events"
			p.subscribe([]string{p.message.filter})
			p.plays(1, 50)
			p.plays(70, 90)
		},
		"a server without a name": func(p *numbers) { p.message.source = ""; p.plays(1, 50); p.plays(70, 90) },
		"ids of others": func(p *numbers) {
			for _, id := range []string{"", "x", "-", "1", aProcess, aProcess + "-", aProcess + "-0", aProcess + "-01", aProcess + "--1", aProcess + "-1x", "aaaaaaaaaaa2-1", aProcess + "x-1", aProcess + "-99999999999999999999", aProcess[1:] + "-1", "é" + aProcess[2:] + "-1"} {
				p.message.id = id
				p.note(p.message, p.now)
			}
			assert.Empty(p.t, p.read())
		},
		"a number beyond belief": func(p *numbers) { p.plays(1, 50); p.plays(math.MaxInt64, math.MaxInt64); p.plays(51, 60) },
	} {
		t.Run(name, func(t *testing.T) {
			p := playTo(t, "mps/events", "mps/events")
			play(p)
			assert.Zero(t, p.lost(time.Minute))
			assert.Zero(t, p.lost(time.Hour))
			for _, source := range p.read() {
				assert.Zero(t, source.Lost)
			}
		})
	}
}

func TestAGapOverARestartOfTheConsumerIsALoss(t *testing.T) {
	p := playTo(t, "mps/events", "mps/events")
	p.plays(1, 10)
	p.plays(12, 13)
	p.now = p.now.Add(time.Hour)
	p.restart()
	assert.Zero(t, p.lost(time.Second), "the missing number may still come")
	p.plays(14, 1000)
	p.plays(10_000, 10_001)
	assert.EqualValues(t, 1+8999, p.lost(time.Minute))
	p.restart()
	assert.Zero(t, p.lost(time.Hour))
	assert.EqualValues(t, 9000, p.read()[0].Lost)
}

// The topics tell whether only a part of them is subscribed to.
func TestAPartOfTheTopicsLosesNothing(t *testing.T) {
	const tree = "mps/events/{guid}/{method}"
	for name, c := range map[string]struct {
		template string
		filters  []string
		part     bool
	}{
		"one topic":                     {"mps/events", []string{"mps/events"}, false},
		"one topic by a wildcard":       {"mps/events", []string{"mps/#"}, false},
		"a type in the name of a topic": {"mps/requests", []string{"mps/requests"}, false},
		"the whole tree":                {tree, []string{"mps/events/#"}, false},
		"all of its levels":             {tree, []string{"+/events/+/+"}, false},
		"the tree and a part":           {tree, []string{"mps/events/+/AMT_PowerState", "mps/#"}, false},
		"one method":                    {tree, []string{"mps/events/+/AMT_PowerState"}, true},
		"two methods":                   {tree, []string{"mps/events/+/AMT_PowerState", "mps/events/+/AMT_Version"}, true},
		"one device":                    {tree, []string{"mps/events/" + aGUID + "/#"}, true},
		"a type":                        {"mps/{type}/events", []string{"mps/fail/events"}, true},
		"a part of a level":             {"mps/events/x-{method}", []string{"mps/events/x-AMT_PowerState"}, true},
		"no device":                     {"mps/{guid}", []string{"mps/none"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			p := playTo(t, "", c.filters...)
			for n := uint64(1); n <= 3000; n++ {
				guid := []string{aGUID, "5c4c4544-004b-4210-8033-b6c04f504633", ""}[random.IntN(3)]
				method := []string{"AMT_PowerState", "AMT_Version", "AMT_AuditLog"}[random.IntN(3)]
				typ := []event.Type{event.Request, event.Success, event.Fail}[random.IntN(3)]
				if n > 1000 && n < 1300 { // all that comes, for a while
					guid, method, typ = aGUID, "AMT_PowerState", event.Fail
					if name == "no device" {
						guid = ""
					}
				}
				p.message.topic = topicOf(c.template, guid, method, string(typ))
				p.message.payload = event.Event{Type: typ, Methods: []string{method}, GUID: guid}.AppendJSON(nil)
				if matched, wanted := filterOf(c.filters, p.message.topic); wanted && n != 2000 {
					p.message.filter = matched
					p.plays(n, n)
				}
			}
			want := uint64(1)
			if c.part {
				want = 0
			}
			assert.Equal(t, want, p.lost(time.Minute))
			assert.Equal(t, !c.part, p.read()[0].Watched)
		})
	}
}

func topicOf(template, guid, method, typ string) string {
	if guid == "" {
		guid = "none"
	}
	topic := ""
	for i := 0; i < len(template); i++ {
		rest := template[i:]
		for _, part := range [][2]string{{"{guid}", guid}, {"{method}", method}, {"{type}", typ}} {
			if len(rest) >= len(part[0]) && rest[:len(part[0])] == part[0] {
				topic, i = topic+part[1], i+len(part[0])
				break
			}
		}
		if i < len(template) {
			topic += template[i : i+1]
		}
	}
	return topic
}

// An access rule of the broker, or a bridge, may keep a part of a tree from us.
func TestAShareThatIsMissingFromTheStartIsNoLoss(t *testing.T) {
	p := playTo(t, "mps/events/"+aGUID, "mps/events/#")
	for n := uint64(1); n < 5000; n += 10 {
		p.plays(n, n+8)
		p.now = p.now.Add(time.Second)
		assert.Zero(t, p.lost(0))
	}
	assert.False(t, p.read()[0].Watched)
	p.plays(5001, 6001)
	p.plays(6003, 6003)
	assert.EqualValues(t, 1, p.lost(time.Hour), "so many came meanwhile")
	assert.True(t, p.read()[0].Watched)
}

func TestMemoryIsBounded(t *testing.T) {
	p := playTo(t, "mps/events", "mps/events")
	p.plays(1, 10)
	for n := uint64(12); n < 10_012; n += 2 {
		p.plays(n, n)
	}
	one := p.heard.Front().Value.(*sequence)
	assert.Len(t, one.Missing, maxMissing)
	assert.EqualValues(t, 5000-maxMissing, p.lost(0), "the first are given up early")
	for range 3 * maxMissingInAll / maxMissing {
		p.process = randomProcess()
		for n := uint64(1); n < 2*maxMissing; n += 2 {
			p.plays(n, n)
		}
		sum := 0
		for one := range p.missing {
			sum += len(one.Missing)
		}
		require.Equal(t, p.ranges, sum)
		require.LessOrEqual(t, sum, maxMissingInAll)
	}
	p.takeUnsaved()
	for range 10 * maxSequences {
		p.process = randomProcess()
		p.plays(1, 1)
	}
	assert.Len(t, p.all, maxSequences)
	assert.Equal(t, maxSequences, p.heard.Len())
	assert.Empty(t, p.missing)
	assert.Zero(t, p.ranges)
	assert.Len(t, p.sources, 1)
	for _, row := range p.takeUnsaved() {
		assert.Nil(t, row.State, "a name that is heard once costs no row")
	}
	for n := range 2 * maxSequences {
		p.message.source = "mps-" + strconv.Itoa(n)
		p.plays(1, 2)
	}
	assert.Len(t, p.sources, maxSequences)
	assert.Len(t, p.takeUnsaved(), 2*maxSequences, "half of them are forgotten")
}

func randomProcess() string {
	name := make([]byte, 12)
	for i := range name {
		name[i] = byte('A' + rand.IntN(26))
	}
	return string(name)
}

// Whatever the order, and however often a number comes, those that do not come are lost, and no others.
func TestWhateverTheOrderTheLostAreCounted(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := playTo(t, "mps/events", "mps/events")
		const n = 2000
		var want uint64
		var order []uint64
		for number := uint64(1); number <= n; number++ {
			switch {
			case number > 1 && number < n && random.IntN(100) == 0:
				want++
			case random.IntN(10) == 0:
				order = append(order, number, number)
			default:
				order = append(order, number)
			}
		}
		for at := 1; at+20 < len(order); at += 20 { // but the first and the last one move by some places
			part := order[at : at+20]
			random.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		}
		for _, number := range order {
			p.plays(number, number)
			if random.IntN(400) == 0 {
				state := p.heard.Front().Value.(*sequence)
				state.Subscription = p.subscription // as the row has it
				text, err := json.Marshal(state)
				require.NoError(t, err)
				p.restart()
				again, err := json.Marshal(p.heard.Front().Value)
				require.NoError(t, err)
				require.JSONEq(t, string(text), string(again))
			}
			p.now = p.now.Add(time.Second)
			p.settle(p.now)
		}
		p.lost(time.Hour)
		require.Equal(t, want, p.read()[0].Lost, "seed %d", seed)
	}
}

// BenchmarkNote measures what a message costs beside all that is done for it, which is 25 µs and more.
func BenchmarkNote(b *testing.B) {
	s := newSequences("session", time.Hour)
	s.subscribe([]string{"mps/events"})
	m := numbered{source: "mps-1", topic: "mps/events", filter: "mps/events", payload: event.Connected(aGUID).AppendJSON(nil)}
	now := time.Now()
	ids := make([]string, maxBatch)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%maxBatch == 0 {
			b.StopTimer()
			for i := range ids {
				ids[i] = aProcess + "-" + strconv.Itoa(n+i+1)
			}
			b.StartTimer()
			s.subscribe([]string{"mps/events"})
			s.takeUnsaved()
		}
		m.id = ids[n%maxBatch]
		s.note(m, now)
	}
}
