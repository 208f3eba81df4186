package ilert

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is the maximum length of a Line in bytes: 200 lines are not longer than a rule's text may
// be.
const maxLine = 150

// Line returns a text of a message as one line for a list. It replaces white space by blanks,
// and characters that cannot be printed by U+FFFD, and leaves out the middle of a long text.
func Line(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t', unicode.Is(unicode.Zs, r):
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD")))
	if len(text) <= maxLine {
		return text
	}
	const gap = "..."
	end := maxLine / 3
	begin := maxLine - end - len(gap)
	for !utf8.RuneStart(text[begin]) {
		begin--
	}
	tail := len(text) - end
	for !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:begin] + gap + text[tail:]
}
