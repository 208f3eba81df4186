package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/rules"
)

// Mistake is one mistake in a file.
type Mistake struct {
	File         string
	Line, Column int // from 1; 0 is none in particular
	Text         string
}

// String is the mistake with its place, as compilers write it.
func (m Mistake) String() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// MistakesError is all that is wrong with the files of rules.
type MistakesError []Mistake

func (m MistakesError) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// sort puts the mistakes in the order of the files, and of the lines in each.
func (m MistakesError) sort(files []string) {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
}

// suggestionOr is suggestion, or all of the names.
func suggestionOr(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	return cmp.Or(rules.Suggestion(name, known), ": it may have "+strings.Join(known, ", "))
}
