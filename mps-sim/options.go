package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/redact"
)

// options is what the flags and the environment ask for.
type options struct {
	redact.All
	http, mqtt, webSocket string
	hosts                 []string // names of this machine, in any case and form
	devices               int
	rate                  float64
	seed                  uint64
	consumer              bool
	ilertURL, ilertKey    string // empty: the stand-in
	broker                mqttconn.Broker
}

// parseOptions returns nil without an error when help was asked for and printed.
func parseOptions(args []string, env func(string) string, stdout io.Writer) (*options, error) {
	var o options
	flags := pflag.NewFlagSet("mps-sim", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVar(&o.http, "http", "127.0.0.1:3000", "address of the page and the REST API")
	flags.StringVar(&o.mqtt, "mqtt", "127.0.0.1:1883", "address of the embedded MQTT broker")
	flags.StringVar(&o.webSocket, "mqtt-ws", "127.0.0.1:9001", "the same by WebSocket; empty is none")
	flags.StringSliceVar(&o.hosts, "allowed-hosts", nil, "names by which browsers and mps-ilert may ask for the page, the REST API and the WebSocket, beside localhost, addresses, this machine's name and those of --http and --mqtt-ws")
	flags.IntVar(&o.devices, "devices", 12, "number of simulated devices")
	flags.Float64Var(&o.rate, "rate", 1, "calls a second that the fleet's own traffic makes; 0 is none")
	flags.Uint64Var(&o.seed, "seed", 1, "the same seed makes the same devices and the same happenings")
	flags.BoolVar(&o.consumer, "consumer", true, "run the consumer; =false leaves that to an mps-ilert of your own")
	flags.StringVar(&o.ilertURL, "ilert", "", "ilert's API, such as https://api.ilert.com, with the key in ILERT_INTEGRATION_KEY (default: a stand-in)")
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		_, err := fmt.Fprintf(stdout, usage, flags.FlagUsages())
		return nil, err
	} else if err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.devices < 0 || o.devices > maxDevices:
		return nil, fmt.Errorf("--devices %d: want 0 to %d", o.devices, maxDevices)
	case math.IsNaN(o.rate) || o.rate < 0 || o.rate > maxRate:
		return nil, fmt.Errorf("--rate %v: want 0 to %d calls a second", o.rate, maxRate)
	}
	for _, host := range o.hosts {
		if host == "" || strings.ContainsAny(host, "/*@ ") {
			return nil, fmt.Errorf("--allowed-hosts %q: want names such as lab1 or lab1.example.com, without a scheme or a wildcard", host)
		}
	}
	if o.ilertURL != "" {
		if !o.consumer {
			return nil, errors.New("--ilert needs the consumer: it does not go with --consumer=false")
		}
		if _, err := ilert.New(o.ilertURL, ilert.DefaultHeartbeatURL, 1); err != nil {
			return nil, fmt.Errorf("--ilert: %w", err)
		}
		if o.ilertKey = env("ILERT_INTEGRATION_KEY"); o.ilertKey == "" {
			return nil, errors.New("--ilert needs the environment variable ILERT_INTEGRATION_KEY")
		}
	}
	o.nameHosts()
	var err error
	o.broker, err = mqttconn.BrokerFromEnv(env)
	return &o, err
}

// nameHosts adds the names by which this machine is known without being told.
func (o *options) nameHosts() {
	if name, err := os.Hostname(); err == nil {
		o.hosts = append(o.hosts, name)
	}
	for _, addr := range []string{o.http, o.webSocket} {
		if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
			o.hosts = append(o.hosts, host)
		}
	}
}

const (
	maxDevices = 10_000
	maxRate    = 10_000
)

const usage = `A simulated MPS with devices, events and alerts to look at.

Usage:
  mps-sim [flags]

Flags:
%s
Environment:
  MPS_MQTT_ADDRESS       a broker to use instead of the embedded one, such as mqtt://localhost:1883;
                         MPS_MQTT_TOPIC, _QOS, _CLIENT_ID, _USERNAME, _PASSWORD, _CA_FILE, _CERT_FILE,
                         _KEY_FILE and _STATUS go with it
  ILERT_INTEGRATION_KEY  for --ilert: the key of an alert source
`
