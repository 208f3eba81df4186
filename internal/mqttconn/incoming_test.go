package mqttconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errCut = errors.New("cut")

// pieces is a reader that returns a stream in pieces of some length, and then errCut.
type pieces struct {
	stream []byte
	random *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, errCut
	}
	most := []int{1, 3, 50, 70_000}[p.random.IntN(4)]
	n := copy(b[:min(len(b), 1+p.random.IntN(most))], p.stream)
	p.stream = p.stream[n:]
	return n, nil
}

// check reads a stream in pieces and compares the results with the reference: complete PUBACKs that
// fit into the buffer are passed on, and all other bytes come out unchanged.
func check(t *testing.T, stream []byte, seed uint64) {
	t.Helper()
	acks, rest, wellFormed := reference(stream)
	random := rand.New(rand.NewPCG(seed, 0))
	var told []Puback
	in := newIncoming(&pieces{stream, random}, func(acks []Puback) {
		require.NotEmpty(t, acks)
		told = append(told, acks...)
	})
	var out []byte
	var err error
	for err == nil {
		b := make([]byte, 1+random.IntN(100_000))
		var n int
		n, err = in.Read(b)
		out = append(out, b[:n]...)
	}
	assert.Equal(t, acks, told)
	require.True(t, bytes.Equal(rest, out), "%d bytes instead of %d", len(out), len(rest))
	if wellFormed {
		require.ErrorIs(t, err, errCut)
	} else {
		require.ErrorContains(t, err, "a packet's length has more than 4 bytes")
	}
}

// reference returns the PUBACKs and the other bytes of a whole stream. If the last packet is cut
// off, paho gets the part of it that is there, unless it may be a PUBACK or its header is cut off.
func reference(stream []byte) (acks []Puback, rest []byte, wellFormed bool) {
	for len(stream) > 0 {
		length, n := binary.Uvarint(stream[1:min(len(stream), 5)]) // MQTT's form is the same
		if n <= 0 {
			return acks, rest, len(stream) < 5
		}
		header := 1 + n
		whole := header + int(length)
		packet := stream[:min(whole, len(stream))]
		stream = stream[len(packet):]
		if packet[0] != packets.PUBACK<<4 || length < 2 || whole > 64<<10 {
			rest = append(rest, packet...)
			continue
		}
		if len(packet) < whole {
			break
		}
		ack := Puback{ID: binary.BigEndian.Uint16(packet[header:])}
		if length > 2 {
			ack.Code = packet[header+2]
		}
		acks = append(acks, ack)
	}
	return acks, rest, true
}

// packetOf returns a packet with a first byte and a length, which is written with pad more bytes
// than necessary.
func packetOf(first byte, length, pad int) []byte {
	p := binary.AppendUvarint([]byte{first}, uint64(length))
	for range pad {
		p[len(p)-1] |= 0x80
		p = append(p, 0)
	}
	for i := range length {
		p = append(p, byte(i+1))
	}
	return p
}

const (
	puback   = packets.PUBACK << 4
	publish  = packets.PUBLISH << 4
	pingresp = packets.PINGRESP << 4
)

// streams holds streams of packets that brokers send, and some that they should not send.
var streams = map[string][]byte{
	"nothing":                        nil,
	"a PUBACK without a code":        packetOf(puback, 2, 0),
	"a PUBACK with a code":           packetOf(puback, 3, 0),
	"a PUBACK with properties":       packetOf(puback, 200, 0),
	"a PUBACK with a padded length":  packetOf(puback, 4, 3),
	"a PUBACK that fills the buffer": packetOf(puback, 64<<10-4, 0),
	"a PUBACK beyond the buffer":     append(packetOf(puback, 64<<10-3, 0), packetOf(puback, 2, 0)...),
	"a PUBACK that is too short":     append(packetOf(puback, 1, 0), packetOf(puback, 0, 0)...),
	"a PUBACK with flags":            packetOf(puback|1, 2, 0),
	"PUBACKs around others":          bytes.Join([][]byte{packetOf(puback, 2, 0), packetOf(publish, 300, 1), packetOf(pingresp, 0, 0), packetOf(puback, 3, 0), packetOf(publish, 70_000, 0), packetOf(puback, 2, 0)}, nil),
	"a header that is cut off":       append(packetOf(puback, 2, 0), publish, 0x80),
	"one byte":                       {puback},
	"a PUBACK that is cut off":       packetOf(puback, 9, 0)[:8],
	"another that is cut off":        packetOf(publish, 900, 0)[:500],
	"a length without an end":        append(packetOf(puback, 2, 0), publish, 0x80, 0x80, 0x80, 0x80, 1),
}

func TestPubacksAreTakenOutOfTheStream(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				check(t, stream, seed)
			}
		})
	}
}

func TestAnyStreamIsTakenApartAsTheReferenceDoes(t *testing.T) {
	lengths := []int{0, 1, 2, 2, 2, 3, 4, 4, 10, 127, 128, 300, 16_384, 65_530, 65_536, 70_000}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var stream []byte
		for range random.IntN(60) {
			first := byte(random.IntN(256))
			if random.IntN(2) == 0 {
				first = puback
			}
			length := lengths[random.IntN(len(lengths))]
			pad := 0
			if length < 128 && random.IntN(5) == 0 {
				pad = random.IntN(4)
			}
			stream = append(stream, packetOf(first, length, pad)...)
		}
		if random.IntN(2) == 0 {
			stream = stream[:random.IntN(len(stream)+1)]
		}
		check(t, stream, seed)
		require.False(t, t.Failed(), "seed %d", seed)
	}
}

func FuzzIncoming(f *testing.F) {
	for _, stream := range streams {
		if len(stream) < 1000 {
			f.Add(stream, uint64(0))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) { check(t, stream, seed) })
}

// PUBACKs that have arrived together are passed on at once, and none waits while nothing comes.
func TestPubacksThatComeTogetherArePassedOnAtOnce(t *testing.T) {
	r, w := io.Pipe()
	told := make(chan []Puback, 10)
	in := newIncoming(r, func(acks []Puback) { told <- append([]Puback(nil), acks...) })
	ended := make(chan error)
	go func() {
		_, err := in.Read(make([]byte, 1))
		ended <- err
	}()
	for _, n := range []int{1, 3} {
		_, err := w.Write(bytes.Repeat([]byte{puback, 2, 0, 7}, n))
		require.NoError(t, err)
		select {
		case acks := <-told:
			assert.Len(t, acks, n)
		case <-time.After(10 * time.Second):
			assert.Fail(t, "nothing is told")
		}
	}
	require.NoError(t, w.CloseWithError(errCut))
	require.ErrorIs(t, <-ended, errCut)
}
