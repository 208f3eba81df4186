package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A chaos is a set of two daemons with one broker and one ilert, which has several alert sources. One
// daemon has rules that change, and takes events by HTTP, too; the other one only passes events on.
type chaos struct {
	*plant
	broker        *mosquitto
	proxy         proxy
	ilert         *sources
	rules, passes *restartable
	file          string // of the rules
	posters       sync.WaitGroup
}

// The requests a minute for each integration key: those that a daemon sends, and those that ilert takes.
const (
	chaosRate  = 240
	chaosLimit = chaosRate * 50 / 48
)

// startChaos starts the broker, ilert and the daemons, and returns when the daemons are ready.
func startChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	folder := t.TempDir()
	c := &chaos{
		plant: &plant{
			t: t, random: rand.New(rand.NewPCG(seed, 0)), truth: map[shown]string{}, unknown: map[shown]bool{},
			members: map[string]map[int]bool{}, passed: map[string]int{}, optional: optionalRule{"opt", "team"},
		},
		broker: startMosquitto(t), file: filepath.Join(folder, "rules.yaml"),
		ilert: startSources(t, rand.New(rand.NewPCG(seed, 1)), "cfg", "team", "two", "lit1", "lit2"),
	}
	c.proxy = startProxy(t, c.broker)
	_, port, err := net.SplitHostPort(c.proxy.Listen)
	require.NoError(t, err)
	c.writeRules()
	common := []string{"-m", "127.0.0.1", "-q", port, "--ilert_url", c.ilert.URL, "--heartbeat_url", c.ilert.URL, "-b", "beat", "--rate", strconv.Itoa(chaosRate)}
	c.rules = startRestartable(t, filepath.Join(folder, "rules.db"), []string{"ILERT_INTEGRATION_KEY=key-cfg", "TEAM_KEY=key-team"},
		append(common, "-n", "rules", "--config", c.file)...)
	c.passes = startRestartable(t, filepath.Join(folder, "passes.db"), []string{"ILERT_INTEGRATION_KEY=key-two"},
		append(common, "-n", "passes", "-e", "ilert/+", "-e", "ilert/#")...)
	c.rules.AwaitReady()
	c.passes.AwaitReady()
	c.client = connect(t, c.broker.HostPort(), "plant")
	return c
}

// writeRules replaces the rules file.
func (c *chaos) writeRules() {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(c.file+".new", []byte(c.plant.rules()), 0o600))
	require.NoError(c.t, os.Rename(c.file+".new", c.file))
}

// post posts an event once.
func (c *chaos) post(body []byte) error {
	client := http.Client{Timeout: patience}
	response, err := client.Post(c.rules.url+"/api/events", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

// keepPosting posts events until stop is closed, and each of them until the daemon takes it.
func (c *chaos) keepPosting(stop chan struct{}) {
	for _, source := range posted {
		c.posters.Go(func() {
			for {
				body := c.event(source)
				if !assert.Eventually(c.t, func() bool { return c.post(body) == nil }, patience, 20*time.Millisecond, "the daemon takes no event") {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(3 * time.Minute / chaosRate): // else the daemon would send nothing else
				}
			}
		})
	}
}

// postForeign posts events with integration keys of no alert source. Some look like the names of other
// keys.
func (c *chaos) postForeign() {
	for n := range 20 {
		key := []string{"env:TEAM_KEY", "key:key-cfg", "configured", fmt.Sprint("bogus-", n)}[n%4]
		c.ilert.Expect(key)
		_ = c.post(fmt.Appendf(nil, `{"integrationKey":%q,"eventType":"RESOLVE","alertKey":"dev/%d","summary":"foreign"}`, key, n))
	}
}

// quiesce waits until the daemon has decided about all published messages, once about each.
func (c *chaos) quiesce() {
	c.t.Helper()
	require.EventuallyWithT(c.t, func(t *assert.CollectT) {
		require.Equal(t, c.equal, c.rules.Status(t).Messages["n/+"].Ignored)
	}, patience, 50*time.Millisecond)
}

// reload replaces the optional rule, in one of several ways.
func (c *chaos) reload() {
	quiet := c.random.IntN(2) == 0
	if quiet {
		c.quiesce()
	}
	c.rules.AwaitHealth() // SIGHUP ends a process that is only starting
	began := time.Now()
	c.replaceRule([]optionalRule{{}, {"other", "cfg"}, {"opt", "cfg"}, {"opt", "team"}}[c.random.IntN(4)], quiet)
	if c.random.IntN(4) == 0 {
		require.NoError(c.t, os.WriteFile(c.file, []byte("rules: [{name: half"), 0o600))
		c.rules.Signal(syscall.SIGHUP)
	}
	c.writeRules()
	c.rules.Signal(syscall.SIGHUP)
	if c.random.IntN(2) == 0 {
		time.Sleep(c.moment(30)) // the test kills it at a random moment
		c.rules.Restart()
	}
	require.EventuallyWithT(c.t, func(t *assert.CollectT) {
		status := c.rules.Status(t)
		require.True(t, status.RulesReadAt.After(began))
		require.Empty(t, status.RulesError)
		names := []string{"press-seen", "team-seen", "equal", "hall", "press", "slow", "team"}
		if c.optional.name != "" {
			names = append(names, c.optional.name)
		}
		var inForce []string
		for _, rule := range status.Rules {
			inForce = append(inForce, rule.Name)
		}
		require.ElementsMatch(t, names, inForce)
	}, patience, 20*time.Millisecond)
}

// moment returns a random time below maxMillis milliseconds.
func (c *chaos) moment(maxMillis int) time.Duration {
	return time.Duration(c.random.IntN(maxMillis)) * time.Millisecond
}

// harms holds the faults and changes that happen while messages arrive.
var harms = map[string]func(c *chaos, daemon *restartable){
	"kill": func(c *chaos, daemon *restartable) {
		daemon.now.Kill()
		c.burst(200)
		daemon.Start()
	},
	"stop": func(c *chaos, daemon *restartable) {
		daemon.AwaitHealth()
		daemon.Signal(syscall.SIGTERM)
		c.burst(200)
		require.Zero(c.t, daemon.now.ExitCode())
		daemon.Start()
	},
	"freeze": func(c *chaos, daemon *restartable) {
		daemon.Signal(syscall.SIGSTOP)
		c.burst(300)
		time.Sleep(c.moment(3000))
		daemon.Signal(syscall.SIGCONT)
	},
	"broker": func(c *chaos, daemon *restartable) {
		c.broker.Stop()
		if c.random.IntN(2) == 0 {
			daemon.Restart()
		}
		c.broker.Start()
		c.client = connect(c.t, c.broker.HostPort(), "plant")
	},
	"cut": func(c *chaos, daemon *restartable) {
		c.proxy.add([]string{
			`{"name":"harm","type":"limit_data","stream":"upstream","attributes":{"bytes":801}}`,
			`{"name":"harm","type":"limit_data","stream":"downstream","attributes":{"bytes":5001}}`,
			`{"name":"harm","type":"reset_peer","stream":"downstream","attributes":{"timeout":100}}`,
			`{"name":"harm","type":"timeout","stream":"upstream","attributes":{"timeout":400}}`, // acknowledgements get lost
		}[c.random.IntN(4)])
		c.burst(300)
		time.Sleep(c.moment(1000))
		if c.random.IntN(3) == 0 {
			daemon.Restart()
		}
		c.proxy.remove("harm")
	},
	"reload": func(c *chaos, _ *restartable) { c.reload() },
	"intruder": func(c *chaos, _ *restartable) {
		c.rules.AwaitHealth()
		intruder := startCommand(c.t, "mps-ilert", []string{"ILERT_INTEGRATION_KEY=key-cfg"}, "daemon", "-m", "127.0.0.1", "-q", c.broker.Port(),
			"-n", "intruder", "-e", "a/+", "--preset", "ilagent", "-f", c.rules.store, "--ilert_url", c.ilert.URL)
		assert.Equal(c.t, 1, intruder.ExitCode(), "a second daemon on a store")
		c.postForeign()
	},
	"storm": func(c *chaos, _ *restartable) {
		for dev := range presses {
			c.say("a", dev, "SET")
		}
	},
}

// The test causes faults of all kinds while rules come, go and change their alert source. In the end
// each source shows the truth, and has received no event of another source. The seed decides the order
// of faults and of messages.
func TestEachAlertSourceShowsTheTruthThroughFaultsAndReloads(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := startChaos(t, seed)
	stop := make(chan struct{})
	c.keepPosting(stop)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range harms {
			if !yield(name) || name == "reload" && !yield(name) {
				return
			}
		}
	})
	c.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		t.Log(name)
		c.burst(200)
		harms[name](c, []*restartable{c.rules, c.rules, c.passes}[c.random.IntN(3)])
		c.burst(100)
	}
	close(stop)
	c.ilert.Calm()
	c.posters.Wait()
	c.settle()
	c.quiesce()
	c.awaitTruth()
	c.ilert.CheckPassed(c.passed)
	for _, daemon := range []*restartable{c.rules, c.passes} {
		daemon.AwaitReady()
		daemon.now.Interrupt()
		c.ilert.ForgetPings()
		daemon.Start()
		daemon.AwaitReady()
		require.Eventually(t, c.ilert.Pinged, patience, 20*time.Millisecond, "a heartbeat")
	}
	c.awaitTruth()
	c.ilert.CheckPace(chaosLimit)
	c.rules.now.Interrupt()
	c.passes.now.Interrupt()
}

// awaitTruth waits until each source shows the truth, and until only events with foreign keys wait.
func (c *chaos) awaitTruth() {
	c.t.Helper()
	require.EventuallyWithT(c.t, func(t *assert.CollectT) {
		require.Empty(t, c.ilert.Lies(c.truth))
		for _, daemon := range []*restartable{c.rules, c.passes} {
			status := daemon.Status(t)
			pending := 0
			for _, tally := range status.Messages {
				pending += tally.Pending
			}
			require.Equal(t, status.Unproven.Messages, pending)
		}
	}, 4*patience, 100*time.Millisecond)
}
