package ilert_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/ilert"
)

func TestALineIsHarmlessWhateverAMessageHasPutIntoIt(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"door/1":                   "door/1",
		" a\r\nb\tc\u00a0d ":       "a  b c d",
		"\x00\x07\x1b\x7f\u0085":   strings.Repeat("\uFFFD", 5),
		"a\xffb":                   "a\uFFFDb",
		"\u2028\u2029\u202e\ufeff": strings.Repeat("\uFFFD", 4),
		"\u00fc \u4e16 \U0001f525": "\u00fc \u4e16 \U0001f525",
		"begin" + strings.Repeat("x", 500) + "end": "begin" + strings.Repeat("x", 92) + "..." + strings.Repeat("x", 47) + "end",
	} {
		assert.Equal(t, want, ilert.Line(text), "%q", text)
	}
	for n := range 500 {
		line := ilert.Line(strings.Repeat("\u4e16", n) + strings.Repeat("x", n%5))
		assert.LessOrEqual(t, len(line), 150)
		assert.True(t, utf8.ValidString(line), "%q", line)
		assert.NotContains(t, line, "\uFFFD")
	}
}
