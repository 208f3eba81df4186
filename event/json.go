package event

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends e as MPS writes it and returns the extended slice. It never
// fails: bytes that are no UTF-8 become U+FFFD, and a Timestamp of 0 becomes the
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

// MarshalJSON returns e as AppendJSON writes it, so that an Event inside another
// value is written by encoding/json with the same keys. (encoding/json then
// escapes <, > and &, as it does for every type, unless told otherwise.)
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// plain tells the ASCII characters that stand for themselves in a JSON string.
var plain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// allPlain is plain for eight characters at once, which makes writing an event a fifth
// faster. The highest bit of each byte of a term is set if that character is what the
// term looks for; a borrow may set it wrongly, but only beside one that is set rightly.
func allPlain(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	control, quote, backslash := w-' '*ones, (w^'"'*ones)-ones, (w^'\\'*ones)-ones
	return (w|control|quote|backslash)&highs == 0
}

// appendString quotes s exactly as JavaScript's JSON.stringify does, which is
// not what encoding/json does: only the quote, the backslash and characters
// below U+0020 are escaped (ECMA-262, QuoteJSONString).
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
