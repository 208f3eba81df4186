package publisher_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/publisher"
)

func TestTheNumbersOfIDsRiseByOneForEachAcceptedEvent(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "mps/events")
	pub := start(t, publisher.Config{Address: "mqtt://" + addr})
	large, wrong := numbered(0), numbered(0)
	large.Message, wrong.Type = strings.Repeat("x", publisher.MaxEventBytes), "wrong"

	const goroutines, each = 8, 200
	var working sync.WaitGroup
	for range goroutines {
		working.Go(func() {
			for n := range each {
				assert.NoError(t, pub.Publish(numbered(n)))
				assert.Error(t, pub.Publish(large))
				assert.Error(t, pub.Publish(wrong))
			}
		})
	}
	working.Wait()
	name := ""
	for n := range goroutines * each {
		id := brokertest.Receive(t, messages).Properties.User.Get("id")
		if n == 0 {
			name, _, _ = strings.Cut(id, "-")
			require.Regexp(t, `^[A-Z2-7]{12}$`, name)
		}
		require.Equal(t, name+"-"+strconv.Itoa(n+1), id)
	}
}

func TestAnEventThatFindsNoRoomTakesNoNumber(t *testing.T) {
	for name, c := range map[string]struct {
		dropNewest bool
		want       []string // the numbers that come
	}{
		"refused": {true, []string{"1", "2", "3"}},
		"dropped": {false, []string{"9", "10", "11"}}, // the events were accepted, and are lost
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, "")
			addr := b.Addr()
			require.NoError(t, b.Close())
			pub := start(t, publisher.Config{Address: "mqtt://" + addr, Capacity: 2, DropNewest: c.dropNewest})
			for n := range 10 {
				_ = pub.Publish(numbered(n))
			}
			messages := brokertest.Subscribe(t, brokertest.Start(t, addr).Addr(), "mps/events")
			flush(t, pub)
			require.NoError(t, pub.Publish(numbered(10)))
			var came []string
			for len(came) == 0 || came[len(came)-1] != c.want[2] {
				_, number, _ := strings.Cut(brokertest.Receive(t, messages).Properties.User.Get("id"), "-")
				came = append(came, number)
			}
			assert.Equal(t, c.want[3-len(came):], came, "the subscriber may have come after the publisher")
		})
	}
}

// The length of the properties takes one byte up to 127 and then two.
func TestIDsOfAnyLengthFitTheirPacket(t *testing.T) {
	addr := brokertest.Start(t, "").Addr()
	messages := brokertest.Subscribe(t, addr, "mps/events")
	for length := 1; length < 100; length += 3 {
		for _, config := range []publisher.Config{{}, {MessageExpiry: 3600e9}, {CloudEvents: true}} {
			config.Address, config.Source = "mqtt://"+addr, strings.Repeat("s", length)
			pub := start(t, config)
			for n := 1; n <= 12; n++ {
				require.NoError(t, pub.Publish(event.Connected(fmt.Sprint(n))))
			}
			for n := 1; n <= 12; n++ {
				m := brokertest.Receive(t, messages)
				assert.Equal(t, config.Source, m.Properties.User.Get("source"))
				assert.Regexp(t, fmt.Sprintf(`^\w{12}-%d$`, n), m.Properties.User.Get("id"))
				e, err := event.Parse(m.Payload)
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprint(n), e.GUID)
				assert.Equal(t, config.CloudEvents, m.Properties.User.Get("specversion") != "")
			}
		}
	}
}
