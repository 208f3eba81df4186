package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// everything is the topic filter for all topics of this program.
const everything = "mps/#"

// startMosquitto starts a broker that announces receiveMaximum, and returns its address.
func startMosquitto(ctx context.Context, receiveMaximum int) (address string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return "", nil, err
	}
	// The queue is as long as in mosquitto/mosquitto.conf, and no acknowledgement waits.
	config := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_type error\nmax_queued_messages 500000\nset_tcp_nodelay true\nmax_inflight_messages %d\n",
		port, receiveMaximum)
	file := filepath.Join(folder, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	broker := exec.CommandContext(ctx, "mosquitto", "-c", file) //nolint:gosec // the file is our own
	broker.Stderr = os.Stderr
	if err := broker.Start(); err != nil {
		return "", nil, fmt.Errorf("the broker must be installed (as Debian's package mosquitto): %w", err)
	}
	stop = func() {
		_ = broker.Process.Kill()
		_ = broker.Wait()
		_ = os.RemoveAll(folder)
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		var probe *rawConn
		if probe, err = connect(address); err == nil {
			_ = probe.Close()
			return address, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("mosquitto does not answer: %w", err)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// A rawConn is a connection of MQTT 5 that does as little work as possible.
type rawConn struct {
	net.Conn
	in             *bufio.Reader
	receiveMaximum int // of the broker
}

const patience = time.Minute // for one measurement

func connect(address string) (*rawConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &rawConn{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10), receiveMaximum: 65535}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	answer, err := c.ask(&packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, KeepAlive: 60, Properties: &packets.Properties{}})
	if err != nil {
		return nil, err
	}
	connack, ok := answer.(*packets.Connack)
	if !ok || connack.ReasonCode != 0 {
		return nil, fmt.Errorf("the broker refuses the connection: %v", answer)
	}
	if connack.Properties.ReceiveMaximum != nil {
		c.receiveMaximum = int(*connack.Properties.ReceiveMaximum)
	}
	return c, nil
}

// ask sends a packet and returns the answer.
func (c *rawConn) ask(p packets.Packet) (packets.Packet, error) {
	if _, err := p.WriteTo(c); err != nil {
		return nil, err
	}
	answer, err := packets.ReadPacket(c.in)
	if err != nil {
		return nil, err
	}
	return answer.Content, nil
}

// encode returns the bytes of p as a client sends it.
func encode(p *packets.Publish, qos byte) []byte {
	out := packets.Publish{Topic: p.Topic, Properties: p.Properties, Payload: p.Payload, QoS: qos, PacketID: 1}
	var b bytes.Buffer
	_, _ = out.WriteTo(&b) // a buffer takes everything
	return b.Bytes()
}
