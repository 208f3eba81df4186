package mqttconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
)

// explain returns err with the reason in words, and without secrets: paho gives only the reason
// code, or nothing.
func (c *Conn) explain(err error) error {
	c.mu.Lock()
	scheme, _, _ := strings.Cut(c.trying, ":")
	link := c.link
	c.mu.Unlock()
	var denied *autopaho.ConnackError
	if errors.As(err, &denied) {
		reason := (&packets.Connack{ReasonCode: denied.ReasonCode}).Reason()
		return &deniedError{"the broker refuses the connection: " + c.inWords(reason, denied.ReasonCode, denied.Reason, link.reference), denied}
	}
	return c.masked(withHint(err, scheme))
}

// deniedError is the broker's refusal of a connection with its reason in words.
type deniedError struct {
	words  string
	denied *autopaho.ConnackError
}

func (e *deniedError) Error() string { return e.words }

// Unwrap returns paho's error.
func (e *deniedError) Unwrap() error { return e.denied }

// withHint adds a hint to err: the server at the address may not speak the protocol of the
// scheme, or not MQTT 5.
func withHint(err error, scheme string) error {
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "dial", errors.As(err, new(*tls.CertificateVerificationError)), errors.Is(err, ErrTLSFile):
		return err // the error is clear
	case scheme == "mqtts" || scheme == "wss":
		return fmt.Errorf("%w (the port may not speak TLS: for MQTT without TLS write mqtt:// or ws://)", err)
	case scheme == "ws":
		return fmt.Errorf("%w (the port may not speak MQTT by WebSocket)", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "invalid Prop"):
		return fmt.Errorf("%w (the broker may speak only MQTT 3.1.1, where MQTT 5 is needed; or the port may speak TLS, WebSocket or HTTP)", err)
	default:
		return err
	}
}

// inWords returns the reason why a broker refuses or ends a connection: the reason code, and the
// Reason String and the Server Reference if the broker sent them.
func (c *Conn) inWords(reason string, code byte, text, reference string) string {
	text, reference = c.mask.Replace(text), c.mask.Replace(reference) // before a secret is quoted or cut
	words := fmt.Sprintf("%s (reason code 0x%02X)", reason, code)
	if text != "" {
		words += fmt.Sprintf(": %.300q", text)
	}
	if reference != "" {
		words += fmt.Sprintf("; it refers to the server %.300q: MPS_MQTT_ADDRESS may have to name that one", reference)
	}
	return words
}

// disconnected logs the broker's DISCONNECT.
func (c *Conn) disconnected(d *packets.Disconnect) {
	var text, reference string
	if d.Properties != nil {
		text, reference = d.Properties.ReasonString, d.Properties.ServerReference
	}
	reason := c.inWords(d.Reason(), d.ReasonCode, text, reference)
	if d.ReasonCode == packets.DisconnectSessionTakenOver {
		reason += ": another process uses the same client id; give each its own"
	}
	c.config.Logger.Warn("the MQTT broker has disconnected us",
		slog.String("reason", reason), slog.String("client_id", c.config.ClientID))
}
