package rules

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr"
)

// People who know another language forget the braces of an expression, or write those of that
// language. The text would be the same for all messages, and nobody would notice before the first
// alert.
var (
	// path matches the beginning of an expression that no plain text begins with.
	path = regexp.MustCompile(`^(msg|item|event|properties|option)(\??\.\w+|\[[^]]*\])+`)
	call = regexp.MustCompile(`^(default|truncate|replace|fromJSON|number|find|len|lower|upper|trim|trimPrefix|trimSuffix|split|string|int|float)\(`)
	// variable matches a name that may also begin a plain text.
	variable = regexp.MustCompile(`^(topic|server|msg|payload|item|rule|group)\b`)

	dollar = regexp.MustCompile(`\$\{\s*([^{}]*?)\s*\}`)
	jinja  = regexp.MustCompile(`(^|[^{])\{\{-?\s*((?:msg|item|event|properties|option|payload|value_json|trigger)\b[^{}]*?|topic|server|rule|group)\s*-?\}\}`)
	// theirs matches the names of the message in other programs.
	theirs = regexp.MustCompile(`^(?:(?:value_json|trigger)\b|payload(\.))`)
	// shell matches a variable that is written as in a shell.
	shell = regexp.MustCompile(`\$((?:msg|item|event|properties|option)(?:\??\.\w+|\[[^]]*\])*|topic|server|payload|rule|group)\b`)
	// bare matches an expression within a text that no plain text would contain.
	bare  = regexp.MustCompile(`(?:^|[^\w.@/$}-])((msg)((?:\.\w+)+)|(event)(\.(?:type|message|methods?|guid|timestamp|outcome|httpstatus))\b)`)
	brace = regexp.MustCompile(`\{\s*(msg|item|payload|event|properties|option|topic|server|rule|group|lower|split|default)\b`)
)

// braces returns an error if the template seems to lack braces or to use those of another
// language.
func (t *Template) braces(text string, limits Limits, options map[string]any) error {
	if m := jinja.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%.80q: two braces are one that stands for itself; write {%s}", text, theirs.ReplaceAllString(m[2], "msg$1"))
	}
	if m := dollar.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%.80q: an expression has no $ before its braces; write {%s}, or {\"$\"} for one that stands for itself", text, m[1])
	}
	_, literal := t.Literal()
	if literal {
		if begins := expressionIn(strings.TrimSpace(text), options); begins != "" {
			return fmt.Errorf("%.80q has no braces, so it is the same text for all messages; write {%s}", text, begins)
		}
	}
	for i, p := range t.parts {
		if i > 0 {
			p.text = "}" + p.text
		}
		if err := barePart(text, p.text); err != nil {
			return err
		}
	}
	if !literal {
		return nil
	}
	if limits&Varies != 0 {
		return fmt.Errorf("%.80q is the same for all messages; want an expression in braces, such as \"{topic}\"", text)
	}
	return nil
}

// barePart returns an error if a part of a text seems to contain an expression without braces.
func barePart(text, part string) error {
	if m := shell.FindStringSubmatch(part); m != nil {
		return fmt.Errorf("%.80q: an expression stands in braces, without a $; write {%s}, or {\"$\"}%[2]s for that very text", text, m[1])
	}
	if m := bare.FindStringSubmatch(part); m != nil {
		return fmt.Errorf("%.80q: an expression stands in braces; write {%s}, or {%q}%s for that very text", text, m[1], m[2]+m[4], m[3]+m[5])
	}
	return nil
}

// expressionIn returns the expression at the beginning of a text without braces, or "" if the
// text is plain.
func expressionIn(text string, options map[string]any) string {
	begins, called := path.FindString(text), call.FindString(text)
	if begins == "" && called == "" && !variable.MatchString(text) {
		return ""
	}
	if _, err := compile(text, expr.AsAny(), options); err == nil {
		return text
	}
	if called != "" {
		return called + "...)"
	}
	return begins
}

// bracesIn returns an error if a condition that does not compile was written as a template.
func bracesIn(condition string) error {
	if !strings.HasPrefix(condition, "{") && !brace.MatchString(condition) {
		return nil
	}
	return fmt.Errorf("conditions take no braces; write %.200s", strings.TrimSpace(strings.NewReplacer("{%", "", "%}", "", "${", "", "{", "", "}", "", " }}", "", "{{ ", "").Replace(condition)))
}
