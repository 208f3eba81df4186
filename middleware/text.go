package middleware

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// These are the limits, in bytes, of texts from callers and handlers in an event. Without them a
// caller could make an event so large that the emitter refuses it.
const (
	maxGUID    = 256 // the guid of a device has 36
	maxMessage = 512
	maxActor   = 256
	maxMethod  = 32 // the longest method in HTTP's registry has 17
)

// shortMark is the end of a text that was shortened.
const shortMark = "…"

// shortened returns s or, if s has more than limit bytes, its beginning with shortMark after it.
// It cuts between characters if s is UTF-8.
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

// printable returns s with ? instead of each character that event.Event refuses in an actor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, s)
}
