package consumer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// part is a part of the work that can fail.
type part string

const (
	subscription part = "subscription"
	storing      part = "store"
	claiming     part = "store, what is due"
	settling     part = "store, what ilert answered"
	delivering   part = "ilert"
	reaching     part = "ilert, at the start"
)

var (
	errNotSubscribed = errors.New("not subscribed yet")
	errNotConnected  = errors.New("not connected to the broker")
)

// Ready returns nil while the consumer is subscribed, stores messages and can send events to
// ilert. Otherwise it returns the kinds of the faults without details, because anybody may ask.
func (c *Consumer) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for _, p := range []part{subscription, storing, claiming, settling, delivering} {
		err := c.faults[p]
		if p == delivering && err == nil {
			err = c.faults[reaching]
		}
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", p, publicReason(p, err)))
		}
	}
	return errors.Join(all...)
}

// setFault notes why a part does not work, or with nil that it works.
func (c *Consumer) setFault(p part, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[p] = err
}

// reportFault notes the same as setFault, and logs each change.
func (c *Consumer) reportFault(p part, err error) {
	c.mu.Lock()
	was := c.faults[p]
	c.faults[p] = err
	c.mu.Unlock()
	switch {
	case err == nil && was != nil:
		c.lines.Info(string(p)+" works", "works again", slog.String("part", string(p)))
	case err != nil && (was == nil || was.Error() != err.Error()):
		c.lines.Warn(string(p), "does not work, trying again", slog.String("part", string(p)), slog.Any("error", err))
	}
}

// publicReason returns the part of an error that anybody may see: its class, without the names of
// hosts and the answers of ilert and the broker. The log has the whole error.
func publicReason(p part, err error) error {
	var ofIlert *ilert.Error
	var denied *autopaho.ConnackError
	switch {
	case errors.As(err, &ofIlert) && ofIlert.Status == 0 && ofIlert.Class != ilert.Operator: // which is a key that cannot be read
		return errors.New("ilert does not answer")
	case errors.As(err, &ofIlert):
		return ofIlert.Err
	case p != subscription || errors.Is(err, errNotSubscribed) || errors.Is(err, errNotConnected):
		return err
	case errors.As(err, &denied):
		return fmt.Errorf("the broker refuses the connection: %s (reason code %d)", (&packets.Connack{ReasonCode: denied.ReasonCode}).Reason(), denied.ReasonCode)
	case errors.Is(err, mqttconn.ErrTLSFile):
		return errors.New("a file for TLS cannot be read: see the log")
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return errors.New("the broker's certificate is not trusted")
	case errors.As(err, new(*net.OpError)), errors.As(err, new(*net.DNSError)):
		return errors.New("cannot connect to the broker")
	}
	return errors.New("cannot connect to the broker, or not subscribe there")
}
