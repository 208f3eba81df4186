package consumer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

func TestNoMinuteSeesMoreRequestsThanItsRateOverRestarts(t *testing.T) {
	p := newPace(defaultRate)
	var sent []time.Time
	for now := noon; now.Before(noon.Add(5 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if now.Sub(noon)%(7*time.Second) == 0 { // a restart
			p = newPace(defaultRate)
			kept := sent[max(len(sent)-defaultRate, 0):]
			p.restore(map[ilert.IntegrationKey]alerting.Pace{{}: {Requests: kept}}, now)
		}
		for range p.budget(ilert.IntegrationKey{}, now).Any {
			p.take(ilert.IntegrationKey{}, now)
			p.answered(ilert.IntegrationKey{}, nil, now)
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

func TestAClockThatWasPutBackHoldsNobodyUpForLong(t *testing.T) {
	p := newPace(defaultRate)
	p.restore(map[ilert.IntegrationKey]alerting.Pace{{}: {Hold: noon.Add(24 * time.Hour)}}, noon)
	assert.Equal(t, noon.Add(maxAsked), p.budget(ilert.IntegrationKey{}, noon).Again)
}
