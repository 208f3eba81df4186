package rulefile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader reads a YAML file. After a mistake it goes on, to find the next.
type reader struct {
	file     string
	targets  map[*ast.AliasNode]ast.Node
	mistakes MistakesError
	visited  int
	spent    bool // a limit is reached: the rest stays unread
}

// These limits keep every file quick to read: the parser's time grows with the square of the
// depth, and of the keys of a mapping.
const (
	maxBytes    = 1 << 20
	maxDepth    = 100     // of lists and mappings in each other
	maxKeys     = 20_000  // of all mappings together
	maxNodes    = 100_000 // of values, each time that an alias repeats them
	maxMistakes = 100     // in one error
)

// read parses a file of one document. It returns nil for an empty file.
func (r *reader) read(text []byte) (root ast.Node) {
	defer func() {
		// No text may end the process, even if the parser panics.
		if reason := recover(); reason != nil {
			r.fail(nil, "this is no YAML that can be read: %v", reason)
			root = nil
		}
	}()
	if len(text) > maxBytes {
		r.fail(nil, "the file has %d bytes: want at most %d", len(text), maxBytes)
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if at, much := tooMuch(tokens); at != nil {
		r.failAt(at, "%s", much)
		return nil
	}
	if r.tags(tokens) {
		return nil
	}
	parsed, err := parser.Parse(tokens, 0)
	var wrong yaml.Error
	switch {
	case errors.As(err, &wrong):
		r.failAt(wrong.GetToken(), "%s", yamlInOurWords(wrong.GetMessage(), wrong.GetToken()))
		return nil
	case err != nil:
		r.fail(nil, "%w", err)
		return nil
	case len(parsed.Docs) == 0:
		return nil
	case len(parsed.Docs) > 1:
		r.fail(parsed.Docs[1].Body, "a second document: want one a file")
	}
	r.targets = map[*ast.AliasNode]ast.Node{}
	ast.Walk(linker{r, map[string]ast.Node{}, nil}, parsed.Docs[0])
	return parsed.Docs[0].Body
}

// yamlInOurWords returns the parser's error text with the mend of frequent mistakes.
func yamlInOurWords(message string, at *token.Token) string {
	const indented = "this line is indented more or less than those that it belongs to"
	if at == nil {
		return message
	}
	firstOfLine := at.Prev == nil || at.Prev.Position.Line < at.Position.Line
	switch {
	case strings.Contains(message, "'\t'"):
		return "a tab, where YAML wants spaces"
	case strings.HasPrefix(message, "mapping value is not allowed"):
		if strings.Contains(strings.TrimSpace(at.Origin), "\n") {
			return "the line below is indented too far"
		}
		return message + `; a text that holds ": " wants quotes`
	case strings.HasPrefix(message, "value is not allowed") && firstOfLine:
		return indented
	case strings.HasPrefix(message, "value is not allowed"), strings.HasPrefix(message, "found an invalid key"):
		return `a text that begins with a quote or a bracket ends with it: put quotes around the whole, as in '"x" in msg.list' or "{topic} is open"`
	case strings.HasPrefix(message, "',' or '"), strings.HasPrefix(message, "could not find flow map"):
		return `a brace or a bracket is not closed, or a text within it wants quotes: one with a brace, a bracket or a comma, as in {key: "a/{topic}"}`
	case strings.HasSuffix(message, "is a reserved character"):
		return message + "; a text that begins with it wants quotes"
	}
	return message
}

// condition matches the beginning of a condition that YAML takes for a tag.
var condition = regexp.MustCompile(`^!+($|\(|(msg|event|topic|server|properties|option|lower|upper|trim|split)\b)`)

// tags finds tags, which are all mistakes, and reports whether there are any. The caller must not
// parse such a file: the parser takes what follows a tag for its value.
func (r *reader) tags(tokens token.Tokens) (found bool) {
	for _, t := range tokens {
		if t.Type != token.TagType {
			continue
		}
		found = true
		if condition.MatchString(t.Value) {
			r.failAt(t, "what begins with ! is a tag to YAML: put quotes around the condition, or write not instead of !")
		} else {
			r.failAt(t, "the tag %s means nothing here; leave it out", t.Value)
		}
	}
	return found
}

// tooMuch returns the token that exceeds a limit, and the error text. It counts only the blocks
// within a line: those over several lines need longer and longer lines, so maxBytes limits them.
func tooMuch(tokens token.Tokens) (at *token.Token, what string) {
	flow, block, line, keys := 0, 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			block, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			block++
		case token.MappingValueType:
			keys++
		}
		switch {
		case flow > maxDepth || block > maxDepth:
			return t, fmt.Sprintf("more than %d lists and mappings in each other", maxDepth)
		case keys > maxKeys:
			return t, fmt.Sprintf("more than %d keys", maxKeys)
		}
	}
	return nil, ""
}

// linker finds the value that each alias repeats, in the order of the file.
type linker struct {
	*reader
	anchors map[string]ast.Node
	within  []string // the anchors of the values around
}

// Visit notes an anchor or resolves an alias; the parser calls it for each node.
func (l linker) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		l.anchors[name] = n.Value
		l.within = append(slices.Clip(l.within), name)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, known := l.anchors[name]
		switch {
		case !known:
			l.fail(n, "there is no &%s before this", name)
		case slices.Contains(l.within, name):
			l.fail(n, "*%s stands in the very value that it repeats", name)
		default:
			l.targets[n] = target
		}
		return nil
	}
	return l
}

// fail adds a mistake at a node.
func (r *reader) fail(n ast.Node, format string, args ...any) {
	r.failAt(tokenOf(n), format, args...)
}

// failAt adds a mistake at a token.
func (r *reader) failAt(t *token.Token, format string, args ...any) {
	if r.spent {
		return // the reader has skipped the value, which may be right
	}
	m := r.placeOf(t)
	m.Text = fmt.Errorf(format, args...).Error()
	if len(r.mistakes) == maxMistakes {
		m.Text, r.spent = "so much for now: mend these first", true
	}
	r.mistakes = append(r.mistakes, m)
}

// place returns the place of a node.
func (r *reader) place(n ast.Node) Mistake { return r.placeOf(tokenOf(n)) }

func (r *reader) placeOf(t *token.Token) Mistake {
	if t == nil || t.Position == nil {
		return Mistake{File: r.file, Line: 1, Column: 1}
	}
	return Mistake{File: r.file, Line: t.Position.Line, Column: t.Position.Column}
}

// tokenOf returns the token at which a node begins for a human reader, or nil.
func tokenOf(n ast.Node) *token.Token {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return tokenOf(n.Values[0])
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// bare returns the value without anchor and alias, or nil if there is none.
func (r *reader) bare(n ast.Node) ast.Node {
	if r.visited++; r.visited > maxNodes {
		r.fail(n, "the file holds more than %d values, with those that aliases repeat", maxNodes)
		r.spent = true
	}
	if r.spent {
		return nil
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		return r.bare(n.Value)
	case *ast.AliasNode:
		return r.bare(r.targets[n])
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil
	}
	return n
}

// pair is an entry of a mapping.
type pair struct {
	key   string
	at    ast.Node
	value ast.Node // nil: none
	alias bool     // the value is an alias, perhaps an unknown one
}

// pairs returns the entries of a mapping, and false if n is none. Entries that <<: merges come
// last, unless the mapping has their keys itself.
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
	has := map[string]bool{}
	add := func(p pair) {
		if !has[p.key] {
			has[p.key] = true
			all = append(all, p)
		}
	}
	for _, v := range values {
		if !v.Key.IsMergeKey() {
			_, alias := v.Value.(*ast.AliasNode)
			add(pair{v.Key.GetToken().Value, v.Key, r.bare(v.Value), alias})
		}
	}
	for _, v := range values {
		if !v.Key.IsMergeKey() {
			continue
		}
		r.list(v.Value, func(n ast.Node) {
			merged, ok := r.pairs(n)
			if !ok {
				r.fail(v, "<<: want an alias of a mapping, such as *common")
			}
			for _, p := range merged {
				add(p)
			}
		})
	}
	return all, true
}

// fields maps the keys of a mapping to functions that read their values.
type fields map[string]func(ast.Node)

// object reads a mapping with known keys, and returns the keys that it has.
func (r *reader) object(n ast.Node, what string, known fields) map[string]bool {
	pairs, ok := r.pairs(n)
	if !ok {
		r.fail(n, "%s: want a mapping of %s", what, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.key] = true
		read, ok := known[p.key]
		switch {
		case !ok:
			r.fail(p.at, "%s has no key %.60q%s", what, p.key, suggestionOr(p.key, slices.Sorted(maps.Keys(known))))
		case p.value != nil:
			read(p.value)
		case p.key == "rules": // noRules says more
		case !p.alias:
			r.fail(p.at, "%s has no value: give it one or leave it out", p.key)
		}
	}
	return has
}

// list reads a list; a single value stands for a list of one.
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

// any returns the JSON form of a value.
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

// wholeNumber converts a number of the parser to int, or to float64 if no int holds it.
func wholeNumber(v any) any {
	switch v := v.(type) {
	case int64:
		return int(v)
	case uint64:
		if v <= math.MaxInt {
			return int(v)
		}
		return float64(v)
	default:
		return v
	}
}
