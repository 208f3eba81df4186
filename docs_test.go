package mpsevents_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	inBackticks = regexp.MustCompile("`([^`]+)`")
	goName      = regexp.MustCompile(`^(\w+\.)?\w+$`)
)

// TestTheArchitecturePageNamesFilesAndFunctionsThatExist checks the steps and the table of changes in
// docs/architecture.md. A word in backticks is a path from here, a file beside the one that it follows, or a
// name that this file declares.
func TestTheArchitecturePageNamesFilesAndFunctionsThatExist(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	require.NoError(t, err)
	_, changes, found := strings.Cut(string(text), "## Where to change what")
	require.True(t, found)
	steps := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		number, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		if err != nil {
			continue
		}
		steps++
		assert.Equal(t, steps, number, line)
		checkNames(t, cells[2]+cells[3])
	}
	const maxSteps = 30 // more files in a row are no way that a newcomer goes to the end
	assert.NotZero(t, steps)
	assert.LessOrEqual(t, steps, maxSteps)
	for line := range strings.Lines(changes) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			checkNames(t, cells[2])
		}
	}
}

// checkNames checks the words in backticks of one text.
func checkNames(t *testing.T, text string) {
	t.Helper()
	file := ""
	for _, word := range inBackticks.FindAllStringSubmatch(text, -1) {
		name := word[1]
		switch {
		case strings.Contains(name, "/") || !goName.MatchString(name):
			_, err := os.Stat(filepath.FromSlash(name))
			assert.NoError(t, err, text)
			file = name
		case strings.HasSuffix(name, ".go"):
			file = path.Join(path.Dir(file), name)
			assert.FileExists(t, file, text)
		default:
			assert.Contains(t, declaredIn(t, file), name, "%s: %s", file, text)
		}
	}
}

// declaredIn returns the names that a Go file declares, those of methods also with their types.
func declaredIn(t *testing.T, name string) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(name), nil, 0)
	require.NoError(t, err)
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
			if d.Recv != nil {
				of := d.Recv.List[0].Type
				if pointer, is := of.(*ast.StarExpr); is {
					of = pointer.X
				}
				names = append(names, of.(*ast.Ident).Name+"."+d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, declared := range namesOf(spec) {
					names = append(names, declared.Name)
				}
			}
		}
	}
	return slices.Compact(names)
}
