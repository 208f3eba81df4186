package storetest

import (
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/ilert"
)

// looks looks at what ilert shows, which is a random part of what it should show.
func (m *model) looks() {
	m.t.Helper()
	m.name += ", look"
	look := &alerting.Look{Began: m.now(), Delay: pick(m, 0, time.Minute), Until: m.now().Add(pick(m, 0, time.Hour)), Sources: map[ilert.IntegrationKey]*alerting.Source{}}
	for _, key := range []ilert.IntegrationKey{configured, doors, third} {
		if m.r.IntN(4) == 0 {
			continue
		}
		s := &alerting.Source{Well: m.r.IntN(3) > 0, Open: map[string]bool{}, Ends: map[string]time.Time{}}
		for _, folded := range []string{"a", "b", "c", "d", "storm/r", "storm/s", "countsg", "holdsg", "others"} {
			switch m.r.IntN(6) {
			case 0, 1, 2:
				s.Open[folded] = m.r.IntN(4) == 0
			case 3:
				s.Ends[folded] = m.now().Add(-time.Duration(m.r.IntN(600)) * time.Second)
			}
		}
		look.Sources[key] = s
	}
	if m.r.IntN(4) == 0 {
		look.Sources[doors] = look.Sources[configured]
	}
	if look.Sources[doors] == nil {
		delete(look.Sources, doors)
	}
	type missing struct {
		since time.Time
		some  bool
	}
	same(m, "missing", func(b *book) (missing, error) {
		since, some, err := b.Missing(b.t.Context(), look)
		return missing{since, some}, err
	})
	same(m, "looked", func(b *book) (alerting.Looked, error) { return b.Look(b.t.Context(), b.now, look) })
}
