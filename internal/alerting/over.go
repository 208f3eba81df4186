package alerting

import (
	"fmt"
	"strings"
	"time"

	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
)

// endings are the reasons for which alerts end, in words for people.
var endings = map[By]string{
	ByMessage:  "A message has ended it.",
	BySilence:  "It was not raised again for long enough.",
	ByAge:      "It was open for as long as its rule allows. Whether its cause is gone is not known.",
	ByAfter:    "A message has ended it, and it was not raised again.",
	ByPrefix:   "A message has ended all alerts whose keys begin as its own.",
	ByPerson:   "Somebody has closed it by hand, in mps-ilert.",
	ByHealth:   "What it counts shows health: a lower share than before.",
	ByClear:    "Its condition has not held for long enough.",
	ByRule:     "Its rule has ended all of its alerts, or is no more.",
	ByConsumer: "mps-ilert has ended it: its cause is gone.",
}

// tellEnd makes the text of an alert that of its end: what was, for how long, and why it has ended.
func (a *Alert) tellEnd(e *ilert.Event) {
	if a.EndedAt.IsZero() {
		return // a version that did not keep it has ended the alert
	}
	e.Details = endings[a.EndedBy]
	if a.Since.IsZero() {
		e.Summary += ": over"
		return
	}
	e.Summary += ": over after " + inWords(a.EndedAt.Sub(a.Since))
	e.Details = strings.TrimSpace(fmt.Sprintf("From %s to %s. %s", decision.Moment(a.Since), decision.Moment(a.EndedAt), e.Details))
}

// inWords returns a duration in words, such as "1 hour 5 minutes", as exactly as people want to know it.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		d = d.Round(time.Hour)
	case d < time.Minute:
		return "less than a minute"
	}
	return decision.Words(d.Round(time.Minute))
}
