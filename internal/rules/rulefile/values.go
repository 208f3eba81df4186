package rulefile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// scalar reads a value that is neither mapping nor list, as text.
func (r *reader) scalar(n ast.Node, what string) (string, bool) {
	switch n := r.bare(n).(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	case *ast.SequenceNode:
		r.fail(n, "%s: want a text, have a list", what)
	case *ast.MappingNode, *ast.MappingValueNode:
		r.fail(n, "%s: want a text, have a mapping%s", what, unquoted(n))
	default:
		r.fail(n, "%s: want a text", what)
	}
	return "", false
}

// unquoted returns a hint if the author may have meant a template: to YAML its brace begins a
// mapping.
func unquoted(n ast.Node) string {
	if n.GetToken().Type == token.MappingStartType {
		return `; a text that begins with a brace wants quotes, such as "{topic}"`
	}
	return ""
}

// text reads a text.
func (r *reader) text(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		if s, ok := r.scalar(n, what); ok {
			*to = s
		}
	}
}

// texts reads a list of texts.
func (r *reader) texts(to *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		r.list(n, func(n ast.Node) {
			if s, ok := r.scalar(n, what); ok {
				*to = append(*to, s)
			}
		})
	}
}

// boolean reads true or false.
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

// maxCount is the greatest count: far more than a window can contain, and small enough for any
// database.
const maxCount = 1_000_000_000

// count reads a whole number above zero.
func (r *reader) count(to *int, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := strconv.Atoi(s)
		if err != nil || v < 1 || v > maxCount {
			r.fail(n, "%s: %.40q: want a number from 1 to %d", what, s, maxCount)
			return
		}
		*to = v
	}
}

// share reads a number above 0 and up to 1.
func (r *reader) share(to *float64, what string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v > 0 && v <= 1) {
			r.fail(n, "%s: %.40q: want a share above 0 and up to 1, such as 0.5 for a half", what, s)
			return
		}
		*to = v
	}
}

// duration reads a duration above zero.
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

// repeat reads the duration of repeat, in which 0 stands for never.
func (r *reader) repeat(to *time.Duration) func(ast.Node) {
	const never = -1
	return func(n ast.Node) {
		if s, ok := r.scalar(n, "repeat"); ok && s == "0" {
			*to = never
			return
		}
		r.duration(to, "repeat")(n)
	}
}

// maxDuration is the longest duration. Sums of times stay far below the limit of time.Duration.
const maxDuration = 366 * 24 * time.Hour

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
		return 0, fmt.Errorf("%.40q: %s", s, form)
	case d <= 0:
		return 0, fmt.Errorf("%.40q: %s, above zero", s, form)
	case d < time.Second:
		return 0, fmt.Errorf("%.40q: want one second at least", s)
	case d > maxDuration:
		return 0, fmt.Errorf("%.40q: want a year at most", s)
	}
	return d, nil
}

// ParseDuration reads a duration as files of rules have it: 90s, 10m, 1h30m or 7d.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }
