package rules

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr"
)

// Whoever comes from another language forgets the braces of an expression, or writes
// those of that language. The text would be the same for all messages, and nobody would
// know before the first alert.
var (
	// path is what begins as an expression does, and as no plain text would.
	path = regexp.MustCompile(`^(msg|event|properties|option)(\??\.\w+|\[[^]]*\])+`)
	call = regexp.MustCompile(`^(default|truncate|len|lower|upper|trim|trimPrefix|trimSuffix|split|string|int|float)\(`)
	// variable may begin a plain text, too.
	variable = regexp.MustCompile(`^(topic|server|msg|rule|group)\b`)

	dollar = regexp.MustCompile(`\$\{\s*([^{}]*?)\s*\}`)
	jinja  = regexp.MustCompile(`(^|[^{])\{\{-?\s*((?:msg|event|properties|option|payload|value_json|trigger)\b[^{}]*?|topic|server|rule|group)\s*-?\}\}`)
	// theirs is the name by which others call the message.
	theirs = regexp.MustCompile(`^(payload|value_json|trigger)\b`)
	// shell is a variable as shells have it.
	shell = regexp.MustCompile(`\$((?:msg|event|properties|option)(?:\??\.\w+|\[[^]]*\])*|topic|server|rule|group)\b`)
	// bare is an expression within a text that no plain text would hold.
	bare  = regexp.MustCompile(`(?:^|[^\w.@/$}-])((msg)((?:\.\w+)+)|(event)(\.(?:type|message|methods?|guid|timestamp|outcome|httpstatus))\b)`)
	brace = regexp.MustCompile(`\{\s*(msg|event|properties|option|topic|server|rule|group|lower|split|default)\b`)
)

// braces says what is wrong with the braces of a template, or with their absence.
func (l *loader) braces(text string, t *template, limits limits) error {
	if m := jinja.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%.80q: two braces are one that stands for itself; write {%s}", text, theirs.ReplaceAllString(m[2], "msg"))
	}
	if m := dollar.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%.80q: an expression has no $ before its braces; write {%s}, or {\"$\"} for one that stands for itself", text, m[1])
	}
	_, literal := t.literal()
	if literal {
		if begins := l.expressionIn(strings.TrimSpace(text)); begins != "" {
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
	if limits&varies != 0 {
		return fmt.Errorf("%.80q is the same for all messages; want an expression in braces, such as \"{topic}\"", text)
	}
	return nil
}

// barePart says which expression stands without braces in a part of a text.
func barePart(text, part string) error {
	if m := shell.FindStringSubmatch(part); m != nil {
		return fmt.Errorf("%.80q: an expression stands in braces, without a $; write {%s}, or {\"$\"}%[2]s for that very text", text, m[1])
	}
	if m := bare.FindStringSubmatch(part); m != nil {
		return fmt.Errorf("%.80q: an expression stands in braces; write {%s}, or {%q}%s for that very text", text, m[1], m[2]+m[4], m[3]+m[5])
	}
	return nil
}

// expressionIn is the expression that a text without braces begins with; empty if it is
// plain text.
func (l *loader) expressionIn(text string) string {
	begins, called := path.FindString(text), call.FindString(text)
	if begins == "" && called == "" && !variable.MatchString(text) {
		return ""
	}
	if _, err := compile(text, expr.AsAny(), l.file.options); err == nil {
		return text
	}
	if called != "" {
		return called + "...)"
	}
	return begins
}

// bracesIn says so if a condition that cannot be understood was written as a template.
func bracesIn(condition string) error {
	if !strings.HasPrefix(condition, "{") && !brace.MatchString(condition) {
		return nil
	}
	return fmt.Errorf("conditions take no braces; write %.200s", strings.TrimSpace(strings.NewReplacer("{%", "", "%}", "", "${", "", "{", "", "}", "", " }}", "", "{{ ", "").Replace(condition)))
}
