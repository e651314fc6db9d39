package metrics

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
)

// What a request adds to is found by its label set in one map, which is never changed: a new set makes a new map. So the
// loops look up without a lock, and a set that was seen before costs no allocation.

// Config is what [New] makes metrics by. The zero value is ready.
type Config struct {
	// DurationBuckets are the bounds of the buckets of durations, in seconds, ascending. Default: those of OpenTelemetry,
	// 5 ms to 10 s.
	DurationBuckets []float64
	// SizeBuckets are the bounds of the buckets of body sizes, in bytes, ascending. Default: 0 and the powers of four from
	// 256 B to 64 MiB.
	SizeBuckets []float64
	// MaxSeries bounds the label sets, each of which has a series in three histograms. Requests of further sets are
	// counted together, in one set whose labels are all "_OTHER". Default 2,000.
	MaxSeries int
}

// Metrics counts requests, and has the figures of a server once it watches one. It is a prometheus.Collector. Make it by
// [New]. All of its methods may be called from any goroutine.
type Metrics struct {
	most     int
	duration *prometheus.HistogramVec
	received *prometheus.HistogramVec
	sent     *prometheus.HistogramVec
	active   *prometheus.GaugeVec
	kinds    [len(methods) + 1][len(schemes)]kind // the last method is any other

	found atomic.Pointer[map[labels]*series]
	mu    sync.Mutex // of those who replace found

	watched atomic.Pointer[server.Server]
}

// methods are those that a request may be counted under.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"}

var schemes = [...]string{"http", "https"}

// other is what OpenTelemetry has for a method that it does not know.
const other = "_OTHER"

// kind is what is done for requests of one method and scheme. The scheme is what it was at first: middleware inside may
// change what Request.Scheme returns, and the gauge that was raised is to be lowered.
type kind struct {
	active prometheus.Gauge
	done   func(w *server.Response, r *server.Request)
}

// labels is what tells the series of one request from those of another.
type labels struct {
	pattern, failure string
	method, scheme   uint8
	status           int16
}

// series is what a request of one label set adds to.
type series struct{ duration, received, sent prometheus.Observer }

var (
	requestLabels = []string{"http_request_method", "url_scheme", "http_route", "http_response_status_code", "error_type"}
	activeLabels  = requestLabels[:2]
)

// New makes metrics that count nothing yet: see [Metrics.Middleware] and [Metrics.Watch].
func New(c Config) *Metrics {
	if c.DurationBuckets == nil {
		c.DurationBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	}
	if c.SizeBuckets == nil {
		c.SizeBuckets = append([]float64{0}, prometheus.ExponentialBuckets(256, 4, 10)...)
	}
	if c.MaxSeries <= 0 {
		c.MaxSeries = 2000
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, requestLabels)
	}
	m := &Metrics{
		most:     c.MaxSeries,
		duration: histogram("http_server_request_duration_seconds", "Duration of HTTP server requests.", c.DurationBuckets),
		received: histogram("http_server_request_body_size_bytes", "Size of HTTP server request bodies.", c.SizeBuckets),
		sent:     histogram("http_server_response_body_size_bytes", "Size of HTTP server response bodies.", c.SizeBuckets),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_server_active_requests", Help: "Number of active HTTP server requests.",
		}, activeLabels),
	}
	m.found.Store(&map[labels]*series{})
	for i := range m.kinds {
		for j := range schemes {
			gauge := m.active.WithLabelValues(methodName(uint8(i)), schemes[j])
			m.kinds[i][j] = kind{gauge, func(w *server.Response, r *server.Request) {
				gauge.Dec()
				m.done(w, r)
			}}
		}
	}
	return m
}

// Middleware counts the requests that next gets. Put it outside of what may refuse a request, so that refusals count, and
// outside of the router or inside of it: the route is looked up when the answer is done. It costs no allocation once a label
// set was seen. It is a [server.Middleware].
func (m *Metrics) Middleware(next server.Handler) server.Handler {
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		k := &m.kinds[methodOf(r)][schemeOf(r)]
		k.active.Inc()
		w.OnDone(k.done)
		next.Serve(w, r)
	})(next)
}

// done counts a request whose answer is done. It runs on the loop.
func (m *Metrics) done(w *server.Response, r *server.Request) {
	s := m.series(labels{
		pattern: r.Pattern(), failure: failure(w), method: methodOf(r), scheme: schemeOf(r), status: int16(w.Status()),
	})
	s.duration.Observe(r.Elapsed().Seconds())
	s.received.Observe(float64(r.BytesReceived()))
	s.sent.Observe(float64(w.BytesSent()))
}

// series finds the series of a label set, or makes them.
func (m *Metrics) series(l labels) *series {
	if s := m.look(&l); s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.look(&l); s != nil {
		return s
	}
	values := []string{other, other, other, other, other}
	if l != overflow {
		values = []string{methodName(l.method), schemes[l.scheme], route(l.pattern), strconv.Itoa(int(l.status)), l.failure}
	}
	s := &series{
		m.duration.WithLabelValues(values...), m.received.WithLabelValues(values...), m.sent.WithLabelValues(values...),
	}
	more := maps.Clone(*m.found.Load())
	more[l] = s
	m.found.Store(&more)
	return s
}

// look finds the series of a label set among those that were made. When there are MaxSeries, l becomes the overflow.
func (m *Metrics) look(l *labels) *series {
	found := *m.found.Load()
	s := found[*l]
	if s == nil && len(found) >= m.most {
		*l = overflow
		s = found[overflow]
	}
	return s
}

// overflow is the key of the set that counts what is beyond MaxSeries. No request has it.
var overflow = labels{status: -1}

// failure is why an answer counts as failed.
func failure(w *server.Response) string {
	if err := w.Err(); err != nil {
		if why, ok := errors.AsType[server.CloseReason](err); ok {
			return why.Name()
		}
		return other
	}
	if w.Status() >= 500 {
		return serverErrors(w.Status())
	}
	return ""
}

// serverErrors names the statuses that handlers use, without an allocation.
func serverErrors(status int) string {
	switch status {
	case 500:
		return "500"
	case 502:
		return "502"
	case 503:
		return "503"
	case 504:
		return "504"
	}
	return strconv.Itoa(status)
}

func methodOf(r *server.Request) uint8 {
	method := r.Method()
	for i, known := range methods {
		if method == known {
			return uint8(i)
		}
	}
	return uint8(len(methods))
}

func methodName(i uint8) string {
	if int(i) < len(methods) {
		return methods[i]
	}
	return other
}

func schemeOf(r *server.Request) uint8 {
	if r.Scheme() == "https" {
		return 1
	}
	return 0
}

// route is the path of a pattern, without method and host.
func route(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return pattern
}
