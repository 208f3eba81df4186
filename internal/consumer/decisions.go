package consumer

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/journal"
	"github.com/mps-events/mps-events/internal/loglimit"
)

// decisions writes the decision log. Without one it is nil, and its methods do nothing.
type decisions struct {
	*journal.Journal
	dryRun bool
	pauses map[ilert.IntegrationKey]pause // only entries uses it, of which the engine makes one call at a time
}

// pause is the last line about a pause of an integration key.
type pause struct {
	why string
	at  time.Time
}

const (
	// pauseInterval is the shortest time between two lines about the same pause of an integration key.
	pauseInterval = time.Minute
	// maxPauses limits the keys of which pauses are remembered, since messages can bring any number.
	maxPauses = 1000
)

// DecisionLog counts the lines of the decision log since the start.
type DecisionLog struct {
	Written uint64 `json:"written"`
	Dropped uint64 `json:"dropped"` // could not be written, or came too fast
}

// openDecisions opens the decision log, if there is one.
func (c checked) openDecisions(lines *loglimit.Logger) (*decisions, error) {
	if c.DecisionLog == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	file, err := journal.Open(journal.Config{
		Path: c.DecisionLog, Size: c.DecisionLogSize, Keep: c.DecisionLogKeep,
		Failed: func(err error, n int) {
			lines.Warn("decision log", "lines of the decision log are lost; alerts are not affected", slog.Int("lines", n), slog.Any("error", err))
		},
	})
	if err != nil {
		return nil, wrong("DecisionLog", "", "%w", err)
	}
	return &decisions{Journal: file, dryRun: c.DryRun, pauses: map[ilert.IntegrationKey]pause{}}, nil
}

// close writes what waits.
func (d *decisions) close() error {
	if d == nil {
		return nil
	}
	return d.Close()
}

// counts returns the numbers of lines, or nil without a log.
func (d *decisions) counts() *DecisionLog {
	if d == nil {
		return nil
	}
	written, dropped := d.Counts()
	return &DecisionLog{written, dropped}
}

// decisionLine is a line of the decision log. docs/decision-log.md describes its fields.
type decisionLine struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`

	Topic  string   `json:"topic,omitempty"`
	Source string   `json:"source,omitempty"`
	ID     string   `json:"id,omitempty"`
	Type   string   `json:"type,omitempty"`
	Method string   `json:"method,omitempty"`
	GUID   string   `json:"guid,omitempty"`
	Rules  []string `json:"rules,omitempty"`
	Fate   string   `json:"fate,omitempty"`
	Reason string   `json:"reason,omitempty"`

	Failed    []failedLine    `json:"failed,omitempty"`
	Overruled []overruledLine `json:"overruled,omitempty"`

	Key            string      `json:"key,omitempty"`
	IntegrationKey string      `json:"integrationKey,omitempty"` // its name, never the secret
	Rule           string      `json:"rule,omitempty"`
	Group          string      `json:"group,omitempty"`
	By             string      `json:"by,omitempty"`
	HeldBy         string      `json:"heldBy,omitempty"`
	Silence        int64       `json:"silence,omitempty"`
	InStorm        bool        `json:"inStorm,omitempty"`
	Number         int         `json:"number,omitempty"`
	Size           int         `json:"size,omitempty"`
	Told           string      `json:"told,omitempty"`
	ToldAt         time.Time   `json:"toldAt,omitzero"`
	Due            time.Time   `json:"due,omitzero"`
	Again          time.Time   `json:"againFrom,omitzero"`
	Until          time.Time   `json:"until,omitzero"`
	Window         *windowLine `json:"window,omitempty"`

	Event    string    `json:"event,omitempty"`
	Priority string    `json:"priority,omitempty"`
	Summary  string    `json:"summary,omitempty"`
	Members  []string  `json:"members,omitempty"`
	Answer   string    `json:"answer,omitempty"`
	Status   int       `json:"status,omitempty"`
	Try      int       `json:"try,omitempty"`
	TookMS   int64     `json:"tookMs,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Retry    time.Time `json:"retry,omitzero"`
}

// failedLine shows why a rule could not decide about a message.
type failedLine struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

// overruledLine shows a rule without effect on an alert, because a rule before it has another one.
type overruledLine struct {
	Rule string `json:"rule"`
	By   string `json:"by"`
	Key  string `json:"key"`
}

// windowLine shows what a window has counted, and what its conditions want.
type windowLine struct {
	Holds bool `json:"holds"` // a condition does, so that the alert is raised
	conditionLine
	Or *conditionLine `json:"or,omitempty"`
}

// conditionLine shows how much of a condition of a window is reached, and what it wants.
type conditionLine struct {
	Hits     int     `json:"hits"`
	AtLeast  int     `json:"atLeast,omitempty"`
	Row      int     `json:"row,omitempty"`
	InARow   int     `json:"inARow,omitempty"`
	Members  int     `json:"members,omitempty"`
	Distinct int     `json:"distinct,omitempty"`
	Of       int     `json:"of,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"`
	Length   string  `json:"length"`
}

// entries writes the entries of a transaction.
func (d *decisions) entries(all []alerting.Entry) {
	lines := make([]any, 0, len(all))
	var last *alerting.Message
	var of decisionLine // what lines say of that message
	for i := range all {
		e := &all[i]
		if e.What == alerting.Paused && !d.isNews(e) {
			continue
		}
		line := decisionLine{}
		if e.Message != nil {
			if e.Message != last {
				last, of = e.Message, lineOf(e.Message)
			}
			line = of
		}
		d.describe(e, &line)
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		d.Add(lines...)
	}
}

// isNews reports whether a pause deserves a line: while more waits than may be sent, each Claim pauses again.
func (d *decisions) isNews(e *alerting.Entry) bool {
	key := e.Key.Integration
	if was, known := d.pauses[key]; known && was.why == e.Why && e.At.Sub(was.at) < pauseInterval {
		return false
	}
	if len(d.pauses) >= maxPauses {
		clear(d.pauses)
	}
	d.pauses[key] = pause{e.Why, e.At}
	return true
}

// lineOf returns a line with the facts of a message. It keeps nothing of the payload but the words of an event.
func lineOf(m *alerting.Message) decisionLine {
	line := decisionLine{Topic: m.Topic}
	for _, p := range m.Properties {
		switch p.Key {
		case "source":
			line.Source = p.Value
		case "id":
			line.ID = p.Value
		}
	}
	if e, err := event.Parse(m.Payload); err == nil {
		line.Type, line.GUID = string(e.Type), e.GUID
		if len(e.Methods) > 0 {
			line.Method = e.Methods[0]
		}
	}
	return line
}

// describe adds the facts of an entry to a line.
func (d *decisions) describe(e *alerting.Entry, line *decisionLine) {
	line.Time, line.What = logTime(cmp.Or(e.At, time.Now())), string(e.What)
	if e.What == alerting.Decided {
		d := &e.Message.Decision
		line.Fate, line.Rules, line.Reason = string(e.Fate), d.Matched, d.Dead
		for _, f := range d.Failed {
			line.Failed = append(line.Failed, failedLine(f))
		}
		for _, o := range d.Overruled {
			line.Overruled = append(line.Overruled, overruledLine{o.Rule, o.By, o.Key.Alert})
		}
		return
	}
	line.setKey(e.Key)
	line.Rule, line.Group, line.By, line.InStorm = e.Rule, e.Group, string(e.By), e.InStorm
	line.HeldBy, line.Silence = e.HeldBy, e.Silence
	line.Number, line.Size, line.Reason = e.Number, e.Size, e.Why
	line.Told = string(e.Told)
	line.ToldAt, line.Due, line.Again, line.Until = logTime(e.ToldAt), logTime(e.Due), logTime(e.Again), logTime(e.Until)
	if e.What == alerting.Counts {
		n := &e.Counted
		line.Window = &windowLine{Holds: n.Raised, conditionLine: lineOfCondition(&n.Window.Condition, n.Reached, n.Row)}
		if n.Window.Or.Length > 0 {
			or := lineOfCondition(&n.Window.Or, n.Or, n.Row)
			line.Window.Or = &or
		}
	}
}

func lineOfCondition(c *decision.Condition, n alerting.Reached, row int) conditionLine {
	return conditionLine{
		Hits: n.Hits, AtLeast: c.AtLeast, Row: row, InARow: c.InARow, Members: n.Members, Distinct: c.Distinct,
		Of: n.Of, Ratio: c.Ratio, Length: c.Length.String(),
	}
}

// logTime returns a time as the log shows it.
func logTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// setKey sets the alert key and the name of the integration key.
func (l *decisionLine) setKey(k decision.Key) {
	l.Key, l.IntegrationKey = k.Alert, k.Integration.String()
}

// told writes what ilert was told, and what it answered.
func (d *decisions) told(answer *alerting.Answer, err error, took time.Duration) {
	if d == nil {
		return
	}
	n := &answer.Notice
	line := decisionLine{
		Time: logTime(answer.At), What: "told", Rule: n.Rule, Event: string(n.Event.EventType), Priority: n.Event.Priority,
		Summary: n.Event.Summary, Members: n.Members(), Try: n.Tries + 1, TookMS: took.Milliseconds(), Since: logTime(n.Since),
	}
	line.setKey(decision.Key{Integration: n.IntegrationKey, Alert: n.Event.AlertKey})
	if secret, literal := n.IntegrationKey.Literal(); literal && secret != "" {
		line.Summary = strings.ReplaceAll(line.Summary, secret, "***")
	}
	var failed *ilert.Error
	if errors.As(err, &failed) {
		line.Status = failed.Status
	}
	if err != nil {
		line.Reason = err.Error()
	}
	switch {
	case d.dryRun && err == nil:
		line.Answer = "dry run"
	case answer.Result == alerting.Taken:
		line.Answer = "taken"
	case answer.Result == alerting.Refused:
		line.Answer = "refused"
	case answer.Result == alerting.Unknown:
		line.Answer, line.Retry = "unknown", logTime(answer.Retry)
	default:
		line.Answer, line.Retry = "not taken", logTime(answer.Retry)
	}
	d.Add(line)
}
