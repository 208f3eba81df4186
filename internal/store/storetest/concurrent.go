package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

var concurrentTests = []test{testTheMethodsMayBeCalledConcurrently}

// busyBatch returns a batch of one of two publishers.
func busyBatch(who, n int, now time.Time) (batch []alerting.Message) {
	w := &decision.Window{Rule: "w", Condition: decision.Condition{Length: time.Hour, Distinct: 3}, Held: true}
	for i := range 30 {
		name := fmt.Sprint(i * n % 40)
		group := fmt.Sprint(i % 5)
		r := of(doors, name, "LOW")
		m := message(r, decision.Hit{Window: w, Group: group, Member: name, Raise: of(third, "w"+group, "LOW")},
			decision.Send{IntegrationKey: ilert.LiteralKey(group), Path: ilert.EventsPath, Event: r.Event})
		switch i {
		case 3:
			m = dead("t", "no JSON")
		case 4:
			m = message(decision.EndAll{Rule: "r"}, decision.Leave{Rule: "w", Group: "1", Member: name})
		case 5:
			m = message(decision.End{Key: r.Key}, decision.Reset{Rule: "w", Group: "2"})
		}
		m.Filter, m.ReceivedAt, m.Decision.Device, m.Fingerprint = filter, now, name, uint64(who<<32|n<<16|i+1)
		m.Delivery = alerting.Delivery{Link: 1, PacketID: uint16(i + 1), Print: uint64(n*i + 1), Subscription: uint32(who + 1)}
		batch = append(batch, m)
	}
	return batch
}

func answersTo(notices []alerting.Notice, now time.Time, result func(i int) alerting.Result) (answers []alerting.Answer) {
	for i, n := range notices {
		answers = append(answers, alerting.Answer{Notice: n, Result: result(i), At: now, Retry: now.Add(time.Second), Hold: now, Reason: "no"})
	}
	return answers
}

// reviveAll takes in the dead letters that are to be retried.
func reviveAll(ctx context.Context, e *alerting.Engine, now time.Time) error {
	letters, err := e.ToRetry(ctx, 10)
	var revivals []alerting.Revival
	for _, l := range letters {
		revivals = append(revivals, alerting.Revival{Letter: l, Message: raise("again")})
	}
	return errors.Join(err, e.Revive(ctx, now, revivals))
}

// All methods are called at the same time. Each message has one fate all the same, and all alerts end with their rules.
func testTheMethodsMayBeCalledConcurrently(t *testing.T, open opener) {
	b := open(t)
	b.bound(func(all *alerting.Bounds) { all.Letters, all.Waiting, all.Devices = 50, 50, 50 })
	ctx, e := context.Background(), b.Engine
	now := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	calls := []func(n int) error{
		func(n int) error { return e.Apply(ctx, busyBatch(0, n, now(n))) },
		func(n int) error { return e.Apply(ctx, busyBatch(1, n, now(n))) },
		func(n int) error { _, err := e.Tidy(ctx, now(n)); return err },
		func(n int) error {
			_, err := e.Retain(ctx, now(n), map[string]ilert.IntegrationKey{"w": third, "r": []ilert.IntegrationKey{doors, third}[n%2]})
			return err
		},
		func(n int) error { _, err := e.Status(ctx, now(n)); return err },
		func(n int) error { _, err := e.Alerts(ctx, now(n), "", 100); return err },
		func(int) error { _, _, err := e.Counted(ctx, "w", "1"); return err },
		func(int) error { _, _, err := e.NextDue(ctx); return err },
		func(int) error { _, err := e.AskToRetry(ctx, alerting.LetterQuery{}); return err },
		func(n int) error { return reviveAll(ctx, e, now(n)) },
		func(int) error {
			e.Confirm(e.Receipts(), 1, false)
			e.Paces(start)
			e.Overflow()
			e.EndSession(1)
			return nil
		},
	}
	for range 2 {
		calls = append(calls, func(n int) error {
			notices, err := e.Claim(ctx, now(n), 20, func(ilert.IntegrationKey) alerting.Budget {
				return alerting.Budget{Any: 10, Singles: 7, Minute: 20, Kept: true, Again: now(n)}
			})
			return errors.Join(err, e.Settle(ctx, answersTo(notices, now(n), func(i int) alerting.Result { return alerting.Result(i * n % 4) })))
		})
	}
	var all sync.WaitGroup
	for _, call := range calls {
		all.Go(func() {
			for n := range 30 {
				assert.NoError(t, call(n))
			}
		})
	}
	all.Wait()
	b.check()
	b.now = now(99)
	_, err := e.Retain(ctx, b.now, nil)
	require.NoError(t, err)
	for range 100 {
		notices, err := e.Claim(ctx, b.now, 100, alerting.Unlimited)
		require.NoError(t, err)
		require.NoError(t, e.Settle(ctx, answersTo(notices, b.now, func(int) alerting.Result { return alerting.Taken })))
	}
	for key, state := range b.states() {
		assert.Equal(t, alerting.StateRefused, state, key)
	}
}
