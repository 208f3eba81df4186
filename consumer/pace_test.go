package consumer

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/store"
)

var noon = time.UnixMilli(1795348800000)

func TestNoMinuteSeesMoreRequestsThanItsRateAndNoMomentMoreThanABurst(t *testing.T) {
	p := newPace(defaultRate)
	var sent []time.Time
	for now := noon; now.Before(noon.Add(5 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if now.After(noon.Add(3*time.Minute)) && now.Before(noon.Add(4*time.Minute)) {
			continue // nothing waits
		}
		b := p.budget("", now)
		require.LessOrEqual(t, b.Any, mostBurst)
		for range b.Any {
			p.take("", now)
			p.answered("", nil, now)
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

func TestTheTimeToAskAgainIsWhenThereIsMore(t *testing.T) {
	p := newPace(defaultRate)
	now := noon
	for range 200 {
		b := p.budget("", now)
		for range b.Any {
			p.take("", now)
			p.answered("", nil, now)
		}
		next := p.budget("", now)
		require.Zero(t, next.Any)
		require.Zero(t, p.budget("", next.Again.Add(-10*time.Millisecond)).Any, "not before")
		now = next.Again
		require.Positive(t, p.budget("", now).Any)
	}
}

func TestSomeRequestsAreKeptForWhatEndsAlertsOrSpeaksForMany(t *testing.T) {
	p := newPace(defaultRate)
	b := p.budget("", noon)
	assert.Equal(t, 10, b.Any)
	assert.Equal(t, 7, b.Singles)
	for range b.Singles {
		p.take("", noon)
	}
	b = p.budget("", noon)
	assert.Equal(t, 3, b.Any)
	assert.Equal(t, 0, b.Singles)
	assert.Equal(t, 1, newPace(1).budget("", noon).Singles, "of one a minute none can be kept")
}

func TestAKeyThatIlertRefusesIsProbedNowAndThen(t *testing.T) {
	p, now := newPace(-1), noon
	forbidden := &ilert.Error{Class: ilert.Operator, Err: errors.New("ilert answered 403")}
	require.Equal(t, mostUnderWay, p.budget("wrong", now).Any)
	for range 3 { // were out at the same time
		p.take("wrong", now)
	}
	p.answered("wrong", forbidden, now)
	p.answered("wrong", forbidden, now)
	p.answered("wrong", forbidden, now)
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		b := p.budget("wrong", now)
		assert.Equal(t, store.Budget{Again: b.Again}, b)
		if wait > time.Minute {
			assert.Equal(t, wait, b.Again.Sub(now))
		}
		now = b.Again
		assert.Equal(t, store.Budget{Any: 1, Singles: 1}, p.budget("wrong", now))
		p.take("wrong", now)
		assert.Equal(t, store.Budget{}, p.budget("wrong", now), "one at a time")
		p.answered("wrong", forbidden, now)
		assert.Equal(t, mostUnderWay, p.budget("right", now).Any, "another key is none of it")
	}
	p.retry()
	assert.Equal(t, 1, p.budget("wrong", now).Any, "an operator says that it is mended")
	p.take("wrong", now)
	p.answered("wrong", nil, now)
	assert.Equal(t, mostUnderWay, p.budget("wrong", now).Any, "it is")
}

func TestIlertMayAskAKeyToWait(t *testing.T) {
	for name, c := range map[string]struct {
		answer      ilert.Error
		least, most time.Duration
	}{
		"as long as it says":    {ilert.Error{RetryAfter: 30 * time.Second}, 30 * time.Second, 30 * time.Second},
		"for a year":            {ilert.Error{RetryAfter: 365 * 24 * time.Hour}, mostAsked, mostAsked},
		"and not say how long":  {ilert.Error{TooMany: true}, time.Second, 5 * time.Second},
		"or be out of order":    {ilert.Error{Uncertain: true}, 0, 0},
		"or find nothing wrong": {ilert.Error{Class: ilert.Invalid}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPace(defaultRate)
			p.take("k", noon)
			p.answered("k", &c.answer, noon)
			b := p.budget("k", noon)
			if c.most == 0 {
				assert.Equal(t, 9, b.Any)
				return
			}
			assert.Zero(t, b.Any)
			assert.GreaterOrEqual(t, b.Again.Sub(noon), c.least)
			assert.LessOrEqual(t, b.Again.Sub(noon), c.most)
			assert.Equal(t, 10, p.budget("other", noon).Any)
		})
	}
}

func TestKeysThatAreAtRestAreForgotten(t *testing.T) {
	p := newPace(defaultRate)
	for n := range 10_000 {
		key, now := string(rune(n)), noon.Add(time.Duration(n)*time.Second)
		p.take(key, now)
		p.answered(key, nil, now)
	}
	assert.Less(t, len(p.keys), 2000)
}
