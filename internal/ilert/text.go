package ilert

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is the length of a Line in bytes: 200 of them are no longer than a rule's text may be.
const maxLine = 150

// Line returns a text as one line that a list can hold, whatever a message has put into it: white
// space becomes a blank, what cannot be printed becomes U+FFFD, and the middle of a long text
// is left out.
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
