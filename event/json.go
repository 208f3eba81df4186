package event

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the JSON of e, as MPS writes it, to dst and returns the extended slice. It
// never fails: it replaces bytes that are not UTF-8 by U+FFFD, and a Timestamp of 0 by the
// current time. It allocates only to grow dst and may be called concurrently.
func (e Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, string(e.Type))
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, e.Message)
	dst = append(dst, `,"methods":[`...)
	for i, m := range e.Methods {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, m)
	}
	dst = append(dst, ']')
	if e.GUID != "" {
		dst = append(dst, `,"guid":`...)
		dst = appendString(dst, e.GUID)
	}
	dst = append(dst, `,"timestamp":`...)
	ms := e.Timestamp
	if ms == 0 {
		ms = time.Now().UnixMilli()
	}
	dst = strconv.AppendInt(dst, ms, 10)
	return append(dst, '}')
}

// MarshalJSON returns the JSON that AppendJSON writes, so that encoding/json writes an Event
// inside another value with the same keys. Unless json.Encoder.SetEscapeHTML(false) is called,
// encoding/json then escapes <, > and &, as it does for every type.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// plain is the set of ASCII characters that a JSON string holds without an escape.
var plain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// allPlain reports whether the first eight characters of s are plain. It looks at all of them at
// once, which makes writing an event a fifth faster: each term sets the highest bit of a byte
// if the character in that byte is the one that the term tests for. A borrow may set the bit of
// a neighbour wrongly, but only if a bit is set rightly as well.
func allPlain(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	control, quote, backslash := w-' '*ones, (w^'"'*ones)-ones, (w^'\\'*ones)-ones
	return (w|control|quote|backslash)&highs == 0
}

// appendString appends s in quotes exactly as JavaScript's JSON.stringify writes it, which
// encoding/json does not: it escapes only the quote, the backslash and characters below U+0020
// (ECMA-262, QuoteJSONString).
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; ; {
		for i+8 <= len(s) && allPlain(s[i:i+8]) {
			i += 8
		}
		for i < len(s) && plain[s[i]] {
			i++
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
