package rehearsal

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	presetsPage = "../../../docs/presets.md"
	pageBegins  = "<!-- the days: \"go test ./mps-ilert/internal/rehearsal -update\" writes them -->\n"
	pageEnds    = "<!-- end of the days -->\n"
)

// comparePage compares the days in docs/presets.md with rows of 20 and 300 devices, or writes them. The judgements on
// 5,000 devices come from their own table.
func comparePage(t *testing.T, rows []*row) {
	t.Helper()
	large, err := os.ReadFile("testdata/days-5000.md")
	require.NoError(t, err)
	text, err := os.ReadFile(presetsPage)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), pageBegins)
	require.True(t, found, pageBegins)
	days, after, found := strings.Cut(rest, pageEnds)
	require.True(t, found, pageEnds)
	now := shortTable(rows, wrongOf(string(large)))
	if *update {
		require.NoError(t, os.WriteFile(presetsPage, []byte(before+pageBegins+now+pageEnds+after), 0o600))
		return
	}
	assert.Equal(t, days, now, "run the test with -update, and look whether the changes are for the better")
}

// wrongOf returns, for each kind in a table, whether the judgements on it are wrong, by the cells that name them.
func wrongOf(table string) map[string]map[string]bool {
	wrong, kind := map[string]map[string]bool{}, ""
	for line := range strings.Lines(table) {
		if name, is := strings.CutPrefix(line, "### "); is {
			kind = strings.TrimSpace(name)
			wrong[kind] = map[string]bool{}
		}
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| 5000") {
			wrong[kind]["5,000 "+cells[1]] = cells[2] != "right"
		}
	}
	return wrong
}

// shortTable returns a table with a line for each kind of days.
func shortTable(rows []*row, large map[string]map[string]bool) string {
	var b strings.Builder
	b.WriteString("| day | right | pages with 300 devices, Node | pages with 300 devices, mps-events |\n| --- | --- | --- | --- |\n")
	for first, all := 0, 0; first < len(rows); first = all {
		kind, pages, wrong, judged := rows[first].name, map[string]string{}, []string{}, 0
		for ; all < len(rows) && rows[all].name == kind; all++ {
			r := rows[all]
			judged++
			size, publisher, _ := strings.Cut(r.cells, " | ")
			if len(r.faults) > 0 {
				wrong = append(wrong, size+" "+publisher)
			}
			if size == "300" {
				pages[publisher] = cmp.Or(described(r.came), "none")
			}
		}
		for _, publisher := range []string{"node", "middleware"} {
			if isWrong, is := large[kind]["5,000 "+publisher]; is {
				judged++
				if isWrong {
					wrong = append(wrong, "5,000 "+publisher)
				}
			}
		}
		judgement := fmt.Sprintf("%d of %d", judged-len(wrong), judged)
		if len(wrong) > 0 {
			judgement += ", not " + strings.Join(wrong, ", ")
		}
		_, _ = fmt.Fprintf(&b, "| **%s** %s | %s | %s | %s |\n", kind, rows[first].about, judgement, cmp.Or(pages["node"], "-"), cmp.Or(pages["middleware"], "-"))
	}
	return b.String()
}
