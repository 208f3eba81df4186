package memory

import (
	"slices"
	"time"

	"github.com/mps-events/mps-events/internal/alerting"
)

// saveAwaited writes the groups that rules wait for, and the listened time.
func (t *tx) saveAwaited(changes *alerting.Changes) {
	for _, id := range changes.NoAwaited {
		remove(t.rows, t.awaited, id)
	}
	for _, a := range changes.Awaited {
		put(t.rows, t.awaited, a.ID, copyAwaited(a))
	}
	if l := changes.Listening; l != nil {
		t.listening = *l
		t.listening.At = kept(l.At)
	}
}

// rememberAwaited copies the groups that rules wait for, and the listened time.
func (t *tx) rememberAwaited(m *alerting.Memory) {
	m.Listening = t.listening
	for _, a := range t.awaited {
		m.Awaited = append(m.Awaited, copyAwaited(a))
	}
	slices.SortFunc(m.Awaited, func(a, b *alerting.Awaited) int { return compareGroups(a.ID, b.ID) })
}

func copyAwaited(a *alerting.Awaited) *alerting.Awaited {
	c := *a
	c.Heard, c.After, c.Age = a.Heard.Truncate(time.Millisecond), a.After.Truncate(time.Millisecond), a.Age.Truncate(time.Millisecond)
	c.Repeat = a.Repeat.Truncate(time.Millisecond)
	if a.Count != nil {
		count := *a.Count
		c.Count = &count
	}
	return &c
}
