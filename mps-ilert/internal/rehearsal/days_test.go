package rehearsal

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/days"
	"github.com/mps-events/mps-events/internal/decision"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

var (
	update = flag.Bool("update", false, "write the tables of testdata anew")
	large  = flag.Bool("large", false, "judge days of 5,000 devices, not of 20 and 300")
	seed   = flag.Uint64("seed", 1, "make other days: with another seed than 1 the table is only printed")
)

// row is the judgement on a day or a trace.
type row struct {
	name   string // of the kind or the trace
	about  string
	cells  string // in which the row differs from others of its name
	faults []string
	came   []*page
	judged bool
}

// TestDays judges the default rules by days, and compares with the table of what is so today.
func TestDays(t *testing.T) {
	sizes, name := []int{20, 300}, "testdata/days.md"
	if *large {
		sizes, name = []int{5000}, "testdata/days-5000.md"
	}
	var rows []*row
	t.Run("judge", func(t *testing.T) {
		for _, k := range days.Kinds() {
			for _, size := range sizes {
				for _, p := range days.Publishers() {
					if !k.By(p) {
						continue
					}
					r := &row{name: k.Name, about: k.About, cells: fmt.Sprintf("%d | %s", size, p)}
					rows = append(rows, r)
					t.Run(fmt.Sprintf("%s/%d/%s", k.Name, size, p), func(t *testing.T) {
						t.Parallel()
						judgeDay(t, r, size, p)
					})
				}
			}
		}
	})
	if t.Failed() || slices.ContainsFunc(rows, func(r *row) bool { return !r.judged }) {
		return // with -run a person asks for some days only
	}
	compare(t, name, "devices | publisher", rows)
	if !*large && *seed == 1 {
		comparePage(t, rows)
	}
}

// judgeDay plays a day and sets the judgement.
func judgeDay(t *testing.T, r *row, size int, p days.Publisher) {
	t.Helper()
	day, err := days.Make(r.name, size, p, *seed)
	require.NoError(t, err)
	l := &ledger{open: map[string]*page{}}
	play, err := rehearse(t.Context(), defaultSetup(t, day.Options), l)
	require.NoError(t, err)
	defer func() { assert.NoError(t, play.close()) }()
	began := time.Now()
	n := playDay(t, play, day, play.receiveEach)
	require.Empty(t, l.dead)
	r.faults, r.came, r.judged = judge(day.Want, l.pages), l.pages, true
	t.Logf("%d messages in %v; %s; %s", n, time.Since(began).Round(time.Millisecond), cmp.Or(strings.Join(r.faults, ", "), "right"), described(l.pages))
}

// playDay plays a day, and returns the number of its messages. The messages at the beginning of a gap come before it,
// those at its end after it. receive gets all messages that arrive at one time.
func playDay(t *testing.T, play *rehearsal, day days.Day, receive func(context.Context, time.Time, []decision.Message) error) (n int) {
	t.Helper()
	gaps := day.Gaps
	lost := false
	pass := func(at time.Time) {
		t.Helper()
		for len(gaps) > 0 && (!lost && gaps[0].From.Before(at) || lost && !gaps[0].Until.After(at)) {
			if lost = !lost; lost {
				require.NoError(t, play.disconnect(t.Context(), gaps[0].From))
				continue
			}
			require.NoError(t, play.connect(t.Context(), gaps[0].Until))
			gaps = gaps[1:]
		}
	}
	var together []decision.Message
	var at time.Time
	flush := func() {
		t.Helper()
		if len(together) > 0 {
			pass(at)
			require.NoError(t, receive(t.Context(), at, together))
		}
		n, together = n+len(together), nil
	}
	for m := range day.Messages {
		if !m.At.Equal(at) {
			flush()
		}
		at, together = m.At, append(together, m.Message)
	}
	flush()
	pass(day.End)
	require.NoError(t, play.until(t.Context(), day.End))
	return n
}

// receiveEach receives messages one after the other.
func (r *rehearsal) receiveEach(ctx context.Context, at time.Time, messages []decision.Message) error {
	for _, m := range messages {
		if _, err := r.receive(ctx, at, m); err != nil {
			return err
		}
	}
	return nil
}

// withoutOptions returns the default rules for days without options, which it reads once.
var withoutOptions = sync.OnceValues(func() (Setup, error) { return readRules(nil) })

// defaultSetup returns the rules that the daemon uses if it has no others.
func defaultSetup(t *testing.T, options map[string]string) Setup {
	t.Helper()
	read := withoutOptions
	if len(options) > 0 {
		read = func() (Setup, error) { return readRules(options) }
	}
	all, err := read()
	require.NoError(t, err)
	return all
}

// readRules reads the default rules.
func readRules(options map[string]string) (Setup, error) {
	sources, err := rulefile.Presets(rulefile.DefaultPresets)
	if err != nil {
		return Setup{}, err
	}
	loaded, err := rulefile.Load{Sources: sources, Options: options}.Do()
	return Setup{Rules: loaded.Rules, Topics: loaded.Topics}, err
}

// TestTraces judges the default rules by traces. The number at the end of a name is that of the pages which a
// default installation should send. Each page should end within 25 hours after the last message.
func TestTraces(t *testing.T) {
	names := traces(t)
	rows := make([]*row, len(names))
	for i, path := range names {
		name, number, found := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".jsonl"), ".")
		require.True(t, found, path)
		want, err := strconv.Atoi(number)
		require.NoError(t, err, path)
		came := playTrace(t, path)
		rows[i] = &row{name: "traces", about: "Small traces, with the number of pages that each should make.", cells: fmt.Sprintf("%s | %d", name, want), came: came}
		if len(came) != want {
			rows[i].faults = []string{fmt.Sprintf("the number of pages is %d", len(came))}
		}
		for _, p := range came {
			if p.ended.IsZero() {
				rows[i].faults = append(rows[i].faults, group(p.key)+" does not end")
			}
		}
	}
	compare(t, "testdata/traces.md", "trace | wanted", rows)
}

// playTrace returns the pages that a file of messages makes.
func playTrace(t *testing.T, path string) []*page {
	t.Helper()
	l := &ledger{open: map[string]*page{}}
	play, err := rehearse(t.Context(), defaultSetup(t, nil), l)
	require.NoError(t, err)
	defer func() { assert.NoError(t, play.close()) }()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, (&Explanation{play: play}).Play(t.Context(), path, mqtttopic.DefaultTopic, file))
	require.NoError(t, play.until(t.Context(), play.now.Add(25*time.Hour)))
	require.Empty(t, l.dead)
	return l.pages
}

// compare compares the table of rows with a file, or writes the file.
func compare(t *testing.T, name, columns string, rows []*row) {
	t.Helper()
	table := tableOf(columns, rows)
	if *seed != 1 {
		t.Log("\n" + table)
		return
	}
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(table), 0o600))
		return
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), table, "run the test with -update, and look whether the changes are for the better")
}

// tableOf returns judgements as Markdown: a heading and a table for each name. columns are the columns of the
// cells in which rows of one name differ.
func tableOf(columns string, rows []*row) string {
	var b strings.Builder
	right := 0
	for _, r := range rows {
		if len(r.faults) == 0 {
			right++
		}
	}
	_, _ = fmt.Fprintf(&b, "%d of %d are right.\n", right, len(rows))
	last := ""
	for _, r := range rows {
		if r.name != last {
			last = r.name
			_, _ = fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| %s | judgement | pages |\n| %s--- | --- |\n", r.name, r.about, columns, strings.Repeat("--- | ", 1+strings.Count(columns, "|")))
		}
		judgement := "right"
		if len(r.faults) > 0 {
			judgement = "**wrong**: " + strings.Join(r.faults, "; ")
		}
		_, _ = fmt.Fprintf(&b, "| %s | %s | %s |\n", r.cells, judgement, cmp.Or(described(r.came), "none"))
	}
	return b.String()
}
