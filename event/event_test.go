package event_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
)

func ExampleEvent_AppendJSON() {
	e := event.Event{
		Type:      event.Request,
		Message:   "Power State requested",
		Methods:   []string{"AMT_PowerState"},
		GUID:      "4c4c4544-004b-4210-8033-b6c04f504633",
		Timestamp: 1795321902892,
	}
	fmt.Println(string(e.AppendJSON(nil)))
	// Output: {"type":"request","message":"Power State requested","methods":["AMT_PowerState"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
}

func ExampleParse() {
	e, err := event.Parse([]byte(`{"type":"fail","message":"Device Not Found","methods":["CIRA_Connection"],"guid":"123","timestamp":1}`))
	fmt.Println(e.Type, e.Methods[0], e.GUID, err)
	_, err = event.Parse([]byte(`{"type":"fail","message":"Device Not Found","methods":"CIRA_Connection","timestamp":1}`))
	fmt.Println(err)
	// Output:
	// fail CIRA_Connection 123 <nil>
	// event: methods: got a JSON string, want []string
}

// captured returns the payloads that MPS's own handlers published.
func captured(t testing.TB) [][]byte {
	t.Helper()
	f, err := os.Open("../testdata/mps-capture.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var payloads [][]byte
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct{ Payload string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		payloads = append(payloads, []byte(line.Payload))
	}
	require.NotEmpty(t, payloads)
	return payloads
}

func TestCapturedPayloadsAreWrittenBackToTheSameBytes(t *testing.T) {
	for _, payload := range captured(t) {
		e, err := event.Parse(payload)
		require.NoError(t, err, "%s", payload)
		assert.Equal(t, string(payload), string(e.AppendJSON(nil)))
		assert.NoError(t, e.Validate())
	}
}

func TestStringsAreQuotedAsJSONStringifyQuotesThem(t *testing.T) {
	// The right side is what Node 20 prints for JSON.stringify of the left.
	for in, want := range map[string]string{
		"<a href='x'>&</a>":      `<a href='x'>&</a>`,
		"\"\\/":                  `\"\\/`,
		"\b\f\n\r\t":             `\b\f\n\r\t`,
		"\x00\x1b\x1f":           `\u0000\u001b\u001f`,
		"\x7f\u0080\u2028\u2029": "\x7f\u0080\u2028\u2029",
		"ümläut 😀":               "ümläut 😀",
		"broken \xff\xc3 here":   "broken \uFFFD\uFFFD here",
	} {
		got := string(event.Event{Type: event.Fail, Message: in, Timestamp: 1}.AppendJSON(nil))
		assert.Equal(t, `{"type":"fail","message":"`+want+`","methods":[],"timestamp":1}`, got)
	}
}

func TestTimestampZeroIsNow(t *testing.T) {
	before := time.Now().UnixMilli()
	e, err := event.Parse(event.Event{Type: event.Success}.AppendJSON(nil))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, e.Timestamp, before)
	assert.LessOrEqual(t, e.Timestamp, time.Now().UnixMilli())
}

func TestParseNamesTheFieldAtFault(t *testing.T) {
	for payload, want := range map[string]string{
		``:                              `payload "" is not the JSON of an event`,
		`null`:                          `type is missing`,
		`[]`:                            `not the JSON of an event`,
		`{"type":1}`:                    `type: got a JSON number`,
		`{"type":"toString"}`:           `type "toString": want request, success or fail`,
		`{"type":"fail"}`:               `message is missing`,
		`{"type":"fail","message":"x"}`: `methods is missing`,
		`{"type":"fail","message":"x","methods":[1]}`:                                                `methods: got a JSON number`,
		`{"type":"fail","message":"x","methods":[]}`:                                                 `timestamp is missing`,
		`{"type":"fail","message":"x","methods":[],"timestamp":1.5}`:                                 `timestamp: got a JSON number 1.5`,
		`{"type":"fail","message":"x","methods":[],"timestamp":1e99}`:                                `timestamp: got a JSON number 1e99`,
		`{"type":"fail","message":"x","methods":[],"timestamp":` + strings.Repeat("9", 10_000) + `}`: `timestamp: got a JSON number 999`,
		"{\"type\":\"fail\",\"message\":\"\xff\"}":                                                   `not valid UTF-8`,
		`{"type":"` + strings.Repeat("x", 10_000) + `"}`:                                             `x"...: want request`,
	} {
		_, err := event.Parse([]byte(payload))
		require.Error(t, err, payload)
		assert.Contains(t, err.Error(), want)
		assert.Less(t, len(err.Error()), 200)
	}
}

func TestValidateNamesTheFieldAtFault(t *testing.T) {
	good := event.Connected("123")
	require.NoError(t, good.Validate())
	for want, spoil := range map[string]func(*event.Event){
		`type ""`:         func(e *event.Event) { e.Type = "" },
		`outcome "fine"`:  func(e *event.Event) { e.Outcome = "fine" },
		`httpstatus 42`:   func(e *event.Event) { e.HTTPStatus = 42 },
		`timestamp -1`:    func(e *event.Event) { e.Timestamp = -1 },
		`traceparent "x"`: func(e *event.Event) { e.TraceParent = "x" },
		`actor "a\x00"`:   func(e *event.Event) { e.Actor = "a\x00" },
		`actor "\xff"`:    func(e *event.Event) { e.Actor = "\xff" },
	} {
		bad := good
		spoil(&bad)
		assert.ErrorContains(t, bad.Validate(), want)
	}
}

func TestIsTraceParent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	assert.True(t, event.IsTraceParent(good))
	for _, bad := range []string{
		"", good[1:], good + "-x", "01" + good[2:], strings.ToUpper(good),
		strings.Replace(good, "-", "_", 1),
		good[:35] + "0" + good[36:], good[:52] + "0" + good[53:], good[:53] + "0g",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	} {
		assert.False(t, event.IsTraceParent(bad), bad)
	}
}

func TestATraceParentHasNothingButLowerHex(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for i := 3; i < len(good); i++ {
		if good[i] == '-' {
			continue
		}
		for c := range 256 {
			s := good[:i] + string([]byte{byte(c)}) + good[i+1:]
			assert.Equal(t, strings.ContainsRune("0123456789abcdef", rune(c)), event.IsTraceParent(s), "%q", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, payload := range captured(f) {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := event.Parse(payload)
		if err != nil || e.Timestamp == 0 { // 0 is written as the time of writing
			return
		}
		again, err := event.Parse(e.AppendJSON(nil))
		require.NoError(t, err)
		assert.Equal(t, e, again)
	})
}

// Parse reads the form that servers write by another way than all other forms. A blank before
// the payload chooses the other way: both must return the same.
func FuzzParseReadsTheExactFormAsAnyOther(f *testing.F) {
	for _, payload := range captured(f) {
		f.Add(payload)
	}
	for _, payload := range []string{
		`{"type":"fail","message":"a\"b","methods":["x","y"],"guid":"","timestamp":0}`,
		`{"type":"fail","message":"","methods":["x"],"timestamp":01}`,
		`{"type":"fail","message":"","methods":["x"],"timestamp":-1}`,
		`{"type":"fail","message":"","methods":["x"],"timestamp":9223372036854775808}`,
		`{"type":"fail","message":"","methods":["x",],"timestamp":1}`,
		`{"type":"fail","message":"` + "\x1f" + `","methods":["x"],"timestamp":1}`,
		`{"type":"boom","message":"","methods":["x"],"timestamp":1}`,
		`{"type":"fail","message":"","methods":["x"],"timestamp":}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := event.Parse(payload)
		other, otherErr := event.Parse(append([]byte(" "), payload...))
		assert.Equal(t, other, e)
		assert.Equal(t, otherErr == nil, err == nil)
	})
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("Power State requested", "AMT_PowerState", "\"\\€\x00\n<x>", int64(1))
	f.Fuzz(func(t *testing.T, message, method, guid string, ms int64) {
		written := event.Event{Type: event.Request, Message: message, Methods: []string{method}, GUID: guid, Timestamp: ms}.AppendJSON(nil)
		require.True(t, json.Valid(written), "%s", written)
		e, err := event.Parse(written)
		require.NoError(t, err)
		assert.Equal(t, strings.ToValidUTF8(guid, "\uFFFD") == guid, e.GUID == guid)
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	e := event.Connected("4c4c4544-004b-4210-8033-b6c04f504633")
	e.Timestamp = 1795321902892
	var buf []byte
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
}

func BenchmarkParse(b *testing.B) {
	payload := captured(b)[0]
	for b.Loop() {
		_, _ = event.Parse(payload)
	}
}
