package middleware

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits, in bytes, of what callers and handlers write into an event, so that no call
// keeps itself out of the record by the size of its event.
const (
	maxGUID    = 256 // a device's has 36
	maxMessage = 512
	maxActor   = 256
	maxMethod  = 32 // of HTTP: those of its registry have at most 17
)

// shortMark ends a text that was shortened.
const shortMark = "…"

// shortened returns s, or its beginning with shortMark behind it if s is longer than limit bytes.
// It cuts between characters where s is UTF-8.
func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit - len(shortMark)
	for range utf8.UTFMax - 1 {
		if utf8.RuneStart(s[cut]) {
			break
		}
		cut--
	}
	return s[:cut] + shortMark
}

// printable returns s with a ? for each character that event.Event refuses in an actor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, s)
}
