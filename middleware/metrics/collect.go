package metrics

import (
	"strconv"
	"time"

	"microhttp/reactor"
	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
)

// What a server knows by itself is read when a scrape asks for it.

// serverMetrics are the descriptions of the server's own figures.
var serverMetrics = struct {
	conns, accepted, closed, refused, buffered, places, used, queued, waiting, lag, seconds, calls *prometheus.Desc
}{
	conns:    describe("connections", "Open connections."),
	accepted: describe("connections_accepted_total", "Connections that were let in."),
	closed:   describe("connections_closed_total", "Connections that have ended, by reason.", "reason"),
	refused: describe("requests_refused_total",
		"Requests that the server refused by itself: they were malformed, or beyond a limit.", "http_response_status_code"),
	buffered: describe("buffered_bytes", "Bytes that the server holds for its connections, of MaxBufferedBytes."),
	places:   describe("blocking_places", "Places for Blocking handlers."),
	used:     describe("blocking_places_used", "Places for Blocking handlers that are taken."),
	queued:   describe("blocking_requests_queued", "Requests that wait for a place for a Blocking handler."),
	waiting:  describe("blocking_handlers_waiting", "Blocking handlers that wait for their peers, without a place."),
	lag: describe("loop_lag_seconds",
		"How long the ticks of a loop lasted. The sum is an estimate, by three quarters of each bucket's bound.", "loop"),
	seconds: describe("route_loop_seconds_total",
		"Time that the handlers of a route took of a loop. An estimate, by sampling.", "pattern", "loop"),
	calls: describe("route_loop_calls_total", "Requests that those seconds went to, about.", "pattern", "loop"),
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("microhttp_"+name, help, labels, nil)
}

// Watch adds the figures of a server, which may begin and end at any time. It panics when m watches one already: two servers
// have two Metrics, registered with prometheus.WrapRegistererWith and a label that tells them apart.
func (m *Metrics) Watch(s *server.Server) {
	if !m.watched.CompareAndSwap(nil, s) {
		panic("metrics: Watch of a second server")
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	m.duration.Describe(to)
	m.received.Describe(to)
	m.sent.Describe(to)
	m.active.Describe(to)
	d := &serverMetrics
	for _, desc := range []*prometheus.Desc{
		d.conns, d.accepted, d.closed, d.refused, d.buffered, d.places, d.used, d.queued, d.waiting, d.lag, d.seconds, d.calls,
	} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.duration.Collect(to)
	m.received.Collect(to)
	m.sent.Collect(to)
	m.active.Collect(to)
	if s := m.watched.Load(); s != nil {
		collectServer(s, to)
	}
}

func collectServer(s *server.Server, to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	counter := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels...)
	}
	d, stats := &serverMetrics, s.Stats()
	gauge(d.conns, float64(stats.Conns))
	counter(d.accepted, float64(stats.Accepted))
	for why, n := range s.CloseCounts() {
		counter(d.closed, float64(n), why.Name())
	}
	for status, n := range s.RefusalCounts() {
		counter(d.refused, float64(n), strconv.Itoa(status))
	}
	gauge(d.buffered, float64(stats.BufferedBytes))
	gauge(d.places, float64(stats.MaxBlocking))
	gauge(d.used, float64(stats.Blocking))
	gauge(d.queued, float64(stats.BlockingQueued))
	gauge(d.waiting, float64(stats.BlockingWaiting))
	for i, lag := range s.LoopLags() {
		to <- lagHistogram(lag, strconv.Itoa(i))
	}
	for _, share := range s.RouteShares() {
		loop := strconv.Itoa(share.Loop)
		counter(d.seconds, share.Total.Seconds(), share.Route, loop)
		counter(d.calls, float64(share.Calls), share.Route, loop)
	}
}

// The buckets of a lag are every second power of two, from 16 µs to 17 s: a loop that is within the first is idle, and one
// that is beyond the last does not come back.
const (
	leastLag = 1 << 14 * time.Nanosecond
	mostLag  = 1 << 34 * time.Nanosecond
)

func lagHistogram(lag reactor.Histogram, loop string) prometheus.Metric {
	cumulative := map[float64]uint64{}
	bound, seen, sum := time.Duration(leastLag), uint64(0), 0.0
	for upTo, n := range lag.Buckets() {
		for ; upTo > bound && bound <= mostLag; bound *= 4 {
			cumulative[bound.Seconds()] = seen
		}
		seen += n
		sum += 0.75 * upTo.Seconds() * float64(n)
	}
	for ; bound <= mostLag; bound *= 4 {
		cumulative[bound.Seconds()] = seen
	}
	return prometheus.MustNewConstHistogram(serverMetrics.lag, seen, sum, cumulative, loop)
}
