package metrics

import (
	"sync/atomic"

	"microhttp/middleware/figures"
	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
)

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
	duration *prometheus.HistogramVec
	received *prometheus.HistogramVec
	sent     *prometheus.HistogramVec
	active   *prometheus.GaugeVec
	forms    [figures.Forms]prometheus.Gauge // of active
	found    *figures.Table[series]

	watched atomic.Pointer[server.Server]
}

// series is what a request of one label set adds to.
type series struct{ duration, received, sent prometheus.Observer }

// New makes metrics that count nothing yet: see [Metrics.Middleware] and [Metrics.Watch].
func New(c Config) *Metrics {
	if c.DurationBuckets == nil {
		c.DurationBuckets = figures.DurationBounds
	}
	if c.SizeBuckets == nil {
		c.SizeBuckets = figures.SizeBounds
	}
	if c.MaxSeries <= 0 {
		c.MaxSeries = figures.MaxSeries
	}
	histogram := func(f *figures.Metric, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: f.Name, Help: f.Help, Buckets: buckets}, f.Labels)
	}
	active := prometheus.GaugeOpts{Name: figures.Active.Name, Help: figures.Active.Help}
	m := &Metrics{
		duration: histogram(&figures.Duration, c.DurationBuckets),
		received: histogram(&figures.Received, c.SizeBuckets),
		sent:     histogram(&figures.Sent, c.SizeBuckets),
		active:   prometheus.NewGaugeVec(active, figures.Active.Labels),
	}
	m.found = figures.NewTable(c.MaxSeries, func(values []string) *series {
		return &series{
			m.duration.WithLabelValues(values...), m.received.WithLabelValues(values...), m.sent.WithLabelValues(values...),
		}
	})
	for i, form := range figures.AllForms() {
		m.forms[i] = m.active.WithLabelValues(form.Values()...)
	}
	return m
}

// Middleware counts the requests that next gets. Put it outside of what may refuse a request, so that refusals count, and
// outside of the router or inside of it: the route is looked up when the answer is done. It costs no allocation once a label
// set was seen. It is a [server.Middleware].
func (m *Metrics) Middleware(next server.Handler) server.Handler {
	return figures.Middleware(counter{m})(next)
}

// counter is what counts requests for Metrics.
type counter struct{ m *Metrics }

func (c counter) Began(form int) { c.m.forms[form].Inc() }

func (c counter) Ended(form int, w *server.Response, r *server.Request) {
	c.m.forms[form].Dec()
	s := c.m.found.Of(figures.LabelsOf(w, r))
	s.duration.Observe(r.Elapsed().Seconds())
	s.received.Observe(float64(r.BytesReceived()))
	s.sent.Observe(float64(w.BytesSent()))
}
