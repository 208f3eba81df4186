package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// isGUID reports whether a node is event.guid.
func isGUID(n ast.Node) bool {
	member, isMember := n.(*ast.MemberNode)
	if !isMember {
		return false
	}
	of, isVariable := member.Node.(*ast.IdentifierNode)
	field, isField := member.Property.(*ast.StringNode)
	return isVariable && isField && of.Value == "event" && field.Value == "guid"
}

// comparesTexts lists the operators that compare a text with others.
var comparesTexts = []string{"==", "!=", "in", "startsWith", "endsWith", "contains", "matches"}

// escapes matches the parts of a pattern whose capitals mean no letters.
var escapes = regexp.MustCompile(`\\(p\{\w+\}|.)`)

// guids checks what is compared with event.guid, which is always in small letters: a text with
// capitals is a mistake, and an option is made of small letters, because people copy guids in
// either case.
func (w *walker) guids(n *ast.BinaryNode) error {
	if !slices.Contains(comparesTexts, n.Operator) {
		return nil
	}
	var other ast.Node
	switch {
	case isGUID(n.Left):
		other = n.Right
	case isGUID(n.Right):
		other = n.Left
	default:
		return nil
	}
	if value := optionOf(other, w.options); value != nil {
		name := other.(*ast.MemberNode).Property.(*ast.StringNode).Value
		if text, isText := value.(string); isText && text != strings.ToLower(text) {
			w.options[name] = strings.ToLower(text)
		}
		if list, isList := value.(map[string]bool); isList {
			toSmallLetters(list)
		}
		return nil
	}
	texts := []ast.Node{other}
	if list, isList := other.(*ast.ArrayNode); isList {
		texts = list.Nodes
	}
	for _, node := range texts {
		text, isText := node.(*ast.StringNode)
		if !isText {
			continue
		}
		letters := text.Value
		if n.Operator == "matches" {
			if letters = escapes.ReplaceAllString(letters, ""); strings.Contains(letters, "(?i") {
				continue
			}
		}
		if letters != strings.ToLower(letters) && n.Operator == "matches" {
			return fmt.Errorf("event.guid never matches %q, because it is always in small letters; write these, or (?i) at the beginning", text.Value)
		}
		if letters != strings.ToLower(letters) {
			return fmt.Errorf("event.guid is never %q, because it is always in small letters; write %q", text.Value, strings.ToLower(text.Value))
		}
	}
	return nil
}

// toSmallLetters changes the texts of a list to small letters. It changes the list itself, because
// conditions that were read before may have it.
func toSmallLetters(list map[string]bool) {
	for text := range maps.Clone(list) {
		if small := strings.ToLower(text); small != text {
			delete(list, text)
			list[small] = true
		}
	}
}
