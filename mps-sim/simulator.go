package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/broker"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/store/memory"
	"github.com/mps-events/mps-events/internal/webguard"
	"github.com/mps-events/mps-events/middleware"
	"github.com/mps-events/mps-events/mps-sim/internal/fleet"
	"github.com/mps-events/mps-events/mps-sim/internal/ilertsim"
	"github.com/mps-events/mps-events/publisher"
)

// simulator is all the parts, put together as an Open AMT installation puts them
// together: what it does, a real server does in the same way.
type simulator struct {
	options  *options
	fleet    *fleet.Fleet
	broker   *broker.Broker // nil with MPS_MQTT_ADDRESS
	pub      *publisher.Publisher
	consumer *consumer.Consumer // nil with --consumer=false
	ilert    *ilertsim.Server
	stream   *stream
	listener net.Listener
}

// newSimulator takes every port and opens every file, or says which it could not.
func newSimulator(o *options, stderr io.Writer) (s *simulator, err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s = &simulator{options: o, fleet: fleet.New(o.devices, o.seed), ilert: new(ilertsim.Server)}
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
	s.pub, err = publisher.New(publisher.Config{
		Address: o.broker.Address, Username: o.broker.Username, Password: o.broker.Password,
		CAFile: o.broker.TLS.CA, CertFile: o.broker.TLS.Cert, KeyFile: o.broker.TLS.Key,
		Topic: o.broker.Topic, ClientID: o.broker.ClientID, QoS: publisher.QoS(o.broker.QoS),
		Status: o.broker.Status, Source: "mps-sim", Logger: logger,
	})
	if err != nil {
		return s, err
	}
	if s.stream, err = openStream(o.broker, o.broker.Filter()); err != nil {
		return s, err
	}
	if !o.consumer {
		return s, nil
	}
	rate := 0 // as ilert wants it
	if o.ilertURL == "" {
		rate = -1 // the stand-in takes all, and people watch
	}
	s.consumer, err = consumer.New(consumer.Config{
		Address: o.broker.Address, Username: o.broker.Username, Password: o.broker.Password,
		CAFile: o.broker.TLS.CA, CertFile: o.broker.TLS.Cert, KeyFile: o.broker.TLS.Key,
		// The store ends with the process, and the session soon after: whatever a
		// broker that is not ours kept for it would be nobody's.
		ClientID: mqttconn.RandomClientID("mps-sim-consumer"), SessionExpiry: time.Minute,
		Topics: []string{o.broker.Filter(), "mps/status/+"},
		// That a single call fails is no alert to "mps", but a thing to be seen here.
		Presets:   []string{"calls", "mps"},
		OpenStore: func(context.Context) (alerting.Store, error) { return memory.New(), nil },
		IlertURL:  cmp.Or(o.ilertURL, s.url()), IntegrationKey: cmp.Or(o.ilertKey, "stand-in"), Rate: rate,
		Logger: logger,
	})
	return s, err
}

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

// url is where the simulator reaches itself.
func (s *simulator) url() string { return "http://" + reachable(s.listener.Addr().String()) }

// reachable is an address that was listened on as this machine dials it: to listen
// on all interfaces is no address to type into MQTT Explorer.
func reachable(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// greeting says where to look.
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
		servers, _ := mqttconn.ParseAddress(s.options.broker.Address) // openStream has done so
		first := servers[0].URL                                       // holds no user and no password
		broker = first.String() + " (MPS_MQTT_ADDRESS)"
		explorer = fmt.Sprintf("protocol %s://, host %s, port %s", first.Scheme, first.Hostname(), first.Port())
	}
	return fmt.Sprintf("Page:           %s\nMQTT broker:    %s\nMQTT Explorer:  %s; then open the topic %s\nCtrl-C stops it.\n",
		s.url(), broker, explorer, s.options.broker.Filter())
}

// run serves until ctx ends, then stops what makes events before what takes them.
func (s *simulator) run(ctx context.Context, stdout io.Writer) error {
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	server := &http.Server{
		// The page's stream sets times of its own.
		Handler:     http.MaxBytesHandler(webguard.New(s.options.hosts...).Handler(s.router()), 1<<20),
		ReadTimeout: 10 * time.Second, WriteTimeout: writeTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return working }, // ends the page's streams
	}
	errs := make(chan error, 3)
	var workers sync.WaitGroup
	if s.consumer != nil {
		workers.Go(func() {
			if err := s.consumer.Run(working); err != nil {
				errs <- err
				stopWorking()
			}
		})
		s.awaitConsumer(working)
	}
	workers.Go(func() { s.makeTraffic(working) })
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

// stopServing lets calls that are under way end, but cuts those that do not within a second,
// such as one whose body never comes.
func stopServing(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// awaitConsumer waits until the consumer has subscribed for the first time, so
// that the first call's events are not missed. A broker that is away is not waited
// for: the page says so.
func (s *simulator) awaitConsumer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.consumer.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// close closes what newSimulator has opened, but for the consumer, which closes
// its store by itself. That events are left because the broker is away is said by
// the log, and is no failure of a simulator.
func (s *simulator) close(ctx context.Context) error {
	var errs []error
	if s.listener != nil {
		_ = s.listener.Close() // the HTTP server may have done so
	}
	if s.pub != nil {
		_ = s.pub.Shutdown(ctx)
	}
	if s.stream != nil {
		errs = append(errs, s.stream.close(ctx))
	}
	if s.broker != nil {
		errs = append(errs, s.broker.Close())
	}
	return errors.Join(errs...)
}

func (s *simulator) router() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	// The two lines that a server needs are this one and publisher.New above.
	s.serveMPS(router.Group("/api/v1", middleware.New(s.pub)))
	s.serveIlert(router)
	s.servePage(router)
	return router
}
