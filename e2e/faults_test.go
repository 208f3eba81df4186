package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

func TestABrokerThatIsKilledLosesOnlyWhatItHadAcknowledged(t *testing.T) {
	t.Parallel()
	// A small Receive Maximum makes the publisher slow, so that it does not finish long before the oracle.
	broker := startMosquitto(t, "max_inflight_messages 20")
	o := startOracle(t, broker, publisher.Config{})
	broker.Stop() // saves the subscription
	broker.Start()
	o.AwaitLost(1)
	o.Publish(10)
	o.AwaitArrivals(callers * 10)
	<-o.downs

	o.Publish(10_000)
	o.AwaitArrivals(1000)
	broker.Kill()
	o.BrokerKilled(2)
	assert.Positive(t, o.pub.Stats().Pending, "the broker was killed too late")
	o.Publish(500)
	broker.Start()
	o.Publish(500)
	assert.Zero(t, o.Check().Dropped)
}

func TestABrokerThatIsFrozenDelaysEventsAndLosesNone(t *testing.T) {
	t.Parallel()
	large := func(_ int, e *event.Event) { e.Message += " " + strings.Repeat("x", 60_000) }
	t.Run("shorter than the keep alive", func(t *testing.T) {
		t.Parallel()
		broker := startMosquitto(t)
		o := startOracle(t, broker, publisher.Config{})
		o.Publish(2000)
		o.AwaitArrivals(100)
		broker.Pause()
		o.PublishAs(100, large) // more than the buffers of the sockets hold
		broker.Resume()
		o.Publish(100)
		assert.Zero(t, o.Check().Dropped)
		assert.Zero(t, o.Lost())
	})
	t.Run("longer than the keep alive", func(t *testing.T) {
		t.Parallel()
		broker := startMosquitto(t)
		o := startOracle(t, broker, publisher.Config{KeepAlive: time.Second})
		o.Publish(2000)
		o.AwaitArrivals(100)
		broker.Pause()
		o.PublishAs(100, large)
		o.AwaitLost(1)
		o.Publish(100)
		broker.Resume()
		o.Publish(100)
		assert.Zero(t, o.Check().Dropped)
	})
}

func TestAFullQueueDropsTheOldestUntilTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	const capacity = 1000
	broker := startMosquitto(t)
	o := startOracle(t, broker, publisher.Config{Capacity: capacity})
	o.Publish(100)
	o.AwaitArrivals(callers * 100)
	broker.Stop()
	o.AwaitLost(1)
	o.Publish(capacity)
	assert.EqualValues(t, capacity, o.pub.Stats().Pending)
	broker.Start()
	s := o.Check()
	assert.EqualValues(t, (callers-1)*capacity, s.Dropped)
	assert.Contains(t, o.log.String(), "dropped.overflow=")
}

func TestAFullQueueRefusesTheNewestUntilTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	const capacity = 1000
	broker := startMosquitto(t)
	o := startOracle(t, broker, publisher.Config{Capacity: capacity, DropNewest: true})
	o.Publish(100)
	o.AwaitArrivals(callers * 100)
	broker.Stop()
	o.AwaitLost(1)
	o.Publish(capacity)
	broker.Start()
	s := o.Check()
	assert.Zero(t, s.Dropped)
	assert.EqualValues(t, (callers-1)*capacity, s.Rejected)
}

func TestAWrongPasswordHoldsEventsUntilItIsRight(t *testing.T) {
	t.Parallel()
	broker := startMosquittoWith(t, brokerFiles{"passwords": passwordLine(t, "console", "another")}, "password_file "+brokerFolder+"passwords")
	o := startOracle(t, broker, publisher.Config{Username: "console", Password: "s3cret"})
	o.Publish(100)
	o.AwaitLog("the broker refuses the connection: ")
	o.Publish(100)
	assert.EqualValues(t, callers*200, o.pub.Stats().Pending)
	broker.Stop()
	broker.Replace(brokerFiles{"passwords": passwordLine(t, "console", "s3cret")})
	broker.Start()
	assert.Zero(t, o.Check().Dropped)
	assert.NotContains(t, o.log.String(), "s3cret")
}

func TestAnExpiredCertificateHoldsEventsUntilItIsRenewed(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	expired := authority.Certificate(t, time.Now().Add(-time.Hour))
	broker := startMosquittoWith(t, expired, "listener 8884", "certfile "+brokerFolder+"cert.pem", "keyfile "+brokerFolder+"key.pem")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(caFile, authority.pem, 0o600))
	o := startOracle(t, broker, publisher.Config{Address: broker.TLSAddress(), CAFile: caFile})
	o.Publish(100)
	o.AwaitLog("certificate has expired")
	o.Publish(100)
	assert.EqualValues(t, callers*200, o.pub.Stats().Pending)
	broker.Stop()
	broker.Replace(authority.Certificate(t, time.Now().Add(time.Hour)))
	broker.Start()
	assert.Zero(t, o.Check().Dropped)
}

func TestABrokerThatTakesOneAtATimeGetsOneAtATime(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, "max_inflight_messages 1")
	o := startOracle(t, broker, publisher.Config{})
	o.Publish(250)
	assert.Zero(t, o.Check().Dropped)
	assert.Zero(t, o.Lost(), "a broker may end the connection of a client that sends more")
}

func TestEventsThatTheBrokerFindsTooLargeAreDroppedAlone(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, "max_packet_size 200")
	o := startOracle(t, broker, publisher.Config{Source: "s"})
	const each = 250
	large := func(number int) bool { return number%10 == 3 }
	o.PublishAs(each, func(number int, e *event.Event) {
		if large(number) {
			e.Message += " " + strings.Repeat("x", 100)
		}
	})
	assert.EqualValues(t, callers*each/10, o.Check().Dropped)
	for _, numbers := range o.arrived {
		for _, number := range numbers {
			assert.False(t, large(number), number)
		}
	}
	assert.Zero(t, o.Lost())
}

func TestEventsOnAForbiddenTopicAreDroppedAlone(t *testing.T) {
	t.Parallel()
	rules := "topic read mps/#\ntopic write mps/success\n"
	broker := startMosquittoWith(t, brokerFiles{"acl": rules}, "acl_file "+brokerFolder+"acl")
	o := startOracle(t, broker, publisher.Config{Topic: "mps/{type}"})
	const each = 250
	forbidden := func(number int) bool { return number%10 == 3 }
	o.PublishAs(each, func(number int, e *event.Event) {
		if forbidden(number) {
			e.Type = event.Fail
		}
	})
	assert.EqualValues(t, callers*each/10, o.Check().Dropped)
	for _, numbers := range o.arrived {
		for _, number := range numbers {
			assert.False(t, forbidden(number), number)
		}
	}
	assert.Contains(t, o.log.String(), "not authorized")
	assert.Zero(t, o.Lost())
}

func TestANetworkThatIsCutDelaysEventsAndLosesNone(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	o := startOracle(t, broker, publisher.Config{KeepAlive: 2 * time.Second})
	o.Publish(5000)
	o.AwaitArrivals(1000)
	broker.CutNetwork()
	o.Publish(1000)
	o.AwaitLost(1)
	o.Publish(100)
	broker.MendNetwork()
	o.Publish(100)
	assert.Zero(t, o.Check().Dropped)
}
