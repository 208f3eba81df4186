package mpsevents_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommentsAndNamesArePlainEnglish checks the rules for comments and names in CONTRIBUTING.md that a
// program can check.
func TestCommentsAndNamesArePlainEnglish(t *testing.T) {
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		path = filepath.ToSlash(path)
		for _, complaint := range complaintsAbout(t, path) {
			assert.Fail(t, complaint)
		}
		return nil
	}))
}

// complaintsAbout parses a file and returns a line for each comment and name that is not plain English.
func complaintsAbout(t *testing.T, path string) (complaints []string) {
	t.Helper()
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, path, nil, parser.ParseComments)
	require.NoError(t, err)
	complain := func(at token.Pos, complaint string) {
		complaints = append(complaints, positions.Position(at).String()+": "+complaint)
	}
	check := func(kind string, names []*ast.Ident, comments ...*ast.CommentGroup) {
		for _, name := range names {
			for _, comment := range comments {
				if wrong := wrongBeginning(kind, name.Name, comment.Text()); wrong != "" {
					complain(comment.Pos(), wrong)
				}
			}
		}
	}
	checkValues := func(names []*ast.Ident, comments ...*ast.CommentGroup) {
		for _, name := range names {
			if limitByMost.MatchString(name.Name) {
				complain(name.Pos(), name.Name+": the name of a limit begins with max")
			}
		}
		check("value", names, comments...)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			kind := "function"
			if testFunction.MatchString(n.Name.Name) || suiteTest.MatchString(n.Name.Name) && takesT(n) {
				kind = "test"
			}
			check(kind, []*ast.Ident{n.Name}, n.Doc)
		case *ast.InterfaceType:
			for _, method := range n.Methods.List {
				check("function", method.Names, method.Doc, method.Comment)
			}
			return false
		case *ast.GenDecl:
			if len(n.Specs) == 1 { // else the comment is one of a group
				check("value", namesOf(n.Specs[0]), n.Doc)
			}
		case *ast.TypeSpec:
			checkValues(namesOf(n), n.Doc, n.Comment)
		case *ast.ValueSpec:
			checkValues(namesOf(n), n.Doc, n.Comment)
		case *ast.Field:
			checkValues(n.Names, n.Doc, n.Comment)
		}
		return true
	})
	return complaints
}

// takesT reports whether the first parameter of a function is a *testing.T.
func takesT(f *ast.FuncDecl) bool {
	if len(f.Type.Params.List) == 0 {
		return false
	}
	pointer, is := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !is {
		return false
	}
	of, is := pointer.X.(*ast.SelectorExpr)
	return is && of.Sel.Name == "T"
}

// namesOf returns the names that a declaration declares.
func namesOf(spec ast.Spec) []*ast.Ident {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{s.Name}
	case *ast.ValueSpec:
		return s.Names
	}
	return nil
}

var (
	testFunction = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)([^a-z]|$)`)
	suiteTest    = regexp.MustCompile(`^test[A-Z]`) // a test of a suite that other packages run
	limitByMost  = regexp.MustCompile(`^most($|[A-Z])`)
	thirdPerson  = regexp.MustCompile(`^[a-z-]+s$`)
	riddle       = regexp.MustCompile(`^(is|are|was|were|says|tells) (how|what|who|whom|whose|when|where|why|whether|that|those|by whom|by what|by which)\b`)
)

// wrongBeginning returns the reason why the first words of a comment are not plain English, or "".
func wrongBeginning(kind, name, comment string) string {
	if comment == "" {
		return ""
	}
	rest, named := strings.CutPrefix(strings.Join(strings.Fields(comment), " "), name+" ")
	verb, _, _ := strings.Cut(strings.TrimRight(rest, ".,:;"), " ")
	verb = strings.TrimRight(verb, ".,:;")
	switch {
	case named && kind != "function" && riddle.MatchString(rest):
		return name + ": write \"" + name + " is the <noun> that ...\" instead of \"" + riddle.FindString(rest) + "\""
	case kind != "function":
		return ""
	case !named:
		return name + ": the comment of a function begins with its name and a verb"
	case verb == "is" || verb == "was" || !thirdPerson.MatchString(verb):
		return name + ": the comment of a function says what it does with a verb, not \"" + name + " " + verb + "\""
	}
	return ""
}
