package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/rules"
)

// Mistake is a mistake in a file, with its place.
type Mistake struct {
	File         string
	Line, Column int // from 1; 0: the file as a whole
	Text         string
}

// String returns the mistake with its place in the form of compilers.
func (m Mistake) String() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// MistakesError is the error that lists all mistakes in files of rules.
type MistakesError []Mistake

func (m MistakesError) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// sort orders the mistakes by file and line.
func (m MistakesError) sort(files []string) {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
}

// suggestionOr returns a suggestion of a known name, or else all of them.
func suggestionOr(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	return cmp.Or(rules.Suggestion(name, known), ": it may have "+strings.Join(known, ", "))
}
