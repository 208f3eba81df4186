package decision

import "time"

// Absence is a condition over what does not come. The alert of a group is raised when no message of the group has come
// for the time After.
type Absence struct {
	Rule  string
	After time.Duration
	// AtLeast is the number of messages that must have come within After before the last one. The silence of a group
	// with fewer messages is no alert, and the group is forgotten.
	AtLeast int
	// UsualHours makes the silence of a group an alert only at a time of the day that is usually busy: in each half hour
	// of the silence, and of the hour after it, AtLeast messages must have come on one of the seven days before.
	UsualHours bool
}

// Heard is the effect that a message of a group has come. It ends the alert of the group. The engine raises the alert of
// Raise when the group is silent next; a Raise without Age gets a default.
type Heard struct {
	Absence *Absence
	Group   string
	Raise   Raise
}

// Dismiss is the effect that a group is not waited for until its next message, and that its alert ends.
type Dismiss struct{ Rule, Group string }

func (Heard) effect()   {}
func (Dismiss) effect() {}
