package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
)

var redeliveryTests = []test{
	testARedeliveryIsADuplicateOnlyOfItself,
	testWhatTheBrokerCanNotSendAgainIsForgotten,
	testWhatIsConfirmedTakesNoRoomOnDisk,
	testCopiesOfAMessageHaveOneEffect,
	testADeliveryThatWasNotStoredIsNone,
}

const (
	opened = iota + 100 // the prints of two contents
	closed
)

// sent returns a message as the broker sends it by the first link.
func sent(packetID uint16, content uint64) alerting.Message {
	return alerting.Message{Delivery: alerting.Delivery{Link: 1, PacketID: packetID, Print: content}}
}

// again returns a message that the broker sends by a later link and marks as sent before.
func again(packetID uint16, content uint64) alerting.Message {
	m := sent(packetID, content)
	m.Delivery.Link, m.Delivery.Again = 2, true
	return m
}

// bySubscription returns a message with the subscription by which it comes.
func bySubscription(subscription uint32, m alerting.Message) alerting.Message {
	m.Delivery.Subscription = subscription
	return m
}

func (b *book) useSession(name string) {
	b.t.Helper()
	require.NoError(b.t, b.UseSession(b.t.Context(), name))
}

func testARedeliveryIsADuplicateOnlyOfItself(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		before []alerting.Message
		comes  alerting.Message
		want   uint64
	}{
		"itself":                               {[]alerting.Message{sent(1, opened)}, again(1, opened), 1},
		"itself, not marked as sent before":    {[]alerting.Message{sent(1, opened)}, sent(1, opened), 0},
		"the same under another identifier":    {[]alerting.Message{sent(1, opened), sent(2, closed)}, again(3, opened), 0},
		"another under the same identifier":    {[]alerting.Message{sent(1, opened)}, again(1, closed), 0},
		"the identifier was another's since":   {[]alerting.Message{sent(1, opened), sent(1, closed)}, again(1, opened), 0},
		"one that is not stored":               {nil, again(1, opened), 0},
		"one of QoS 0 stands in no one's way":  {[]alerting.Message{sent(1, opened), sent(0, opened)}, again(1, opened), 1},
		"one of QoS 0 is no redelivery":        {[]alerting.Message{sent(0, opened)}, again(0, opened), 0},
		"both times it was marked as repeated": {[]alerting.Message{again(1, opened)}, again(1, opened), 1},
	} {
		for where, between := range map[string]func(*book){
			"in the same process": func(*book) {},
			"in the next process": func(b *book) { b.restart(); b.useSession("s") },
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				b := open(t)
				b.useSession("s")
				b.apply(c.before...)
				between(b)
				b.apply(c.comes)
				assert.Equal(t, c.want, b.tally().Duplicate)
				b.apply(again(c.comes.Delivery.PacketID, c.comes.Delivery.Print))
				if c.comes.Delivery.PacketID != 0 {
					assert.Equal(t, c.want+1, b.tally().Duplicate, "now it is stored")
				}
			})
		}
		t.Run(name+" in one transaction", func(t *testing.T) {
			b := open(t)
			b.apply(append(c.before, c.comes)...)
			assert.Equal(t, c.want, b.tally().Duplicate)
		})
	}
}

func testWhatTheBrokerCanNotSendAgainIsForgotten(t *testing.T, open opener) {
	for name, c := range map[string]struct {
		then func(*book)
		want uint64
	}{
		"the broker has read the acknowledgement":    {func(b *book) { b.Confirm(b.Receipts(), 1, false) }, 0},
		"the broker has nothing more to send":        {func(b *book) { b.Confirm(b.Receipts(), 7, true) }, 0},
		"it has read acknowledgements of a later":    {func(b *book) { b.Confirm(b.Receipts(), 2, false) }, 1},
		"it has read acknowledgements of an earlier": {func(b *book) { b.Confirm(b.Receipts()-1, 1, true) }, 1},
		"a new session":        {func(b *book) { b.EndSession(2) }, 0},
		"another session":      {func(b *book) { b.restart(); b.useSession("other") }, 0},
		"nothing has happened": {func(*book) {}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.useSession("s")
			b.apply(sent(1, opened))
			c.then(b)
			b.apply(again(1, opened))
			assert.Equal(t, c.want, b.tally().Duplicate)
		})
	}
	t.Run("what a link brings that the session has outlived", func(t *testing.T) {
		b := open(t)
		b.EndSession(2)
		b.apply(sent(1, opened), again(1, opened))
		assert.Zero(t, b.tally().Duplicate)
	})
}

func testWhatIsConfirmedTakesNoRoomOnDisk(t *testing.T, open opener) {
	b := open(t)
	b.useSession("s")
	for range 10 {
		b.apply(sent(1, opened), sent(2, closed))
		b.Confirm(b.Receipts(), 1, false)
	}
	for range 10 { // the broker confirms none of these
		b.apply(sent(3, opened), sent(4, closed), sent(0, closed))
	}
	b.apply(sent(5, opened))
	assert.Len(t, b.memory().Receipts, 2)
}

// The broker may send a message that matches two subscriptions once for each.
func testCopiesOfAMessageHaveOneEffect(t *testing.T, open opener) {
	a, b2 := func(id uint16) alerting.Message { return bySubscription(1, sent(id, opened)) }, func(id uint16) alerting.Message { return bySubscription(2, sent(id, opened)) }
	for name, c := range map[string]struct {
		messages []alerting.Message
		want     uint64
	}{
		"one message":                       {[]alerting.Message{a(1), b2(2)}, 1},
		"one message at QoS 0":              {[]alerting.Message{a(0), b2(0)}, 1},
		"by three subscriptions":            {[]alerting.Message{a(1), b2(2), bySubscription(3, sent(3, opened))}, 2},
		"two messages":                      {[]alerting.Message{a(1), b2(2), a(3), b2(4)}, 2},
		"two messages, each order":          {[]alerting.Message{a(1), b2(2), b2(3), a(4)}, 2},
		"two messages, one after the other": {[]alerting.Message{a(1), a(2), b2(3), b2(4)}, 2},
		"two messages by one subscription":  {[]alerting.Message{a(1), a(2)}, 0},
		"messages that say other things":    {[]alerting.Message{a(1), bySubscription(2, sent(2, closed))}, 0},
		"the subscription is unknown":       {[]alerting.Message{sent(1, opened), sent(2, opened)}, 0},
		"the copy comes again":              {[]alerting.Message{a(1), b2(2), bySubscription(2, again(2, opened))}, 2},
		"the first comes again":             {[]alerting.Message{a(1), bySubscription(1, again(1, opened)), b2(2)}, 2},
		"a subscription is new":             {[]alerting.Message{a(1), a(2), b2(3), a(4), b2(5)}, 2},
		"identifiers are used again":        {[]alerting.Message{a(1), sent(1, closed), b2(2)}, 0},
	} {
		t.Run(name+", one by one", func(t *testing.T) {
			b := open(t)
			for _, m := range c.messages {
				b.apply(m)
			}
			assert.Equal(t, c.want, b.tally().Duplicate)
		})
		t.Run(name+", at once", func(t *testing.T) {
			b := open(t)
			b.apply(c.messages...)
			assert.Equal(t, c.want, b.tally().Duplicate)
		})
		t.Run(name+", over restarts", func(t *testing.T) {
			if c.messages[0].Delivery.PacketID == 0 {
				return // the engine keeps no receipts of QoS 0 over a restart
			}
			b := open(t)
			for _, m := range c.messages {
				b.useSession("s")
				b.apply(m)
				b.restart()
			}
			assert.Equal(t, c.want, b.tally().Duplicate)
		})
	}
}

func testADeliveryThatWasNotStoredIsNone(t *testing.T, open opener) {
	b := open(t)
	b.apply(bySubscription(1, sent(1, opened)))
	spoiled := bySubscription(2, sent(1, closed))
	spoiled.Decision.Effects = append(spoiled.Decision.Effects, nil) // makes the engine fail
	require.Error(t, b.Apply(context.Background(), []alerting.Message{bySubscription(2, sent(2, opened)), spoiled}))
	b.apply(bySubscription(1, again(1, opened)), bySubscription(2, sent(2, opened)))
	assert.EqualValues(t, 2, b.tally().Duplicate)
}
