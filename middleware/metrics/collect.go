package metrics

import (
	"microhttp/middleware/figures"
	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
)

// What a server knows by itself is read when a scrape asks for it.

// described are the descriptions of the server's own figures.
var described = func() map[*figures.Metric]*prometheus.Desc {
	all := map[*figures.Metric]*prometheus.Desc{}
	for _, f := range figures.Server {
		all[f] = prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
	}
	return all
}()

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
	for _, f := range figures.Server {
		to <- described[f]
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.duration.Collect(to)
	m.received.Collect(to)
	m.sent.Collect(to)
	m.active.Collect(to)
	if s := m.watched.Load(); s != nil {
		figures.Collect(s, sink(to))
	}
}

// sink makes constant metrics of figures.
type sink chan<- prometheus.Metric

// kinds are what client_golang calls the kinds that have one value.
var kinds = map[figures.Kind]prometheus.ValueType{
	figures.Gauge: prometheus.GaugeValue, figures.Counter: prometheus.CounterValue,
}

func (to sink) Value(f *figures.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(described[f], kinds[f.Kind], value, labels...)
}

func (to sink) Histogram(f *figures.Metric, bounds []float64, upTo []uint64, count uint64, sum float64, labels ...string) {
	cumulative := map[float64]uint64{}
	for i, bound := range bounds {
		cumulative[bound] = upTo[i]
	}
	to <- prometheus.MustNewConstHistogram(described[f], count, sum, cumulative, labels...)
}
