package days

import (
	"container/heap"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/decision"
)

// world is the simulation that makes the messages of a day.
type world struct {
	day       Day
	rng       *rand.Rand
	now       time.Time
	queue     jobs
	jobNumber int
	yield     func(Message) bool
	stopped   bool // the reader wants no more messages

	devices []*device
	servers []*server
	holiday map[string]bool                 // local dates on which nobody works
	fault   func(*device, *server) *failure // the way in which a call fails, or nil
	// replaces makes some devices be replaced each day. It is for long days alone: a page for that would hide
	// what another day is about.
	replaces bool
	known    map[string]forms // the words of calls

	brokerGone  bool      // servers keep their events, and nothing arrives
	unreachable []Message // the messages that wait for that
}

// job is a function that runs at a time.
type job struct {
	at     time.Time
	number int // jobs of the same time run in the order in which they were added
	do     func()
}

// jobs is a heap of jobs, the first on top.
type jobs []job

// Len returns the number of jobs.
func (j jobs) Len() int { return len(j) }

// Less reports whether one job is before another.
func (j jobs) Less(a, b int) bool {
	if j[a].at.Equal(j[b].at) {
		return j[a].number < j[b].number
	}
	return j[a].at.Before(j[b].at)
}

// Swap exchanges two jobs.
func (j jobs) Swap(a, b int) { j[a], j[b] = j[b], j[a] }

// Push adds a job at the end.
func (j *jobs) Push(x any) { *j = append(*j, x.(job)) }

// Pop removes the last job.
func (j *jobs) Pop() any {
	last := (*j)[len(*j)-1]
	*j = (*j)[:len(*j)-1]
	return last
}

// newWorld returns a world of three sites and two servers in the week from Monday, the second of March, to
// Thursday noon. Kinds change what they need otherwise.
func newWorld(kind string, size int, p Publisher, seed uint64) *world {
	w := &world{
		day: Day{Kind: kind, Size: size, Publisher: p, Start: march(2, 0, 0), End: march(5, 14, 0)},
		rng: rand.New(rand.NewPCG(seed, uint64(size))), holiday: map[string]bool{}, known: map[string]forms{},
	}
	w.servers = []*server{{name: "mps-1", up: true}, {name: "mps-2", up: true}}
	w.devices = newDevices(size)
	return w
}

// begin schedules ordinary life.
func (w *world) begin() {
	w.at(w.day.Start, func() {
		for _, s := range w.servers {
			w.status(s.name, "online", false)
		}
		for _, d := range w.devices {
			if d.habit == always {
				w.in(w.upTo(20*time.Minute), func() { w.turnOn(d) })
			}
		}
	})
	for midnight := w.day.Start; midnight.Before(w.day.End); {
		w.at(midnight, func() { w.liveADay(midnight) })
		l := Local(midnight)
		midnight = march(l.Day()+1, 0, 0)
	}
}

// run runs all jobs up to the end of the day.
func (w *world) run(yield func(Message) bool) {
	w.yield = yield
	for len(w.queue) > 0 && !w.stopped {
		next := heap.Pop(&w.queue).(job)
		if next.at.After(w.day.End) {
			return
		}
		w.now = next.at
		next.do()
	}
}

// at schedules a function at a time. It leaves out what would have been earlier than now.
func (w *world) at(t time.Time, do func()) {
	if t.Before(w.now) {
		return
	}
	w.jobNumber++
	heap.Push(&w.queue, job{t, w.jobNumber, do})
}

// in schedules a function after a while.
func (w *world) in(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// every calls a function from one time to another at an interval.
func (w *world) every(from, until time.Time, interval time.Duration, do func()) {
	for t := from; t.Before(until); t = t.Add(interval) {
		w.at(t, do)
	}
}

// upTo returns a random duration below d.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// between returns a random duration.
func (w *world) between(shortest, longest time.Duration) time.Duration {
	return shortest + w.upTo(longest-shortest)
}

// chance reports true with a probability.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// want adds a page that is wanted.
func (w *world) want(p Page) { w.day.Want = append(w.day.Want, p) }

// wantIfShown adds a page that is wanted of servers that publish disconnected devices. Node's MPS does not, so
// its page is optional.
func (w *world) wantIfShown(p Page) {
	p.Optional = p.Optional || w.day.Publisher == Node
	w.want(p)
}

// server is a server with MPS or Console.
type server struct {
	name   string
	up     bool
	behind time.Duration // of its clock
	ids    int           // number of events
}

// publish publishes an event of a server, if that is there.
func (w *world) publish(s *server, e event.Event) { w.publishTo("mps/events", s, e) }

// publishTo publishes an event to a topic. Servers that use the middleware have only one topic.
func (w *world) publishTo(topic string, s *server, e event.Event) {
	if !s.up {
		return
	}
	e.Timestamp = w.now.Add(-s.behind).UnixMilli()
	m := decision.Message{Topic: topic}
	if w.day.Publisher == Middleware {
		m.Topic = "mps/events"
		s.ids++
		m.Properties = []decision.Property{{Key: "id", Value: s.name + "-x7-" + strconv.Itoa(s.ids)}, {Key: "source", Value: s.name}}
		if e.Outcome != "" {
			m.Properties = append(m.Properties, decision.Property{Key: "outcome", Value: string(e.Outcome)})
		}
		if e.HTTPStatus != 0 {
			m.Properties = append(m.Properties, decision.Property{Key: "httpstatus", Value: strconv.Itoa(e.HTTPStatus)})
		}
	}
	m.Payload = e.AppendJSON(nil)
	w.emit(m)
}

// status publishes the retained status of a server, which Node's MPS does not have.
func (w *world) status(name, status string, planned bool) {
	if w.day.Publisher == Node {
		return
	}
	payload := `{"status":"` + status + `","planned":` + strconv.FormatBool(planned) + `,"timestamp":` + strconv.FormatInt(w.now.UnixMilli(), 10) + "}"
	w.emit(decision.Message{Topic: "mps/status/" + name, Payload: []byte(payload)})
}

// emit makes a message arrive.
func (w *world) emit(m decision.Message) {
	switch {
	case w.brokerGone:
		w.unreachable = append(w.unreachable, Message{Message: m})
	case !w.stopped:
		w.stopped = !w.yield(Message{w.now, m})
	}
}

// silence begins a time in which the consumer receives nothing.
func (w *world) silence(d time.Duration) {
	w.brokerGone = true
	w.in(d, w.flush)
}

// flush ends a silence: all messages that have waited arrive at once.
func (w *world) flush() {
	w.brokerGone = false
	for _, m := range w.unreachable {
		w.emit(m.Message)
	}
	w.unreachable = nil
}

// gap marks a time in which the consumer has no connection to the broker.
func (w *world) gap(from time.Time, d time.Duration) {
	w.day.Gaps = append(w.day.Gaps, Gap{from, from.Add(d)})
}
