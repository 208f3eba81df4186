package days_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/days"
)

// eachDay calls a test for each kind of days and publisher.
func eachDay(t *testing.T, do func(t *testing.T, d days.Day)) {
	t.Helper()
	for _, k := range days.Kinds() {
		for _, p := range days.Publishers() {
			if !k.By(p) {
				continue
			}
			t.Run(k.Name+"/"+string(p), func(t *testing.T) {
				t.Parallel()
				d, err := days.Make(k.Name, 20, p, 1)
				require.NoError(t, err)
				do(t, d)
			})
		}
	}
}

// digest returns a hash of the messages of a day.
func digest(d days.Day) string {
	h := sha256.New()
	for m := range d.Messages {
		_, _ = fmt.Fprintln(h, m.At, m.Topic, string(m.Payload), m.Properties)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestADayIsTheSameForItsSeed(t *testing.T) {
	eachDay(t, func(t *testing.T, d days.Day) {
		t.Helper()
		first := digest(d)
		assert.Equal(t, first, digest(d), "read again")
		again, err := days.Make(d.Kind, d.Size, d.Publisher, 1)
		require.NoError(t, err)
		assert.Equal(t, first, digest(again))
		other, err := days.Make(d.Kind, d.Size, d.Publisher, 2)
		require.NoError(t, err)
		assert.NotEqual(t, first, digest(other))
	})
}

func TestMessagesArriveInOrderWithinTheDay(t *testing.T) {
	eachDay(t, func(t *testing.T, d days.Day) {
		t.Helper()
		last, n := d.Start, 0
		for m := range d.Messages {
			require.False(t, m.At.Before(last), "%v after %v", m.At, last)
			last = m.At
			n++
			for _, gap := range d.Gaps {
				assert.False(t, m.At.After(gap.From) && m.At.Before(gap.Until), "a message in a gap")
			}
		}
		assert.False(t, last.After(d.End))
		assert.Greater(t, n, 20)
		for _, p := range d.Want {
			assert.False(t, p.From.Before(d.Start) || p.By.Before(p.From) || p.EndBy.After(d.End), "%+v", p)
			assert.True(t, p.EndFrom.IsZero() || p.EndFrom.Before(p.EndBy), "%+v", p)
		}
	})
}

func TestAReaderMayStopEarly(t *testing.T) {
	eachDay(t, func(t *testing.T, d days.Day) {
		t.Helper()
		n := 0
		for range d.Messages {
			if n++; n == 10 {
				break
			}
		}
		assert.Equal(t, 10, n)
	})
}

func TestThePayloadsAreEventsAsTheirPublishersWriteThem(t *testing.T) {
	type words struct {
		Type, Method, Message string
		GUID                  bool
	}
	shown := map[words]bool{}
	for _, name := range []string{"mps", "rps"} {
		text, err := os.ReadFile("../../testdata/facts/" + name + "-events.json")
		require.NoError(t, err)
		var routes []struct {
			Events []struct {
				Type, Message string
				Methods       []string
				GUID          bool
			}
		}
		require.NoError(t, json.Unmarshal(text, &routes))
		for _, r := range routes {
			for _, e := range r.Events {
				message, _, _ := strings.Cut(e.Message, "${")
				shown[words{e.Type, e.Methods[0], message, e.GUID}] = true
			}
		}
	}
	eachDay(t, func(t *testing.T, d days.Day) {
		t.Helper()
		for m := range d.Messages {
			if strings.HasPrefix(m.Topic, "mps/status/") {
				assert.Equal(t, days.Middleware, d.Publisher)
				continue
			}
			e, err := event.Parse(m.Payload)
			require.NoError(t, err)
			require.NoError(t, e.Validate())
			assert.WithinRange(t, time.UnixMilli(e.Timestamp), m.At.Add(-time.Hour), m.At)
			if d.Publisher == days.Middleware {
				assert.Equal(t, "mps/events", m.Topic)
				require.GreaterOrEqual(t, len(m.Properties), 2)
				continue
			}
			assert.Empty(t, m.Properties)
			is := words{string(e.Type), e.Methods[0], e.Message, e.GUID != ""}
			if is.Method == "Activator" && e.Type == event.Success {
				is.Message = "Device activated in "
			}
			require.True(t, shown[is], "MPS does not publish %+v", is)
		}
	})
}

func TestADayThatCannotBeMadeIsAnError(t *testing.T) {
	for want, try := range map[string]func() error{
		`no kind "x"`:                func() error { _, err := days.Make("x", 20, days.Node, 1); return err },
		`size 19: want at least 20`:  func() error { _, err := days.Make("holiday", 19, days.Node, 1); return err },
		`publisher "x": want "node"`: func() error { _, err := days.Make("holiday", 20, "x", 1); return err },
		`want "middleware"`:          func() error { _, err := days.Make("server-dies", 20, days.Node, 1); return err },
	} {
		assert.ErrorContains(t, try(), want)
	}
}
