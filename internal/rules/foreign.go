package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// foreign lists words and signs of other languages, and what to write instead. unreadable looks
// for them in expressions that do not parse, outside of quotes. The first group of a pattern
// matches the foreign part; $1 and so on in a mend are the pattern's groups.
var foreign = []struct {
	theirs *regexp.Regexp
	mend   string
}{
	{word(`(?:is|IS)\s+(?:not|NOT)\s+(?:null|NULL|nil|none|None)`), "$1: write != nil"},
	{word(`(?:is|IS)\s+(?:null|NULL|nil|none|None)`), "$1: write == nil"},
	{word(`not\s+like|NOT\s+LIKE`), "$1: write not contains, not startsWith, not endsWith or not matches"},
	{word(`AND|And`), "$1: write and"},
	{word(`OR|Or`), "$1: write or"},
	{word(`NOT|Not`), "$1: write not"},
	{word(`IN|In`), "$1: write in"},
	{word(`if|IF|If|then|THEN`), "$1: write a ? b : c"},
	{word(`like|LIKE`), "$1: write contains, startsWith, endsWith or matches"},
	{word(`between|BETWEEN`), "$1: write two comparisons, as in msg.a >= 5 and msg.a <= 10"},
	{word(`is|IS`), "$1: write =="},
	{word(`does\s+not\s+contain`), "$1: write not contains"},
	{word(`Contains|CONTAINS`), "$1: write contains"},
	{word(`startswith|StartsWith|STARTSWITH|(?:starts|begins)\s+with`), "$1: write startsWith"},
	{word(`endswith|EndsWith|ENDSWITH|ends\s+with`), "$1: write endsWith"},
	{word(`Matches|MATCHES|regexp|REGEXP`), "$1: write matches"},
	{word(`eq|EQ|equals`), "$1: write =="},
	{word(`ne|NE|xor|XOR`), "$1: write !="},
	{word(`gt|GT`), "$1: write >"},
	{word(`lt|LT`), "$1: write <"},
	{word(`gte|GTE|ge|GE`), "$1: write >="},
	{word(`lte|LTE|le|LE`), "$1: write <="},
	{regexp.MustCompile(`(≥|=>=)`), "$1: write >="},
	{regexp.MustCompile(`(≤|=<)`), "$1: write <="},
	{regexp.MustCompile(`(===)`), "$1: write =="},
	{regexp.MustCompile(`(!==|<>|≠)`), "$1: write !="},
	{regexp.MustCompile(`(=>)`), "$1: write >=; there are no functions of one's own"},
	{regexp.MustCompile(`(->)`), "$1: write ."},
	{regexp.MustCompile(`(!~)`), "$1: write not matches"},
	{regexp.MustCompile(`(=~|~=|~)`), "$1: write matches"},
	{regexp.MustCompile(`\bmatches\s+(/((?:[^/\\]|\\.)+)/i)`), "a pattern stands in quotes: matches `(?i)$2`"},
	{regexp.MustCompile("\\bmatches\\s+(/((?:[^/\\\\]|\\\\.)+)/|([^\\s\"'`(\\[/]\\S*))"), "a pattern stands in quotes: matches `$2$3`"},
	{regexp.MustCompile(`(?:^|[^&])(&)(?:[^&]|$)`), "$1: write && or and"},
	{regexp.MustCompile(`(?:^|[^|])(\|\s*(float|int|len|lower|split|string|trim|upper|default|truncate))(?:[^(\w]|$)`), "$1: write $2(...)"},
	{regexp.MustCompile(`(?:^|[^|])(\|)\s*(?:[^|\sa-z]|[a-z]\w*(?:[^(\w]|$))`), "$1: write || or or"},
	{word(`in\s*\(`), "$1: a list stands in square brackets, as in [1, 2]"},
	{regexp.MustCompile(`([“”„‘’])`), `$1: write " or '`},
	{regexp.MustCompile(`[A-Za-z_)\]](\.(\d+))`), "$1: write [$2]"},
	{regexp.MustCompile("[A-Za-z_)\\]](\\.[\"'`])"), `a key with other characters than letters, digits and _ is written msg["a key"]`},
}

// word returns a pattern of words that do not follow a point.
func word(words string) *regexp.Regexp {
	boundary := `\b`
	if strings.HasSuffix(words, `\(`) {
		boundary = ""
	}
	return regexp.MustCompile(`(?:^|[^.\w$])(` + words + `)` + boundary)
}

// texts matches the quoted texts in an expression.
var texts = regexp.MustCompile("\"(?:\\\\.|[^\"\\\\])*\"|'(?:\\\\.|[^'\\\\])*'|`[^`]*`")

// unreadable returns the error for an expression that does not parse.
func unreadable(text string, err error) error {
	code := texts.ReplaceAllStringFunc(text, func(s string) string { return s[:1] + strings.Repeat(" ", len(s)-2) + s[:1] })
	for _, f := range foreign {
		if m := f.theirs.FindStringSubmatchIndex(code); m != nil {
			says := f.theirs.ExpandString(nil, f.mend, text, m)
			return placed(text, utf8.RuneCountInString(text[:m[2]]), string(says))
		}
	}
	return plain(err)
}

// placed returns an error with its place in an expression, given in characters.
func placed(text string, at int, says string) error {
	e := &file.Error{Location: file.Location{From: at}, Message: says}
	return plain(e.Bind(file.NewSource(text)))
}

// unknownName matches expr's error for an unknown name.
var unknownName = regexp.MustCompile(`^unknown name (\S+)`)

// uncompilable returns the error for an expression that parses and does not compile.
func uncompilable(text string, err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return plain(err)
	}
	m := unknownName.FindStringSubmatch(at.Message)
	if m == nil {
		return plain(err)
	}
	before, behind := cutAt(text, at.From)
	return placed(text, at.From, thereIsNo(m[1], before, strings.TrimPrefix(behind, m[1])))
}

// cutAt cuts a text before one of its characters.
func cutAt(text string, at int) (before, behind string) {
	runes := []rune(text)
	at = min(at, len(runes))
	return string(runes[:at]), string(runes[at:])
}

var (
	// payloadNames are the names of the payload in other programs.
	payloadNames = []string{"value_json", "value", "json", "body", "trigger", "$"}
	// packetNames are the parts of an MQTT packet that no rule can read.
	packetNames = []string{"qos", "dup", "packetid", "client", "clientid"}

	afterName = regexp.MustCompile(`^\.(\w+)`)
	hyphened  = regexp.MustCompile(`\.(\w+(?:-\w+)*-)$`)
)

// thereIsNo returns the error text for an unknown name, with what to write instead. before and
// behind are the parts of the expression around the name.
func thereIsNo(name, before, behind string) string {
	none := "there is no " + name
	instead := otherLanguages[strings.ToLower(name)]
	bare := strings.TrimPrefix(name, "$")
	key := hyphened.FindStringSubmatch(before)
	switch {
	case instead != "":
		return none + "; " + instead
	case strings.HasPrefix(strings.TrimSpace(behind), "("):
		return noFunction(name)
	case key != nil:
		return none + fmt.Sprintf(`; a key with a - is written msg["%s%s"]`, key[1], name)
	case slices.Contains(payloadNames, name):
		return none + "; msg is the message, read as JSON: write msg" + afterName.FindString(behind)
	case bare != name && (bare == "item" || slices.Contains(variables, bare)):
		return none + "; write " + bare + ", without a $"
	case strings.EqualFold(name, "retained"):
		return none + "; write retain"
	case slices.Contains(packetNames, strings.ToLower(name)):
		return none + "; of a message there are " + strings.Join(ofMessages, ", ")
	case slices.Contains(numbers, name):
		return none + " here; {" + name + "} stands alone in its braces, in the texts of a rule with a window"
	case slices.Contains(eventFields, name):
		return none + "; an event of Open AMT has event." + name + ", and other messages have msg." + name
	}
	if near := Suggestion(name, variables); near != "" {
		return none + near
	}
	return fmt.Sprintf("%s; what the message has is msg.%s, and a text is %q in quotes", none, bare, bare)
}

// functionsElsewhere maps functions of other languages, in lower case, to what to write instead.
var functionsElsewhere = map[string]string{
	"exists": notNil, "has": notNil, "isset": notNil, "defined": notNil, "is_defined": notNil,
	"str": "write string(...)", "tostring": "write string(...)", "text": "write string(...)",
	"num": "write number(...)", "tonumber": "write number(...)", "parsefloat": "write number(...)", "parsenumber": "write number(...)",
	"json": "write fromJSON(...)", "parsejson": "write fromJSON(...)", "from_json": "write fromJSON(...)", "json_decode": "write fromJSON(...)",
	"replaceall": "write replace(...)", "sub": "write replace(...)",
	"parseint": "write int(...)", "tolower": "write lower(...)", "lowercase": "write lower(...)", "toupper": "write upper(...)",
	"length": "write len(...)", "size": "write len(...)", "strlen": "write len(...)",
	"contains": "write msg.text contains \"...\"", "regex": "write msg.text matches \"...\"", "match": "write msg.text matches \"...\"",
}

const notNil = "write != nil behind what may be missing"

// noFunction returns the error text for an unknown function.
func noFunction(name string) string {
	none := "there is no function " + name
	if instead := functionsElsewhere[strings.ToLower(name)]; instead != "" {
		return none + "; " + instead
	}
	if near := Suggestion(name, functions); near != "" {
		return none + near
	}
	return none + thereAre
}

var thereAre = ": there are " + strings.Join(functions, ", ")

// methodsElsewhere maps functions that other languages write behind a point, in lower case, to
// what to write instead: %[1]s is the value before the point, %[2]s the arguments.
var methodsElsewhere = map[string]string{
	"contains": "%[1]s contains %[2]s", "startswith": "%[1]s startsWith %[2]s", "endswith": "%[1]s endsWith %[2]s",
	"match": "%[1]s matches %[2]s", "matches": "%[1]s matches %[2]s", "test": "%[2]s matches %[1]s",
	"includes": "%[2]s in %[1]s for a list, and %[1]s contains %[2]s for a text",
	"lower":    "lower(%[1]s)", "tolower": "lower(%[1]s)", "tolowercase": "lower(%[1]s)",
	"upper": "upper(%[1]s)", "toupper": "upper(%[1]s)", "touppercase": "upper(%[1]s)",
	"replace": "replace(%[1]s, \"x\", \"y\")", "replaceall": "replace(%[1]s, \"x\", \"y\")",
	"trim": "trim(%[1]s)", "strip": "trim(%[1]s)", "split": "split(%[1]s, %[2]s)",
	"len": "len(%[1]s)", "length": "len(%[1]s)", "size": "len(%[1]s)",
	"tostring": "string(%[1]s)", "string": "string(%[1]s)", "toint": "int(%[1]s)", "tofloat": "float(%[1]s)",
}

// method returns the error for a call of a function behind a point: our language has none.
func method(n *ast.CallNode) error {
	m, ok := n.Callee.(*ast.MemberNode)
	if !ok {
		return nil
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok {
		return errors.New("only the functions that there are can be called" + thereAre)
	}
	called := fmt.Sprintf("%.80s.%s(...)", m.Node, name.Value)
	form, known := methodsElsewhere[strings.ToLower(name.Value)]
	if !known {
		return fmt.Errorf("%s: functions stand before what they are asked of, as in lower(%.80s)%s", called, m.Node, thereAre)
	}
	given := "..."
	if len(n.Arguments) > 0 {
		given = n.Arguments[0].String()
	}
	instead := strings.ReplaceAll(strings.ReplaceAll(form, "%[1]s", m.Node.String()), "%[2]s", given)
	return fmt.Errorf("%s: write %.200s", called, instead)
}

var orders = []string{"<", "<=", ">", ">="}

// comparison returns an error if the compared values make no sense, although expr would compute
// the comparison.
func comparison(n *ast.BinaryNode) error {
	if not, ok := n.Left.(*ast.UnaryNode); ok && (not.Operator == "not" || not.Operator == "!") && isLiteral(n.Right) {
		return fmt.Errorf("%.80s: %s goes with %s alone; write not (%[3]s %[4]s %[5]s)", n, not.Operator, not.Node, n.Operator, n.Right)
	}
	if !slices.Contains(orders, n.Operator) {
		return nil
	}
	left, right := numberInQuotes(n.Left), numberInQuotes(n.Right)
	if (left == "") == (right == "") || ofEvent(n.Left) || ofEvent(n.Right) {
		return nil // expr knows the kinds of an event's fields
	}
	plainly, converted := fmt.Sprintf("%s %s %s", n.Left, n.Operator, right), fmt.Sprintf("float(%s) %s %s", n.Left, n.Operator, right)
	if left != "" {
		plainly, converted = fmt.Sprintf("%s %s %s", left, n.Operator, n.Right), fmt.Sprintf("%s %s float(%s)", left, n.Operator, n.Right)
	}
	return fmt.Errorf("%.80s compares texts, by which \"100\" comes before \"20\"; write %.80s, or %.80s where it may be a text", n, plainly, converted)
}

func isLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// numberInQuotes returns the number in a quoted text, or "" if the text is none.
func numberInQuotes(n ast.Node) string {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return ""
	}
	if _, err := strconv.ParseFloat(s.Value, 64); err != nil {
		return ""
	}
	return s.Value
}

// ofEvent reports whether a node is a field of the event.
func ofEvent(n ast.Node) bool {
	member, ok := n.(*ast.MemberNode)
	if !ok {
		return false
	}
	of, ok := member.Node.(*ast.IdentifierNode)
	return ok && of.Value == "event"
}

// wildcard is the pattern of a topic filter with a wildcard: the levels before it, and those behind it.
var wildcard = regexp.MustCompile(`^(.*?)/(?:(\+)(/.*|\$?)|#\$?)$`)

// filterAsPattern returns an error if the topic is matched with a topic filter, which means
// something else as a pattern.
func filterAsPattern(n *ast.BinaryNode, pattern string) error {
	of, ok := n.Left.(*ast.IdentifierNode)
	m := wildcard.FindStringSubmatch(pattern)
	if !ok || of.Value != "topic" || m == nil {
		return nil
	}
	begin := "^" + strings.TrimPrefix(m[1], "^")
	if m[2] == "" {
		return fmt.Errorf("%.80s: topics hold no #; write .* for all levels that follow, as in %s/.*", n, begin)
	}
	return fmt.Errorf("%.80s: in a pattern + repeats what stands before it; write [^/]+ for a level, as in %s/[^/]+%s", n, begin, m[3])
}

// wildcards returns an error if the topic is compared with a topic filter: no topic contains + or
// #.
func wildcards(n *ast.BinaryNode) error {
	if of, ok := n.Left.(*ast.IdentifierNode); !ok || of.Value != "topic" {
		return nil
	}
	nodes := []ast.Node{n.Right}
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		nodes = list.Nodes
	}
	for _, node := range nodes {
		if s, ok := node.(*ast.StringNode); ok && strings.ContainsAny(s.Value, "+#") {
			return fmt.Errorf("topic is never %q: + and # are for topics, below the rule's name; here write split(topic, \"/\")[0] == \"factory\", or matches", s.Value)
		}
	}
	return nil
}
