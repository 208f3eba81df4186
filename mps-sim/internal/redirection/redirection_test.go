package redirection_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/mps-sim/internal/redirection"
)

// client is the client of a session.
type client struct {
	t *testing.T
	*redirection.Session
}

// say sends bytes and returns the answer.
func (c client) say(data string) string {
	c.t.Helper()
	answer, err := c.Receive([]byte(data))
	require.NoError(c.t, err)
	return string(answer)
}

const (
	queryWays = "\x13\x00\x00\x00\x00\x00\x00\x00\x00"
	noDigest  = "\x13\x00\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	aDigest   = "\x13\x00\x00\x00\x04\x0a\x00\x00\x00\x05admin\x01r\x01n"
)

// signIn starts a session and signs in, as Open AMT's clients do.
func signIn(t *testing.T, protocol string, on bool) client {
	t.Helper()
	c := client{t, redirection.New("kiosk-60", on)}
	assert.Equal(t, "\x11"+strings.Repeat("\x00", 12), c.say("\x10\x00\x00\x00"+protocol))
	assert.Equal(t, "\x14\x00\x00\x00\x00\x01\x00\x00\x00\x04", c.say(queryWays))
	challenge := c.say(noDigest)
	assert.Equal(t, "\x14\x01\x00\x00\x04", challenge[:5])
	assert.Contains(t, challenge, "\x10Digest:SIMULATED\x100123456789abcdef\x04auth")
	assert.Equal(t, "\x14\x00\x00\x00\x04\x00\x00\x00\x00", c.say(aDigest))
	return c
}

func TestASerialLineEchoes(t *testing.T) {
	c := signIn(t, "SOL ", true)
	greeting := c.say("\x20" + strings.Repeat("\x00", 23))
	assert.Equal(t, "\x21"+strings.Repeat("\x00", 22), greeting[:23])
	assert.Equal(t, byte(0x2a), greeting[23])
	assert.Contains(t, greeting, "kiosk-60, a simulated device\r\nlogin: ")
	assert.Empty(t, c.say("\x27\x00\x00\x00\x01\x00\x00\x00\x00\x00\x1b\x00\x00\x00"))
	assert.Empty(t, c.say("\x2b\x00\x00\x00\x02\x00\x00\x00"))
	assert.Empty(t, c.say("\x28\x00\x00\x00\x03\x00\x00\x00\x01"), "half of a command")
	assert.Equal(t, "\x2a\x00\x00\x00\x02\x00\x00\x00\x01\x00a", c.say("\x00a"))
	assert.Contains(t, c.say("\x28\x00\x00\x00\x04\x00\x00\x00\x01\x00\r"), "no operating system")
	_, err := c.Receive([]byte("\x12\x00\x00\x00"))
	require.ErrorIs(t, err, redirection.ErrEnded)
}

func TestAScreenIsDrawnOnceInTiles(t *testing.T) {
	for _, on := range []bool{true, false} {
		c := signIn(t, "KVMR", on)
		assert.Equal(t, "\x41\x00\x00\x00\x00\x00\x00\x00RFB 003.008\n", c.say("\x40\x00\x00\x00\x00\x00\x00\x00"))
		assert.Equal(t, "\x01\x01", c.say("RFB 003.008\n"))
		assert.Equal(t, "\x00\x00\x00\x00", c.say("\x01"))
		assert.Equal(t, "\x01\x40\x00\xc0\x10\x10\x00\x01\x00\x1f\x00\x3f\x00\x1f\x0b\x05\x00\x00\x00\x00\x00\x00\x00\x08kiosk-60", c.say("\x01"))
		const changes = "\x03\x01\x00\x00\x00\x00\x01\x40\x00\xc0"
		picture := c.say("\x02\x00\x00\x01\x00\x00\x00\x00" + changes)
		assert.Len(t, picture, 4+15*(12+64*64*2))
		assert.Equal(t, "\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x40\x00\x40\x00\x00\x00\x00", picture[:16])
		assert.Equal(t, on, strings.Contains(picture, "\xff\xff\xff\xff"))
		assert.Empty(t, c.say(changes), "nothing has changed")
		assert.Empty(t, c.say("\x04\x01\x00\x00\x00\x00\x00a\x05\x00\x00\x01\x00\x01"))
		assert.Len(t, c.say("\x00\x00\x00\x00\x08\x08\x00\x01\x00\x07\x00\x07\x00\x03\x05\x02\x00\x00\x00\x00"+changes), 4+15*(12+64*64))
	}
}

func TestMistakesEndTheSession(t *testing.T) {
	const httpGet = "GET "
	for sent, want := range map[string]string{
		"\x10\x00\x00\x00IDER": `"IDER" is not simulated`,
		httpGet:                "command 0x47 is not part",
		queryWays:              "before the start of the session",
		"\x10\x00\x00\x00KVMR\x40\x00\x00\x00\x00\x00\x00\x00":                                  "before the client has signed in",
		"\x10\x00\x00\x00KVMR" + aDigest + "\x40\x00\x00\x00\x00\x00\x00\x00" + version:         "message 9 is not part of RFB",
		"\x10\x00\x00\x00KVMR\x13\x00\x00\x00\x04\xff\xff\xff\xff" + strings.Repeat("x", 1<<17): "",
	} {
		_, err := redirection.New("a", true).Receive([]byte(sent))
		require.ErrorContains(t, err, want)
	}
}

const version = "RFB 003.008\n\x01\x01\x09"

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x10\x00\x00\x00KVMR"+aDigest), []byte("\x40\x00\x00\x00\x00\x00\x00\x00RFB 003.008\n\x01\x01\x03"))
	f.Add([]byte("\x10\x00\x00\x00SOL "+aDigest), []byte("\x28\x00\x00\x00\x03\x00\x00\x00\x01\x00a"))
	f.Fuzz(func(_ *testing.T, first, second []byte) {
		s := redirection.New("a", true)
		if _, err := s.Receive(first); err == nil {
			_, _ = s.Receive(second)
		}
	})
}
