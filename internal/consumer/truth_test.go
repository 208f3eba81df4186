package consumer_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/ilertsim"
)

// truthRules raise an alert for each burning room and each open door. That of a door has LOW priority.
const truthRules = `
rules:
  - {name: fire, topics: fire/+, when: msg.on, raise: {key: "{topic}", summary: fire, priority: HIGH}, ends: {when: not msg.on}}
  - {name: open, topics: door/+, integration_key: {env: DOORS_KEY}, when: msg.on, raise: {key: "{topic}", summary: open, priority: LOW}, repeat: 1s, ends: {when: not msg.on}}
`

// rooms is the number of rooms, and that of doors.
const rooms = 40

// truth is the set of alerts that should be open at ilert, with a source of random faults and acts of people.
type truth struct {
	*looking
	random *rand.Rand
	client *paho.Client
	rate   int             // of the consumer until ilert and people rest; -1: no limit
	sent   uint64          // messages
	open   map[string]bool // by topic, which is the alert key
	byHand map[string]bool // topics of alerts that a person has closed since they became true

	mu     sync.Mutex
	fates  *rand.Rand // decides the answers of ilert; nil: it is well
	answer map[string]int
}

// The test lets rooms burn and doors open at random, while ilert drops events with 202, fails and is in maintenance,
// people close and accept alerts, and the consumer restarts. When that is over, ilert shows the truth: with an API key
// after some looks, without one after the interval of repeats. The seed decides on what happens, though not on when.
// CHAOS_SEED sets it, and CHAOS_ROUNDS lets the test go on for longer.
func TestIlertShowsTheTruthInTheEnd(t *testing.T) {
	seed, rounds := rand.Uint64(), 1
	if more, err := strconv.Atoi(os.Getenv("CHAOS_ROUNDS")); err == nil {
		rounds = more
	}
	if again, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("CHAOS_SEED=%d", seed)
	for name, v := range map[string]struct {
		key  string
		rate int
	}{"with an API key": {apiKey, -1}, "by repeats": {"", -1}, "storms with an API key": {apiKey, 30}, "storms by repeats": {"", 30}} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(l *looking) {
				l.stop()
				l.config.RulesFiles, l.config.IlertAPIKey = []string{rulesFile(t, truthRules)}, v.key
				if v.key == "" {
					l.config.Repeat = time.Second
				}
				c := &truth{
					looking: l, random: rand.New(rand.NewPCG(seed, 0)), client: brokertest.Connect(t, l.broker.Addr(), nil),
					rate: v.rate, open: map[string]bool{}, byHand: map[string]bool{}, answer: map[string]int{},
				}
				for round := range rounds {
					c.play(rand.New(rand.NewPCG(seed, uint64(round+1))))
					c.settle(round)
				}
				t.Log(c.answer)
			})
		})
	}
}

// restart restarts the consumer when it has received all messages: the embedded broker sends those of a second again in
// any order.
func (c *truth) restart(rate int) {
	require.Eventually(c.t, func() bool {
		received := uint64(0)
		for _, m := range c.Status(c.t.Context()).Messages {
			received += m.Received - m.Duplicate
		}
		return received >= c.sent
	}, brokertest.Wait, 5*time.Millisecond)
	c.stop()
	c.config.Rate = rate
	c.sim.SetAnswer(nil) // a refusal before ProbeAfter would hold the key for a minute
	c.start()
	c.ProbeAfter(10 * time.Millisecond)
}

// play lets a number of things happen in a random order.
func (c *truth) play(fates *rand.Rand) {
	c.fates = fates
	c.restart(c.rate)
	c.sim.SetAnswer(c.decide)
	for range 120 {
		switch n := c.random.IntN(40); {
		case n == 0:
			c.restart(c.rate)
			c.sim.SetAnswer(c.decide)
		case n == 16 && c.rate > 0: // more than are sent in a minute
			for room := range rooms {
				c.message(fmt.Sprint("fire/", room), true)
			}
		case n <= 2:
			c.setState(ilertsim.Maintenance)
		case n <= 3 && c.config.IlertAPIKey != "": // it ignores ends too, which nobody repeats
			c.setState(ilertsim.Disabled)
		case n <= 8:
			c.setState(ilertsim.Active)
		case n <= 12:
			c.actByHand()
		case n <= 15:
			c.LookSoon()
		default:
			c.message(fmt.Sprintf("%s/%d", []string{"fire", "door"}[c.random.IntN(2)], c.random.IntN(rooms)), c.random.IntN(2) == 0)
		}
		time.Sleep(time.Duration(c.random.IntN(20)) * time.Millisecond) // waits for nothing
	}
}

func (c *truth) setState(state ilertsim.State) {
	c.sim.SetState(state, []string{secret, "doors"}[c.random.IntN(2)])
}

func (c *truth) message(topic string, on bool) {
	_, err := c.client.Publish(c.t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: fmt.Appendf(nil, `{"on":%v}`, on)})
	require.NoError(c.t, err)
	c.sent++
	c.open[topic] = on
	if !on {
		delete(c.byHand, topic)
	}
}

// actByHand accepts or closes a random alert as a person does.
func (c *truth) actByHand() {
	all := c.shown()
	if len(all) == 0 {
		return
	}
	a := all[c.random.IntN(len(all))]
	if c.random.IntN(2) == 0 {
		_ = c.sim.Accept(a.ID) // fails if it has just ended
	} else if c.sim.Resolve(a.ID) == nil {
		for _, topic := range topicsOf(a) {
			c.byHand[topic] = true
		}
	}
}

// topicsOf returns the topics of an alert: those that the notices of a storm have listed, or its own.
func topicsOf(a ilertsim.Alert) (topics []string) {
	if !strings.HasPrefix(a.AlertKey, "storm/") {
		return []string{a.AlertKey}
	}
	for _, e := range a.Log {
		topics = append(topics, strings.Split(e.Details, "\n")...)
	}
	return topics
}

// decide returns a random answer to a request.
func (c *truth) decide(r ilertsim.Request) ilertsim.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	isEvent := r.Method == http.MethodPost
	fate, answer := "as ilert", ilertsim.Answer{}
	switch n := c.fates.IntN(20); {
	case n <= 2:
		fate, answer.Status = "fails", []int{500, 503, 429, 403}[c.fates.IntN(4)]
	case n == 3:
		fate, answer = "cut before it is taken", ilertsim.Answer{Drop: isEvent, Reset: true}
	case n == 4:
		fate, answer.Reset = "cut after it is taken", true
	case n == 5:
		fate, answer.Delay = "slow", 50*time.Millisecond
	case n <= 8 && isEvent && (r.Event.EventType == "ALERT" || c.config.IlertAPIKey != ""): // nobody repeats ends
		fate, answer.Drop = "dropped", true
	}
	c.answer[cmp.Or(map[bool]string{true: "event "}[isEvent], "list ")+fate]++
	return answer
}

// settle ends all faults, and waits until ilert shows the truth.
func (c *truth) settle(round int) {
	c.sim.SetState(ilertsim.Active)
	c.sim.SetAnswer(nil)
	if c.rate > 0 {
		c.restart(-1)
	}
	began, asked := time.Now(), len(c.sim.Requests())
	var after time.Duration
	isFalse := func() string { return c.differences(c.config.IlertAPIKey != "") }
	for rest := 0; rest < 25; rest++ { // it stays true
		if isFalse() != "" {
			require.Less(c.t, time.Since(began), 3*brokertest.Wait, "round %d: %s\nstatus %+v\n%s", round, isFalse(), c.status(), c.log)
			rest, after = 0, time.Since(began).Round(time.Millisecond)
		}
		c.LookSoon()
		time.Sleep(20 * time.Millisecond)
	}
	if c.config.IlertAPIKey != "" {
		c.until("the status says so", func() bool { return (c.status().True == "yes") == (c.differences(false) == "") })
	}
	var keys []string
	for _, a := range c.shown() {
		keys = append(keys, a.AlertKey)
	}
	c.t.Logf("round %d: true after %v; %d requests; %v", round, after, len(c.sim.Requests())-asked, keys)
}

func (c *truth) shown() []ilertsim.Alert {
	return slices.Concat(c.sim.Open(secret), c.sim.Open("doors"))
}

// differences returns the differences between what ilert shows and the truth. An alert that a person has closed may stay
// closed if inPeace: with an API key it does for the interval of repeats, which is hours.
func (c *truth) differences(inPeace bool) string {
	alone, listed := map[string]bool{}, map[string]bool{}
	var differences []string
	shown := c.shown()
	for _, a := range shown {
		if topics := topicsOf(a); len(topics) == 1 && topics[0] == a.AlertKey {
			alone[a.AlertKey] = true
		} else {
			for _, topic := range topics {
				listed[topic] = true
			}
		}
	}
	for _, a := range shown {
		if !slices.ContainsFunc(topicsOf(a), func(topic string) bool { return c.open[topic] }) {
			differences = append(differences, a.AlertKey+" should not be open")
		}
	}
	for topic, open := range c.open {
		if open && !alone[topic] && !listed[topic] && (!inPeace || !c.byHand[topic]) {
			differences = append(differences, topic+" should be open")
		}
	}
	slices.Sort(differences)
	return strings.Join(differences, ", ")
}
