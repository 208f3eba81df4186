package consumer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

// reach asks ilert until it has answered once, or ctx ends, so that a wrong address shows before
// the first alert. It raises nothing, so it does not show whether ilert accepts the integration
// key.
func (c *Consumer) reach(ctx context.Context) {
	if !c.config.LookForIlert || c.config.DryRun {
		return
	}
	address := slog.String("address", c.config.ilert.Address())
	for tries := 0; ; tries++ {
		err := c.config.ilert.Reach(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.set(reaching, nil)
			c.config.Logger.Info("ilert is there; whether it takes the integration key shows only with an event", address)
			return
		}
		if tries == 0 {
			c.config.Logger.Warn("ilert cannot be reached", address, slog.Any("error", err),
				slog.String("mend", "check --ilert_url, and the way there: DNS, firewall, HTTPS_PROXY"))
		}
		c.set(reaching, err)
		select {
		case <-time.After(backoff(tries)):
		case <-ctx.Done():
			return
		}
	}
}

var (
	errNotSubscribed = errors.New("not subscribed yet")
	errNotConnected  = errors.New("not connected to the broker")
)

// outside returns the part of an error that anybody may see: its class, without the names of
// hosts and the answers of ilert and the broker. The log has the whole error.
func outside(p part, err error) error {
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
