package httpapi

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mps-events/mps-events/internal/consumer"
)

// Metrics are the daemon's metrics for Prometheus. Except the durations and the closed
// connections they come from the consumer's status at each request, so what the store counts goes
// on over restarts.
type Metrics struct {
	version   string
	durations prometheus.Histogram
	closed    prometheus.Counter // counts the connections that guard closes
	status    func(context.Context) consumer.Status
}

// NewMetrics returns the metrics of a program with that version. NewServer connects them with the
// consumer.
func NewMetrics(version string) *Metrics {
	return &Metrics{version: version, durations: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "mps_ilert_request_duration_seconds", Help: "Duration of the requests to ilert, whatever their outcome.",
		Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
	}), closed: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mps_ilert_http_connections_closed_total", Help: "HTTP connections that were closed because there were more than --max_connections, since the start.",
	})}
}

// Requested observes the duration of a request to ilert. It is the consumer's hook.
func (m *Metrics) Requested(_ consumer.Outcome, took time.Duration) {
	m.durations.Observe(took.Seconds())
}

// handler returns the handler of /metrics, with the metrics of the process.
func (m *Metrics) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, m.durations, m.closed, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// A metric that cannot be collected must not hide the others, which may show the reason.
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// describe returns the description of a metric.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mps_ilert_"+name, help, labels, nil)
}

// Dead letters may be retried or purged, and pending messages end, so these two are gauges:
// received = the sum of all fates + pending + dead letters, for each topic filter.
var (
	buildInfo   = describe("build_info", "The version of mps-ilert and of Go; always 1.", "version", "goversion")
	ready       = describe("ready", "Whether a part of the work works: 1 or 0.", "part")
	received    = describe("messages_received_total", "Messages received: those with a fate, those pending, and the dead letters.", "filter")
	fates       = describe("messages_total", "Messages by their final fate.", "filter", "fate")
	pending     = describe("messages_pending", "Messages whose notices wait to be sent.", "filter")
	deadLetters = describe("dead_letters", "Messages that could not be understood or that ilert called invalid, and that are neither retried nor purged.", "filter")
	letterBytes = describe("dead_letter_bytes", "Bytes of the dead letters: of their topics, payloads and properties.")
	outboxBytes = describe("outbox_bytes", "Bytes of the events that are only passed on and wait.")
	matches     = describe("rule_matches_total", "Messages that a rule has matched.", "rule")
	ruleFailed  = describe("rule_failures_total", "Messages on which a rule has failed, since the start.", "rule")
	alerts      = describe("alerts", "Alerts that are open at ilert, wait to be sent, are delayed until their time, are held by another alert that is open, are silenced, or of which a request is under way; one may be open and one of the others.", "state")
	looked      = describe("looked_timestamp_seconds", "When what ilert shows was last looked at, in Unix seconds; 0: never.")
	lookFailed  = describe("look_failed", "Whether the last look at what ilert shows has failed: 1 or 0.")
	ilertTrue   = describe("ilert_true", "Whether ilert showed what it should at the last look: 1, or 0 if not or if that is not known.")
	sourceWell  = describe("source_well", "Whether an alert source of ilert makes alerts, by integration key: 0 in maintenance, disabled, or not found.", "source")
	compared    = describe("source_alerts", "Alerts by integration key at the last look: desired (should be open at ilert by themselves), told, shown, accepted (by a person), closed (by a person), fresh (too new to judge), differ (ilert does not show what it should), others (not raised by mps-ilert).", "source", "state")
	differTime  = describe("source_differ_seconds", "Time since when ilert does not show what it should, by integration key; 0 if it does.", "source")
	repairs     = describe("repairs_total", "What was sent to ilert again without a message, by kind, since the start: told_again (missing there), resolved (still open there), accepted (not accepted there), repeated (because of --repeat).", "kind")
	silences    = describe("silences", "Active silences.")
	awaited     = describe("awaited_groups", "Groups whose messages are waited for by rules with absent.")
	oldest      = describe("oldest_waiting_seconds", "Time for which the oldest waiting alert or event has waited to be sent; 0 if none waits.")
	requests    = describe("requests_total", "Requests with an event to ilert, by outcome, since the start.", "outcome")
	leftOut     = describe("fields_left_out_total", "Optional fields that alerts and events went out without because ilert would not take them, since the start.", "field")
	reloaded    = describe("rules_last_reload_successful", "Whether the last attempt to read the rules was successful: 1 or 0.")
	reloadedAt  = describe("rules_last_reload_success_timestamp_seconds", "When the rules in force were read, in Unix seconds.")
	unprovenKey = describe("unproven_keys", "Integration keys that messages brought, for which events wait and that ilert has never taken.")
	unproven    = describe("messages_unproven", "Messages that wait for integration keys that ilert has never taken.")
	decisions   = describe("decision_log_lines_total", "Lines of the decision log, by whether they were written or lost, since the start.", "result")
	behind      = describe("sources_behind", "Servers whose clocks are behind by more than --max_skew.")
)

// Describe sends all descriptions, as a prometheus.Collector does.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		buildInfo, ready, received, fates, pending, deadLetters, matches, ruleFailed, alerts, looked, lookFailed, ilertTrue, sourceWell, compared, differTime, repairs, silences, awaited, oldest, requests, leftOut, reloaded, reloadedAt, behind, unprovenKey, unproven, letterBytes, outboxBytes, decisions,
	} {
		to <- desc
	}
}

// Collect sends all metrics, as a prometheus.Collector does.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, desc *prometheus.Desc, value float64, labels ...string) {
		metric, err := prometheus.NewConstMetric(desc, kind, value, labels...)
		if err != nil { // a label is not UTF-8
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		to <- metric
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		send(prometheus.GaugeValue, desc, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		send(prometheus.CounterValue, desc, float64(value), labels...)
	}
	s := m.status(context.Background()) // Status has a timeout of its own
	gauge(buildInfo, 1, m.version, runtime.Version())
	for _, p := range s.Parts {
		gauge(ready, oneIf(p.Ready), p.Name)
	}
	gauge(reloaded, oneIf(s.RulesError == ""))
	gauge(reloadedAt, float64(s.RulesReadAt.UnixMilli())/1000)
	counter(requests, s.Requests.Delivered, string(consumer.Delivered))
	counter(requests, s.Requests.Refused, string(consumer.Refused))
	counter(requests, s.Requests.Failed, string(consumer.Failed))
	for field, n := range s.LeftOut {
		counter(leftOut, n, field)
	}
	for _, r := range s.Rules {
		counter(ruleFailed, r.Failed, r.Name)
	}
	collectIlert(&s.Ilert, gauge, counter)
	gauge(behind, float64(len(s.Behind)))
	gauge(awaited, float64(s.AwaitedGroups))
	if log := s.DecisionLog; log != nil {
		counter(decisions, log.Written, "written")
		counter(decisions, log.Dropped, "lost")
	}
	if s.Messages == nil { // the store cannot be read; it need not be empty
		return
	}
	for filter, t := range s.Messages {
		counter(received, t.Received, filter)
		counter(fates, t.Ignored, filter, "ignored")
		counter(fates, t.Duplicate, filter, "duplicate")
		counter(fates, t.Merged, filter, "merged")
		counter(fates, t.Delivered, filter, "delivered")
		counter(fates, t.Purged, filter, "purged")
		gauge(pending, float64(t.Pending), filter)
		gauge(deadLetters, float64(t.Dead), filter)
	}
	for _, r := range s.Rules {
		counter(matches, r.Matched, r.Name)
	}
	gauge(alerts, float64(s.Alerts.Open), "open")
	gauge(alerts, float64(s.Alerts.Waiting), "waiting")
	gauge(alerts, float64(s.Alerts.Delayed), "delayed")
	gauge(alerts, float64(s.Alerts.UnderWay), "under_way")
	gauge(alerts, float64(s.Alerts.Held), "held")
	gauge(alerts, float64(s.Alerts.Silenced), "silenced")
	gauge(silences, float64(len(s.Silences)))
	gauge(unprovenKey, float64(s.Unproven.Keys))
	gauge(unproven, float64(s.Unproven.Messages))
	gauge(letterBytes, float64(s.DeadLetterBytes))
	gauge(outboxBytes, float64(s.Outbox.Bytes))
	waited := 0.0
	if since := s.Alerts.OldestWaiting; !since.IsZero() {
		waited = max(time.Since(since).Seconds(), 0)
	}
	gauge(oldest, waited)
}

// collectIlert sends the metrics about what ilert shows.
func collectIlert(s *consumer.Shown, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, uint64, ...string)) {
	at := 0.0
	if !s.LookedAt.IsZero() {
		at = float64(s.LookedAt.UnixMilli()) / 1000
	}
	gauge(looked, at)
	gauge(lookFailed, oneIf(s.Error != ""))
	gauge(ilertTrue, oneIf(s.True == "yes"))
	for _, one := range s.Sources {
		gauge(sourceWell, oneIf(one.Well), one.Key)
		for state, n := range map[string]int{
			"desired": one.Desired, "told": one.Told, "shown": one.Shown, "accepted": one.Accepted, "closed": one.Closed,
			"fresh": one.Fresh, "differ": one.Differ, "others": one.Others,
		} {
			gauge(compared, float64(n), one.Key, state)
		}
		differs := 0.0
		if since := one.DifferSince; !since.IsZero() {
			differs = max(time.Since(since).Seconds(), 0)
		}
		gauge(differTime, differs, one.Key)
	}
	for kind, n := range map[string]uint64{
		"told_again": s.Repairs.ToldAgain, "resolved": s.Repairs.Resolved, "accepted": s.Repairs.Accepted, "repeated": s.Repairs.Repeated,
	} {
		counter(repairs, n, kind)
	}
}

// oneIf returns 1 for true and 0 for false.
func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
