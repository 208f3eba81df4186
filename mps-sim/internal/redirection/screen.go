package redirection

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// screen is the screen of a device as a server of RFB 3.8 (RFC 6143), the protocol of VNC, without a
// password. AMT's clients accept tiles of at most 64 by 64 pixels.
type screen struct {
	open   bool // the redirection has handed over to RFB
	state  func(*screen, *Session) int
	on     bool
	hue    uint16 // of the background, in RGB565
	name   string
	narrow bool // pixels of 8 bits, RGB332, instead of 16, RGB565
	drawn  bool
}

const (
	screenWidth, screenHeight = 320, 192
	tileSize                  = 64
)

func newScreen(hostname string, on bool) screen {
	h := fnv.New32a()
	_, _ = h.Write([]byte(hostname))
	return screen{name: hostname, on: on, hue: uint16(h.Sum32()) & 0x39e7}
}

const version = "RFB 003.008\n"

func (v *screen) begin(s *Session) {
	v.open = true
	v.state = (*screen).takeVersion
	s.send([]byte(version))
}

// take handles a message at the beginning of what the client has sent, and returns its length, or 0 if it
// has not come completely.
func (v *screen) take(s *Session) (int, error) {
	if v.state != nil {
		return v.state(v, s), nil
	}
	return v.takeMessage(s)
}

func (v *screen) takeVersion(s *Session) int {
	if len(s.received) < len(version) {
		return 0
	}
	v.state = (*screen).takeSecurity
	s.send([]byte{1, 1}) // one way to sign in: none
	return len(version)
}

func (v *screen) takeSecurity(s *Session) int {
	v.state = (*screen).takeInit
	s.send([]byte{0, 0, 0, 0})
	return 1
}

func (v *screen) takeInit(s *Session) int {
	v.state = nil
	head := binary.BigEndian.AppendUint16(nil, screenWidth)
	head = binary.BigEndian.AppendUint16(head, screenHeight)
	format := []byte{16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0}
	s.send(head, format, binary.BigEndian.AppendUint32(nil, uint32(len(v.name))), []byte(v.name))
	return 1
}

// The messages of the client.
const (
	setPixelFormat = 0
	setEncodings   = 2
	updateRequest  = 3
	keyEvent       = 4
	pointerEvent   = 5
	clientCutText  = 6
)

func (v *screen) takeMessage(s *Session) (int, error) {
	m := s.received
	n := map[byte]int{setPixelFormat: 20, setEncodings: 4, updateRequest: 10, keyEvent: 8, pointerEvent: 6, clientCutText: 8}[m[0]]
	switch {
	case n == 0:
		return 0, fmt.Errorf("message %d is not part of RFB", m[0])
	case len(m) < n:
		return 0, nil
	case m[0] == setEncodings:
		n += 4 * int(binary.BigEndian.Uint16(m[2:]))
	case m[0] == clientCutText:
		n += int(min(binary.BigEndian.Uint32(m[4:]), 2*maxReceived))
	}
	if len(m) < n {
		return 0, nil
	}
	switch m[0] {
	case setPixelFormat:
		if m[4] != 8 && m[4] != 16 {
			return n, errors.New("the screen has pixels of 8 or 16 bits only")
		}
		v.narrow, v.drawn = m[4] == 8, false
	case updateRequest:
		// The picture never changes, so a client that asks for changes gets it once, and one that asks for all
		// of it many times at once gets it once, too.
		if incremental := m[1] != 0; len(s.answer) < tileSize*tileSize && (!incremental || !v.drawn) {
			v.drawn = true
			v.draw(s)
		}
	}
	return n, nil
}

// draw sends the whole picture in tiles.
func (v *screen) draw(s *Session) {
	const tiles = screenWidth / tileSize * (screenHeight / tileSize)
	s.send([]byte{0, 0, 0, tiles})
	for y := 0; y < screenHeight; y += tileSize {
		for x := 0; x < screenWidth; x += tileSize {
			var head []byte
			for _, n := range []uint16{uint16(x), uint16(y), tileSize, tileSize, 0, 0} {
				head = binary.BigEndian.AppendUint16(head, n)
			}
			s.send(head)
			for row := y; row < y+tileSize; row++ {
				for column := x; column < x+tileSize; column++ {
					v.sendPixel(s, v.pixel(column, row))
				}
			}
		}
	}
}

func (v *screen) sendPixel(s *Session, rgb565 uint16) {
	if v.narrow {
		s.answer = append(s.answer, byte(rgb565>>8&0xe0|rgb565>>6&0x1c|rgb565>>3&3))
		return
	}
	s.answer = binary.LittleEndian.AppendUint16(s.answer, rgb565)
}

// pixel returns the colour of a point: a desktop with a window and a task bar, or black if the device is
// switched off.
func (v *screen) pixel(x, y int) uint16 {
	const black, gray, white, blue = 0, 0x8410, 0xffff, 0x2b5b
	switch {
	case !v.on:
		return black
	case y >= screenHeight-14:
		if x < 14 {
			return blue
		}
		return gray
	case x >= 60 && x < 260 && y >= 30 && y < 150:
		if y < 42 {
			return blue
		}
		return white
	default:
		return v.hue
	}
}
