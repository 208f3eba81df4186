// Package redirection simulates the redirection service of AMT: the screen (KVM) and the serial line (SOL)
// of a device, in the bytes that Open AMT's web clients exchange with it through a relay. It opens no
// connection. The drives (IDER) are refused, as by a device that does not support them.
package redirection

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Session is one session with a device. Its zero value is not ready; New makes one. Its methods may not be
// called concurrently.
type Session struct {
	hostname string
	on       bool // whether the device is switched on
	received []byte
	answer   []byte
	begun    byte // the first byte of the session's protocol, or 0
	open     bool // the client has signed in
	sequence uint32
	screen   screen
}

// New returns a session with a device of that name.
func New(hostname string, on bool) *Session {
	return &Session{hostname: hostname, on: on, screen: newScreen(hostname, on)}
}

// The commands of the protocol.
const (
	startSession      = 0x10
	startSessionReply = 0x11
	endSession        = 0x12
	authenticate      = 0x13
	authenticateReply = 0x14
	startSOL          = 0x20
	startSOLReply     = 0x21
	endSOL            = 0x22
	controlsFromHost  = 0x27
	dataFromClient    = 0x28
	dataFromDevice    = 0x2A
	keepAlive         = 0x2B
	startKVM          = 0x40
	startKVMReply     = 0x41
)

// ErrEnded is the error of Receive after the client has ended the session.
var ErrEnded = errors.New("the client has ended the session")

// maxReceived is the largest number of bytes of a message that has not come completely.
const maxReceived = 1 << 16

// Receive takes bytes from the client and returns the answer, which may be empty. After an error the
// session is over; the answer is still to be sent.
func (s *Session) Receive(data []byte) (answer []byte, err error) {
	s.received = append(s.received, data...)
	s.answer = nil
	for len(s.received) > 0 && err == nil {
		var taken int
		if s.screen.open {
			taken, err = s.screen.take(s)
		} else {
			taken, err = s.take()
		}
		if taken == 0 {
			break
		}
		s.received = s.received[taken:]
	}
	if err == nil && len(s.received) > maxReceived {
		err = errors.New("a message is too long")
	}
	return s.answer, err
}

func (s *Session) send(parts ...[]byte) {
	for _, part := range parts {
		s.answer = append(s.answer, part...)
	}
}

// length returns the number of bytes of the command at the beginning, or 0 if too few have come.
func (s *Session) length() (int, error) {
	fixed := map[byte]int{startSession: 8, endSession: 4, authenticate: 9, startSOL: 24, endSOL: 8, controlsFromHost: 14, dataFromClient: 10, keepAlive: 8, startKVM: 8}
	n, known := fixed[s.received[0]]
	switch {
	case !known:
		return 0, fmt.Errorf("command 0x%02x is not part of the redirection protocol", s.received[0])
	case len(s.received) < n:
		return 0, nil
	case s.received[0] == authenticate:
		n += int(min(binary.LittleEndian.Uint32(s.received[5:]), maxReceived))
	case s.received[0] == dataFromClient:
		n += int(binary.LittleEndian.Uint16(s.received[8:]))
	}
	if len(s.received) < n {
		return 0, nil
	}
	return n, nil
}

// take handles the command at the beginning, and returns its length, or 0 if it has not come completely.
func (s *Session) take() (int, error) {
	n, err := s.length()
	if n == 0 || err != nil {
		return 0, err
	}
	command := s.received[:n]
	switch c := command[0]; {
	case c == endSession || c == endSOL:
		return n, ErrEnded
	case c == startSession:
		return n, s.begin(string(command[4:8]))
	case s.begun == 0:
		return n, fmt.Errorf("command 0x%02x comes before the start of the session", c)
	case c == authenticate:
		s.authenticate(command[4], command[9:])
	case !s.open:
		return n, fmt.Errorf("command 0x%02x comes before the client has signed in", c)
	case c == startKVM && s.begun == 'K':
		s.send([]byte{startKVMReply, 0, 0, 0, 0, 0, 0, 0})
		s.screen.begin(s)
	case c == startSOL && s.begun == 'S':
		s.send([]byte{startSOLReply}, make([]byte, 22))
		s.print("\r\n" + s.hostname + ", a simulated device\r\n" + prompt)
	case c == dataFromClient:
		s.typed(string(command[10:]))
	}
	return n, nil
}

// begin starts a session of a protocol: "KVMR", "SOL " or "IDER".
func (s *Session) begin(protocol string) error {
	const unsupported = 3
	if protocol != "KVMR" && protocol != "SOL " {
		s.send([]byte{startSessionReply, unsupported, 0, 0})
		return fmt.Errorf("%q is not simulated, only the screen (KVM) and the serial line (SOL) are", protocol)
	}
	s.begun = protocol[0]
	s.send([]byte{startSessionReply}, make([]byte, 12))
	return nil
}

// The ways to sign in, and its results.
const (
	query         = 0
	digest        = 4
	success, fail = 0, 1
)

// authenticate answers an attempt to sign in. As AMT, it offers a digest and sends a nonce first; then it
// accepts any digest, because a simulator has no secrets.
func (s *Session) authenticate(way byte, data []byte) {
	reply := func(result byte, data string) {
		s.send([]byte{authenticateReply, result, 0, 0, way}, binary.LittleEndian.AppendUint32(nil, uint32(len(data))), []byte(data))
	}
	switch {
	case way == query:
		reply(success, string([]byte{digest}))
	case way == digest && !hasNonce(data):
		var challenge []byte
		for _, text := range []string{"Digest:SIMULATED", "0123456789abcdef", "auth"} {
			challenge = append(append(challenge, byte(len(text))), text...)
		}
		reply(fail, string(challenge))
	default:
		s.open = true
		reply(success, "")
	}
}

// hasNonce reports whether the data of a digest has a nonce, which comes after the user and the realm.
func hasNonce(data []byte) bool {
	for range 2 {
		if len(data) == 0 || len(data) <= int(data[0]) {
			return false
		}
		data = data[1+int(data[0]):]
	}
	return len(data) > 0 && data[0] > 0
}

const prompt = "login: "

// print sends a text to the client's terminal.
func (s *Session) print(text string) {
	if !s.on {
		return // nothing drives the serial line
	}
	s.sequence++
	head := binary.LittleEndian.AppendUint32([]byte{dataFromDevice, 0, 0, 0}, s.sequence)
	s.send(binary.LittleEndian.AppendUint16(head, uint16(len(text))), []byte(text))
}

// typed echoes what the client has typed, and answers each line.
func (s *Session) typed(text string) {
	s.print(text)
	for _, key := range text {
		if key == '\r' {
			s.print("\nA simulated device has no operating system.\r\n" + prompt)
		}
	}
}
