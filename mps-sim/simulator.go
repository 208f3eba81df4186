package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/mps"
)

// simulator connects all parts of mps-sim as an installation of Open AMT does. Middleware,
// publisher and consumer are the real ones.
type simulator struct {
	options  *options
	fleet    *fleet.Fleet
	broker   *broker.Broker // nil with MPS_MQTT_ADDRESS
	api      *mps.API
	servers  []*server // one at each site
	rps      *server   // publishes activations; it has no REST API
	counts   counts
	alerting embeddedConsumer // without a consumer if --consumer=false
	ilert    *ilertStandIn
	stream   *stream
	traffic  *traffic
	player   *scenarioPlayer
	rates    rates
	relays   relays
	critical string // the guid of the device for whose absence the rules raise an alert
	started  time.Time
	listener net.Listener
}

// newSimulator listens on all ports and writes the rules. Its error names the flag whose address it
// could not listen on.
func newSimulator(o *options, stderr io.Writer) (s *simulator, err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s = &simulator{
		options: o, ilert: newIlertStandIn(), started: time.Now(), relays: make(relays, maxRelays),
		fleet: fleet.New(fleet.Config{Devices: o.devices, Sites: o.sites, Seed: o.seed}),
	}
	s.api = mps.New(s.fleet, s.connect)
	s.critical = s.fleet.Critical()
	s.traffic = newTraffic(s)
	s.player = newScenarioPlayer(s)
	defer func() {
		if err != nil {
			_ = s.close(context.Background())
		}
	}()
	if s.listener, err = net.Listen("tcp", o.http); err != nil {
		return s, fmt.Errorf("--http %s: %w", o.http, err)
	}
	if o.broker.Address == "" {
		if s.broker, err = broker.Start(o.mqtt, o.webSocket, o.hosts...); err != nil {
			return s, nameFlag(err, o)
		}
		o.broker.Address = "mqtt://" + reachable(s.broker.Addr())
	}
	if err := s.openServers(logger); err != nil {
		return s, err
	}
	if s.stream, err = openStream(o.broker, o.eventFilters()); err != nil {
		return s, err
	}
	if o.consumer {
		s.alerting, err = openConsumer(o, append(o.eventFilters(), "mps/status/+"), s.critical, s.url(), logger)
	}
	return s, err
}

// openServers makes the server of each site, and RPS.
func (s *simulator) openServers(logger *slog.Logger) error {
	prefix := s.options.broker.ClientID
	if prefix != "" {
		prefix += "-"
	}
	for _, site := range s.options.sites {
		v, err := s.newServer(prefix+"mps-"+strings.ToLower(site), s.options.topicOf(site), logger, s.api.Serve)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, v)
	}
	var err error
	s.rps, err = s.newServer(prefix+"rps", rpsTopic, logger, nil)
	return err
}

// nameFlag adds the flag of the address to an error of the embedded broker.
func nameFlag(err error, o *options) error {
	var listen *broker.ListenError
	switch {
	case !errors.As(err, &listen):
		return err
	case listen.WebSocket:
		return fmt.Errorf("--mqtt-ws %s: %w", o.webSocket, err)
	default:
		return fmt.Errorf("--mqtt %s: %w", o.mqtt, err)
	}
}

// url returns the address of the page, which the consumer also uses for the stand-in.
func (s *simulator) url() string { return "http://" + reachable(s.listener.Addr().String()) }

// reachable returns an address by which this machine reaches a listener. It replaces the address for
// all interfaces, which a user cannot type into MQTT Explorer.
func reachable(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// greeting returns the text that mps-sim prints when it has started: the addresses of the page and of
// the broker.
func (s *simulator) greeting() string {
	var broker, explorer string
	if s.broker != nil {
		addr := reachable(s.broker.Addr())
		host, port, _ := net.SplitHostPort(addr)
		broker = "mqtt://" + addr
		explorer = fmt.Sprintf("protocol mqtt://, host %s, port %s, no TLS, no user", host, port)
		if webSocket := s.broker.WebSocketAddr(); webSocket != "" {
			broker += ", by WebSocket ws://" + reachable(webSocket)
		}
	} else {
		servers, _ := mqttconn.ParseAddress(s.options.broker.Address) // openStream has parsed it without an error
		first := servers[0].URL                                       // without user and password
		broker = first.String() + " (MPS_MQTT_ADDRESS)"
		explorer = fmt.Sprintf("protocol %s://, host %s, port %s", first.Scheme, first.Hostname(), first.Port())
	}
	return fmt.Sprintf("Page:           %s\nMQTT broker:    %s\nMQTT Explorer:  %s; then open the topic %s\nCtrl-C stops it.\n",
		s.url(), broker, explorer, s.options.eventFilters()[0])
}

// run serves until ctx ends. It then stops the parts that make events before those that receive them.
func (s *simulator) run(ctx context.Context, stdout io.Writer) error {
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	server := &http.Server{
		// The feed sets a write deadline of its own for each message.
		Handler:     http.MaxBytesHandler(s.handler(), 1<<20),
		ReadTimeout: 10 * time.Second, WriteTimeout: writeTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return working }, // ends the feeds of the pages
	}
	errs := make(chan error, 3)
	var workers sync.WaitGroup
	if s.alerting.consumer != nil {
		workers.Go(func() {
			if err := s.alerting.run(working); err != nil {
				errs <- err
				stopWorking()
			}
		})
		s.alerting.await(working)
	}
	workers.Go(func() { s.traffic.run(working) })
	workers.Go(func() { s.player.run(working) })
	workers.Go(func() { s.measure(working) })
	if _, err := io.WriteString(stdout, s.greeting()); err != nil {
		errs <- err
		stopWorking()
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			errs <- err
			stopWorking()
		}
	}()
	<-working.Done()
	workers.Wait()

	stopServing(server)
	<-served
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.relays.wait(closing)
	err := s.close(closing)
	for {
		select {
		case also := <-errs:
			err = errors.Join(err, also)
		default:
			return err
		}
	}
}

// stopServing waits up to a second for running calls, and then closes their connections: the body of
// a call might never arrive.
func stopServing(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// close closes everything that newSimulator has opened except the consumer, which ends with run. It
// returns no error for undelivered events, which the publishers log.
func (s *simulator) close(ctx context.Context) error {
	var errs []error
	if s.listener != nil {
		_ = s.listener.Close() // the HTTP server may have closed it already
	}
	var stopping sync.WaitGroup
	for _, v := range s.publishers() {
		stopping.Go(func() { _ = v.pub.Shutdown(ctx) })
	}
	stopping.Wait()
	if s.stream != nil {
		errs = append(errs, s.stream.close(ctx))
	}
	if s.broker != nil {
		errs = append(errs, s.broker.Close())
	}
	return errors.Join(append(errs, s.alerting.close())...)
}

// publishers returns the servers of the sites and RPS.
func (s *simulator) publishers() []*server {
	all := slices.Clone(s.servers)
	if s.rps != nil {
		all = append(all, s.rps)
	}
	return all
}

// router returns the handler of all routes: the page, the stand-in for ilert, and the REST API.
func (s *simulator) router() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.NoRoute(func(c *gin.Context) {
		c.JSON(http.StatusNotFound, gin.H{"error": "no such page: " + c.Request.URL.Path})
	})
	s.servePage(router)
	front := http.NewServeMux()
	front.Handle("/api/v1/", s)
	front.HandleFunc("GET "+relayPath, s.relay)
	for _, path := range []string{"/api/", "/api/v1/mqtt/", "/api/v1/events/"} {
		front.Handle(path, s.ilert) // not behind the middleware, so calls of it make no events
	}
	front.Handle("/", router)
	return front
}
