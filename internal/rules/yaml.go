package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Mistake is one mistake in a file.
type Mistake struct {
	File         string
	Line, Column int
	Text         string
}

func (m Mistake) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// Mistakes are all that are wrong with the files of rules.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Error()
	}
	return strings.Join(lines, "\n")
}

// reader reads a YAML file, and goes on after a mistake to find the next.
type reader struct {
	file     string
	anchors  map[string]ast.Node
	mistakes Mistakes
	visited  int
}

// read parses a file of one document; nil is an empty one.
func (r *reader) read(text []byte) ast.Node {
	parsed, err := parser.ParseBytes(text, 0)
	var wrong yaml.Error
	switch {
	case errors.As(err, &wrong):
		at := wrong.GetToken().Position
		r.mistakes = append(r.mistakes, Mistake{r.file, at.Line, at.Column, wrong.GetMessage()})
		return nil
	case err != nil:
		r.mistakes = append(r.mistakes, Mistake{r.file, 1, 1, err.Error()})
		return nil
	case len(parsed.Docs) == 0:
		return nil
	case len(parsed.Docs) > 1:
		r.fail(parsed.Docs[1].Body, "a second document: want one a file")
	}
	r.anchors = map[string]ast.Node{}
	return parsed.Docs[0].Body
}

func (r *reader) fail(n ast.Node, format string, args ...any) {
	line, column := 1, 1
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		at := n.GetToken().Position
		line, column = at.Line, at.Column
	}
	r.mistakes = append(r.mistakes, Mistake{r.file, line, column, fmt.Errorf(format, args...).Error()})
}

// mostNodes is how much a file may hold, what aliases repeat included.
const mostNodes = 100_000

// bare is n without what YAML puts around values; nil is none.
func (r *reader) bare(n ast.Node) ast.Node {
	if r.visited++; r.visited > mostNodes {
		if r.visited == mostNodes+1 {
			r.fail(n, "the file holds more than %d values, with those that aliases repeat", mostNodes)
		}
		return nil
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.bare(n.Value)
	case *ast.AliasNode:
		target, known := r.anchors[n.Value.GetToken().Value]
		if !known {
			r.fail(n, "there is no &%s before this", n.Value.GetToken().Value)
			return nil
		}
		return r.bare(target)
	case *ast.TagNode:
		return r.bare(n.Value)
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil
	}
	return n
}

// pair is one entry of a mapping.
type pair struct {
	key   string
	at    ast.Node
	value ast.Node // nil: none
}

// pairs returns the entries of a mapping, and false if n is none.
func (r *reader) pairs(n ast.Node) ([]pair, bool) {
	var values []*ast.MappingValueNode
	switch n := r.bare(n).(type) {
	case nil:
		return nil, true
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, false
	}
	all := make([]pair, 0, len(values))
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged, ok := r.pairs(v.Value)
			if !ok {
				r.fail(v, "<<: want an alias of a mapping")
			}
			all = append(all, merged...)
			continue
		}
		value := r.bare(v.Value)
		all = append(all, pair{v.Key.GetToken().Value, v.Key, value})
	}
	return all, true
}

// fields are what a mapping may hold: how to read each value.
type fields map[string]func(ast.Node)

// object reads a mapping whose keys are known.
func (r *reader) object(n ast.Node, what string, known fields) {
	pairs, ok := r.pairs(n)
	if !ok {
		r.fail(n, "%s: want a mapping, such as\n  key: value", what)
		return
	}
	for _, p := range pairs {
		read, ok := known[p.key]
		if !ok {
			r.fail(p.at, "%s has no key %q%s", what, p.key, suggestionOr(p.key, keysOf(known)))
			continue
		}
		if p.value != nil {
			read(p.value)
		}
	}
}

// list reads a list; one value alone stands for a list of it.
func (r *reader) list(n ast.Node, each func(ast.Node)) {
	sequence, ok := r.bare(n).(*ast.SequenceNode)
	if !ok {
		each(n)
		return
	}
	for _, v := range sequence.Values {
		if v = r.bare(v); v != nil {
			each(v)
		}
	}
}

// scalar is the text of a value that is neither mapping nor list.
func (r *reader) scalar(n ast.Node, what string) (string, bool) {
	switch n := r.bare(n).(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	default:
		r.fail(n, "%s: want a text", what)
		return "", false
	}
}

func (r *reader) text(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		if s, ok := r.scalar(n, what); ok {
			*to = s
		}
	}
}

func (r *reader) texts(to *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		r.list(n, func(n ast.Node) {
			if s, ok := r.scalar(n, what); ok {
				*to = append(*to, s)
			}
		})
	}
}

func (r *reader) boolean(to *bool, what string) func(ast.Node) {
	return func(n ast.Node) {
		b, ok := r.bare(n).(*ast.BoolNode)
		if !ok {
			r.fail(n, "%s: want true or false", what)
			return
		}
		*to = b.Value
	}
}

func (r *reader) count(to *int, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.scalar(n, what)
		v, err := strconv.Atoi(s)
		if ok && (err != nil || v < 1) {
			r.fail(n, "%s: %q: want a number from 1", what, s)
			return
		}
		*to = v
	}
}

func (r *reader) share(to *float64, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.scalar(n, what)
		v, err := strconv.ParseFloat(s, 64)
		if ok && (err != nil || !(v > 0 && v <= 1)) {
			r.fail(n, "%s: %q: want a share above 0 and up to 1, such as 0.5 for a half", what, s)
			return
		}
		*to = v
	}
}

func (r *reader) duration(to *time.Duration, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		d, err := parseDuration(s)
		if err != nil {
			r.fail(n, "%s: %w", what, err)
			return
		}
		*to = d
	}
}

// mostDuration keeps sums of times far from what a number can hold.
const mostDuration = 366 * 24 * time.Hour

// parseDuration reads 90s, 10m, 1h30m or 7d.
func parseDuration(s string) (time.Duration, error) {
	const form = "want a duration such as 90s, 10m, 1h30m or 7d"
	var d time.Duration
	var err error
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(min(max(n, -1), 1000) * float64(24*time.Hour))
	} else {
		d, err = time.ParseDuration(s)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q: %s", s, form)
	case d <= 0:
		return 0, fmt.Errorf("%q: %s, above zero", s, form)
	case d < time.Second:
		return 0, fmt.Errorf("%q: want one second at least", s)
	case d > mostDuration:
		return 0, fmt.Errorf("%q: want a year at most", s)
	}
	return d, nil
}

// any returns whatever stands there, as JSON would have it.
func (r *reader) any(n ast.Node) any {
	switch n := r.bare(n).(type) {
	case nil:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		pairs, _ := r.pairs(n)
		object := map[string]any{}
		for _, p := range pairs {
			object[p.key] = r.any(p.value)
		}
		return object
	case *ast.SequenceNode:
		all := make([]any, 0, len(n.Values))
		for _, v := range n.Values {
			all = append(all, r.any(v))
		}
		return all
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return wholeNumber(n.Value)
	case *ast.FloatNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.StringNode:
		return n.Value
	default:
		return n.GetToken().Value
	}
}

func wholeNumber(v any) any {
	switch v := v.(type) {
	case int64:
		return int(v)
	case uint64:
		if v <= 1<<53 {
			return int(v)
		}
		return float64(v)
	default:
		return v
	}
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// suggestion is ", did you mean ...?" if one of the known names is near.
func suggestion(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least && d < max(len(k)-1, 1) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// suggestionOr is suggestion, or all of the names.
func suggestionOr(name string, known []string) string {
	return cmp.Or(suggestion(name, known), ": it may have "+strings.Join(known, ", "))
}

// distance is how many letters must be changed, added or taken away (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
