package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/ilert"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/redact"
)

// options holds the values of the flags and of the environment.
type options struct {
	redact.All
	http, mqtt, webSocket string
	hosts                 []string // names by which requests may address this machine
	origins               []string // web pages that may call the REST API
	devices               int
	sites                 []string
	rate, speed           float64
	seed                  uint64
	scenario              string // started at once; empty: none
	topicTree             bool
	consumer              bool
	ilertURL, ilertKey    string // empty: the stand-in
	broker                mqttconn.Broker
}

// parseOptions reads the flags and the environment. It returns nil without an error after --help or
// --version, whose text it prints.
func parseOptions(args []string, env func(string) string, stdout io.Writer) (*options, error) {
	var o options
	flags := pflag.NewFlagSet("mps-sim", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVar(&o.http, "http", "127.0.0.1:3000", "address of the page and the REST API")
	flags.StringVar(&o.mqtt, "mqtt", "127.0.0.1:1883", "address of the embedded MQTT broker")
	flags.StringVar(&o.webSocket, "mqtt-ws", "127.0.0.1:9001", "address of the broker for MQTT by WebSocket; empty: none")
	flags.StringSliceVar(&o.hosts, "allowed-hosts", nil, "further names by which browsers and mps-ilert may address this machine, beside localhost, IP addresses, its host name and those of --http and --mqtt-ws")
	flags.StringSliceVar(&o.origins, "allowed-origins", nil, "web pages that may call the REST API, such as http://localhost:4200 for Open AMT's Sample Web UI")
	flags.IntVar(&o.devices, "devices", 60, fmt.Sprintf("number of simulated devices, 1 to %s", thousands(maxDevices)))
	flags.StringSliceVar(&o.sites, "sites", nil, "names of the sites, the largest first; each has a server (default Hamburg,Lyon,Austin; eight sites for more than 100 devices)")
	flags.Float64Var(&o.rate, "rate", 4, fmt.Sprintf("calls per second by administrators and their tools, up to %s; 0: no calls, and the fleet does not change by itself", thousands(maxRate)))
	flags.Float64Var(&o.speed, "speed", 60, "factor by which the day of the fleet passes faster than yours")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the simulation: the same seed makes the same devices and, at the same rate and speed, the same events except for their times")
	flags.StringVar(&o.scenario, "scenario", "", "scenario to start with: "+scenarioIDs()+"; the last one, in which the broker stops for a minute, is too long for the page")
	flags.BoolVar(&o.topicTree, "topic-tree", false, "publish to a tree of topics, mps/events/SITE/GUID/METHOD, instead of mps/events")
	showVersion := flags.Bool("version", false, "print the version and stop")
	flags.BoolVar(&o.consumer, "consumer", true, "run the consumer; use =false to run your own mps-ilert instead")
	flags.StringVar(&o.ilertURL, "ilert", "", "URL of ilert's API, such as https://api.ilert.com, with the integration key in ILERT_INTEGRATION_KEY (default: a stand-in)")
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		_, err := fmt.Fprintf(stdout, usage, flags.FlagUsages())
		return nil, err
	} else if err != nil {
		return nil, err
	}
	if *showVersion {
		_, err := fmt.Fprintln(stdout, "mps-sim", version())
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: mps-sim takes only flags, see mps-sim --help", flags.Arg(0))
	}
	if err := o.checkFleet(); err != nil {
		return nil, err
	}
	for _, host := range o.hosts {
		if host == "" || strings.ContainsAny(host, "/*@ ") {
			return nil, fmt.Errorf("--allowed-hosts %q: want names such as lab1 or lab1.example.com, without a scheme or a wildcard", host)
		}
	}
	if err := checkOrigins(o.origins); err != nil {
		return nil, err
	}
	if o.ilertURL != "" {
		if !o.consumer {
			return nil, errors.New("--ilert needs the consumer: leave out --consumer=false")
		}
		if _, err := ilert.New(o.ilertURL, ilert.DefaultHeartbeatURL, 1); err != nil {
			return nil, fmt.Errorf("--ilert: %w", err)
		}
		if o.ilertKey = env("ILERT_INTEGRATION_KEY"); o.ilertKey == "" {
			return nil, errors.New("--ilert needs an integration key: set the environment variable ILERT_INTEGRATION_KEY")
		}
	}
	o.nameHosts()
	var err error
	if o.broker, err = mqttconn.BrokerFromEnv(env); err != nil {
		return nil, err
	}
	if env("MPS_MQTT_STATUS") == "" {
		o.broker.Status = true
	}
	if o.topicTree && o.broker.Topic != "" {
		return nil, errors.New("--topic-tree does not go with MPS_MQTT_TOPIC: leave out one of them")
	}
	return &o, nil
}

// checkFleet checks the flags about the fleet, and sets the default of --sites.
func (o *options) checkFleet() error {
	switch {
	case o.devices < 1 || o.devices > maxDevices:
		return fmt.Errorf("--devices %d: want 1 to %s", o.devices, thousands(maxDevices))
	case math.IsNaN(o.rate) || o.rate < 0 || o.rate > maxRate:
		return fmt.Errorf("--rate %v: want 0 to %s calls a second", o.rate, thousands(maxRate))
	case math.IsNaN(o.speed) || o.speed <= 0 || o.speed > maxSpeed:
		return fmt.Errorf("--speed %v: want more than 0, up to %s", o.speed, thousands(maxSpeed))
	case len(o.sites) > maxSites:
		return fmt.Errorf("--sites: %d are too many, want %d at most", len(o.sites), maxSites)
	}
	if len(o.sites) == 0 {
		o.sites = []string{"Hamburg", "Lyon", "Austin"}
		if o.devices > 100 {
			o.sites = append(o.sites, "Pune", "Osaka", "Porto", "Leeds", "Turku")
		}
	}
	for i, site := range o.sites {
		if !siteName.MatchString(site) {
			return fmt.Errorf("--sites %q: want 1 to 30 letters, digits and hyphens, because the name is part of topics", site)
		}
		if slices.ContainsFunc(o.sites[:i], func(other string) bool { return strings.EqualFold(site, other) }) {
			return fmt.Errorf("--sites %q: is there twice", site)
		}
	}
	if o.scenario != "" && !slices.Contains(strings.Split(scenarioIDs(), ", "), o.scenario) {
		return fmt.Errorf("--scenario %q: want %s", o.scenario, scenarioIDs())
	}
	return nil
}

// siteName matches the names that a site may have, because they become part of topics.
var siteName = regexp.MustCompile(`^[\pL\pN-]{1,30}$`)

// rpsTopic is the topic to which RPS publishes.
const rpsTopic = "rps/events"

// topicOf returns the topic or the topic template of the server at a site.
func (o *options) topicOf(site string) string {
	if o.topicTree {
		return mqtttopic.DefaultTopic + "/" + site + "/{guid}/{method}"
	}
	return o.broker.Topic
}

// eventFilters returns the topic filters of all events; the first one is for those of MPS.
func (o *options) eventFilters() []string {
	filter := o.broker.Filter()
	if o.topicTree {
		filter = mqtttopic.DefaultTopic + "/#"
	}
	if filter == rpsTopic {
		return []string{filter}
	}
	return []string{filter, rpsTopic}
}

// nameHosts adds the names of this machine that need no flag: its host name and the hosts of --http
// and --mqtt-ws.
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

// The limits of the flags.
const (
	maxDevices = 10_000
	maxRate    = 10_000
	maxSpeed   = 100_000
	maxSites   = 20
)

const usage = `Simulates MPS with devices, events and alerts, and shows them on a page.

Usage:
  mps-sim [flags]

Flags:
%s
Environment:
  MPS_MQTT_ADDRESS       a broker to use instead of the embedded one, such as mqtt://localhost:1883;
                         MPS_MQTT_TOPIC, _QOS, _CLIENT_ID, _USERNAME, _PASSWORD, _CA_FILE, _CERT_FILE,
                         _KEY_FILE and _STATUS (default true) apply to it; the client id is the prefix
                         of those of the servers, such as mps-hamburg
  ILERT_INTEGRATION_KEY  for --ilert: the integration key of an alert source
`
