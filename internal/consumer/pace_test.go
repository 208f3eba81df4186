package consumer

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

var noon = time.UnixMilli(1795348800000)

var configured ilert.IntegrationKey

func TestNoMinuteSeesMoreRequestsThanItsRateAndNoMomentMoreThanABurst(t *testing.T) {
	p := newPace(defaultRate)
	var sent []time.Time
	for now := noon; now.Before(noon.Add(5 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if now.After(noon.Add(3*time.Minute)) && now.Before(noon.Add(4*time.Minute)) {
			continue // nothing waits
		}
		b := p.budget(configured, now)
		require.LessOrEqual(t, b.Any, maxBurst)
		for range b.Any {
			p.take(configured, now)
			p.answered(configured, nil, now)
			sent = append(sent, now)
		}
	}
	for i := range sent {
		if i+defaultRate < len(sent) {
			require.GreaterOrEqual(t, sent[i+defaultRate].Sub(sent[i]), time.Minute)
		}
	}
	assert.GreaterOrEqual(t, len(sent), 4*defaultRate, "and it is made use of")
}

// A request reaches ilert some time between its start and its answer, for instance because the process
// was frozen meanwhile.
func TestNoMinuteSeesMoreRequestsThanItsRateHoweverLongTheyTake(t *testing.T) {
	p := newPace(defaultRate)
	var arrived []time.Time
	answers := map[time.Time]int{}
	for now := noon; now.Before(noon.Add(10 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		for range answers[now] {
			p.answered(configured, nil, now)
			arrived = append(arrived, now)
		}
		for range p.budget(configured, now).Any {
			p.take(configured, now)
			slow := 0
			if now.Sub(noon)%(2*time.Minute) < 30*time.Second {
				slow = 5
			}
			answers[now.Add(time.Duration(slow)*time.Second+100*time.Millisecond)]++
		}
	}
	for i := range arrived {
		if i+defaultRate < len(arrived) {
			require.GreaterOrEqual(t, arrived[i+defaultRate].Sub(arrived[i]), time.Minute)
		}
	}
	assert.Greater(t, len(arrived), 9*defaultRate, "and it is made use of")
}

func TestTheTimeToAskAgainIsWhenThereIsMore(t *testing.T) {
	p := newPace(defaultRate)
	now := noon
	for range 200 {
		b := p.budget(configured, now)
		for range b.Any {
			p.take(configured, now)
			p.answered(configured, nil, now)
		}
		next := p.budget(configured, now)
		require.Zero(t, next.Any)
		require.Zero(t, p.budget(configured, next.Again.Add(-10*time.Millisecond)).Any, "not before")
		now = next.Again
		require.Positive(t, p.budget(configured, now).Any)
	}
}

func TestSomeRequestsAreKeptForWhatEndsAlertsOrSpeaksForMany(t *testing.T) {
	p := newPace(defaultRate)
	b := p.budget(configured, noon)
	assert.Equal(t, 10, b.Any)
	assert.Equal(t, 7, b.Singles)
	for range b.Singles {
		p.take(configured, noon)
	}
	b = p.budget(configured, noon)
	assert.Equal(t, 3, b.Any)
	assert.Equal(t, 0, b.Singles)
	assert.Equal(t, 1, newPace(1).budget(configured, noon).Singles, "of one a minute none can be kept")
}

func TestAKeyThatIlertRefusesIsProbedNowAndThen(t *testing.T) {
	p, now := newPace(-1), noon
	forbidden := &ilert.Error{Class: ilert.Operator, Err: errors.New("ilert answered 403")}
	require.Equal(t, maxUnderWay, p.budget(ilert.LiteralKey("wrong"), now).Any)
	for range 3 { // were out at the same time
		p.take(ilert.LiteralKey("wrong"), now)
	}
	p.answered(ilert.LiteralKey("wrong"), forbidden, now)
	p.answered(ilert.LiteralKey("wrong"), forbidden, now)
	p.answered(ilert.LiteralKey("wrong"), forbidden, now)
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		b := p.budget(ilert.LiteralKey("wrong"), now)
		assert.Equal(t, alerting.Budget{Again: b.Again}, b)
		if wait > time.Minute {
			assert.Equal(t, wait, b.Again.Sub(now))
		}
		now = b.Again
		assert.Equal(t, alerting.Budget{Any: 1, Singles: 1}, p.budget(ilert.LiteralKey("wrong"), now))
		p.take(ilert.LiteralKey("wrong"), now)
		assert.Equal(t, alerting.Budget{}, p.budget(ilert.LiteralKey("wrong"), now), "one at a time")
		p.answered(ilert.LiteralKey("wrong"), forbidden, now)
		assert.Equal(t, maxUnderWay, p.budget(ilert.LiteralKey("right"), now).Any, "another key is none of it")
	}
	p.retry()
	assert.Equal(t, 1, p.budget(ilert.LiteralKey("wrong"), now).Any, "an operator says that it is mended")
	p.take(ilert.LiteralKey("wrong"), now)
	p.answered(ilert.LiteralKey("wrong"), nil, now)
	assert.Equal(t, maxUnderWay, p.budget(ilert.LiteralKey("wrong"), now).Any, "it is")
}

func TestIlertMayAskAKeyToWait(t *testing.T) {
	for name, c := range map[string]struct {
		answer         ilert.Error
		least, longest time.Duration
	}{
		"as long as it says":    {ilert.Error{RetryAfter: 30 * time.Second}, 30 * time.Second, 30 * time.Second},
		"for a year":            {ilert.Error{RetryAfter: 365 * 24 * time.Hour}, maxAsked, maxAsked},
		"and not say how long":  {ilert.Error{TooMany: true}, time.Second, 5 * time.Second},
		"or be out of order":    {ilert.Error{Uncertain: true}, 0, 0},
		"or find nothing wrong": {ilert.Error{Class: ilert.Invalid}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPace(defaultRate)
			p.take(ilert.LiteralKey("k"), noon)
			p.answered(ilert.LiteralKey("k"), &c.answer, noon)
			b := p.budget(ilert.LiteralKey("k"), noon)
			if c.longest == 0 {
				assert.Equal(t, 9, b.Any)
				return
			}
			assert.Zero(t, b.Any)
			assert.GreaterOrEqual(t, b.Again.Sub(noon), c.least)
			assert.LessOrEqual(t, b.Again.Sub(noon), c.longest)
			assert.Equal(t, 10, p.budget(ilert.LiteralKey("other"), noon).Any)
		})
	}
}

func TestKeysThatAreAtRestAreForgotten(t *testing.T) {
	p := newPace(defaultRate)
	for n := range 10_000 {
		key, now := ilert.LiteralKey(string(rune(n))), noon.Add(time.Duration(n)*time.Second)
		p.take(key, now)
		p.answered(key, nil, now)
	}
	assert.Less(t, len(p.keys), 2000)
}

func TestAKeyThatIlertHasNeverTakenIsProbedSeldom(t *testing.T) {
	p, now := newPace(defaultRate), noon
	key := ilert.LiteralKey("made up")
	forbidden := &ilert.Error{Class: ilert.Operator, Err: errors.New("ilert answered 403")}
	var longest time.Duration
	for range 12 {
		p.take(key, now)
		p.distrust(key, now)
		p.answered(key, forbidden, now)
		again := p.budget(key, now).Again
		longest, now = again.Sub(now), again
	}
	assert.Equal(t, time.Hour, longest)
}

func TestKeysThatIlertRefusesAreForgottenOnceNothingWaits(t *testing.T) {
	p := newPace(defaultRate)
	forbidden := &ilert.Error{Class: ilert.Operator, Err: errors.New("ilert answered 403")}
	for n := range 10_000 {
		key, now := ilert.LiteralKey(string(rune(n))), noon.Add(time.Duration(n)*time.Second)
		p.take(key, now)
		p.distrust(key, now)
		p.answered(key, forbidden, now)
	}
	assert.Less(t, len(p.keys), 3000)
}

// Anybody can make up keys, and ilert may refuse them faster than their waits end.
func TestKeysThatWereNeverTakenDoNotFillTheMemory(t *testing.T) {
	p := newPace(defaultRate)
	refuse := func(key ilert.IntegrationKey) {
		p.budget(key, noon)
		p.take(key, noon)
		if key != configured {
			p.distrust(key, noon)
		}
		p.answered(key, &ilert.Error{Class: ilert.Operator}, noon)
	}
	refuse(configured)
	for n := range 5 * maxBuckets {
		refuse(ilert.LiteralKey(strconv.Itoa(n)))
		require.LessOrEqual(t, len(p.keys), 2*maxBuckets+1000)
	}
	assert.Equal(t, noon.Add(firstProbe), p.budget(configured, noon).Again, "ours waits on")
}

// An alert that comes and goes lets a refused key be tried each time, but no more often than
// any other.
func TestARefusedKeyThatIsReleasedKeepsItsRate(t *testing.T) {
	p, sent := newPace(defaultRate), 0
	refused := &ilert.Error{Class: ilert.Operator, Err: errors.New("401")}
	for now := noon; now.Before(noon.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
		for range p.budget(configured, now).Any {
			p.take(configured, now)
			p.answered(configured, refused, now)
			sent++
		}
		p.release(configured)
	}
	assert.LessOrEqual(t, sent, defaultRate)
	assert.Greater(t, sent, maxBurst)
}
