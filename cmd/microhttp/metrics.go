package main

// The figures of demo and serve in Prometheus's text format, for -debug-addr. Package middleware/metrics has the same with
// client_golang, which a program that the root module builds does not require: see docs/design/040.

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"microhttp/middleware/figures"
	"microhttp/server"
)

// tally counts requests.
type tally struct {
	active [figures.Forms]atomic.Int64
	found  *figures.Table[counted]
}

// counted is what requests of one label set add to. Durations are in nanoseconds.
type counted struct {
	labels                   []string
	duration, received, sent histogram
}

func newTally() *tally {
	return &tally{found: figures.NewTable(figures.MaxSeries, func(values []string) *counted { return &counted{labels: values} })}
}

// Began implements figures.Tally.
func (t *tally) Began(form int) { t.active[form].Add(1) }

// Ended implements figures.Tally.
func (t *tally) Ended(form int, w *server.Response, r *server.Request) {
	t.active[form].Add(-1)
	c, took := t.found.Of(figures.LabelsOf(w, r)), r.Elapsed()
	c.duration.add(took.Seconds(), int64(took), figures.DurationBounds)
	c.received.add(float64(r.BytesReceived()), r.BytesReceived(), figures.SizeBounds)
	c.sent.add(float64(w.BytesSent()), w.BytesSent(), figures.SizeBounds)
}

// maxBounds is how many bounds a histogram has at most.
const maxBounds = 16

// histogram counts values by the bounds of their buckets. Its sum is a whole number of the least unit.
type histogram struct {
	counts [maxBounds + 1]atomic.Uint64 // each of what is beyond the bound before
	sum    atomic.Int64
}

func (h *histogram) add(value float64, units int64, bounds []float64) {
	h.counts[sort.SearchFloat64s(bounds, value)].Add(1)
	h.sum.Add(units)
}

// upTo returns how many values there are up to each bound, and in all.
func (h *histogram) upTo(bounds []float64) (upTo []uint64, count uint64) {
	for i := range bounds {
		count += h.counts[i].Load()
		upTo = append(upTo, count)
	}
	return upTo, count + h.counts[len(bounds)].Load()
}

// serveMetrics answers with the figures of s, and with those of its requests.
func serveMetrics(s *server.Server, t *tally) server.HandlerFunc {
	return func(w *server.Response, _ *server.Request) {
		var p exposition
		t.collect(&p)
		figures.Collect(s, &p)
		w.SetHeader("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.GiveBody(p.page)
	}
}

// collect writes what was counted, each label set where the alphabet has it.
func (t *tally) collect(p *exposition) {
	for i, form := range figures.AllForms() {
		p.Value(&figures.Active, float64(t.active[i].Load()), form.Values()...)
	}
	all := slices.SortedFunc(t.found.All(), func(a, b *counted) int { return slices.Compare(a.labels, b.labels) })
	each := func(m *figures.Metric, bounds []float64, unit float64, of func(*counted) *histogram) {
		for _, c := range all {
			h := of(c)
			upTo, count := h.upTo(bounds)
			p.Histogram(m, bounds, upTo, count, float64(h.sum.Load())/unit, c.labels...)
		}
	}
	each(&figures.Duration, figures.DurationBounds, float64(time.Second), func(c *counted) *histogram { return &c.duration })
	each(&figures.Received, figures.SizeBounds, 1, func(c *counted) *histogram { return &c.received })
	each(&figures.Sent, figures.SizeBounds, 1, func(c *counted) *histogram { return &c.sent })
}

// exposition is a page of Prometheus's text format, version 0.0.4. It is a figures.Sink.
type exposition struct {
	page []byte
	last *figures.Metric
}

// Value implements figures.Sink.
func (p *exposition) Value(m *figures.Metric, value float64, labels ...string) {
	p.begin(m)
	p.sample(m, "", labels, "", value)
}

// Histogram implements figures.Sink.
func (p *exposition) Histogram(
	m *figures.Metric, bounds []float64, upTo []uint64, count uint64, sum float64, labels ...string,
) {
	p.begin(m)
	for i, bound := range bounds {
		p.sample(m, "_bucket", labels, formatFloat(bound), float64(upTo[i]))
	}
	p.sample(m, "_bucket", labels, "+Inf", float64(count))
	p.sample(m, "_sum", labels, "", sum)
	p.sample(m, "_count", labels, "", float64(count))
}

// begin writes what a metric is, before its first sample.
func (p *exposition) begin(m *figures.Metric) {
	if p.last == m {
		return
	}
	p.last = m
	p.add("# HELP ", m.Name, " ", helpEscapes.Replace(m.Help), "\n# TYPE ", m.Name, " ", string(m.Kind), "\n")
}

// sample writes a line. An empty bound is none.
func (p *exposition) sample(m *figures.Metric, suffix string, labels []string, bound string, value float64) {
	p.add(m.Name, suffix)
	separator := "{"
	for i, name := range m.Labels {
		p.add(separator, name, `="`, labelEscapes.Replace(labels[i]), `"`)
		separator = ","
	}
	if bound != "" {
		p.add(separator, `le="`, bound, `"`)
		separator = ","
	}
	if separator == "," {
		p.add("}")
	}
	p.add(" ", formatFloat(value), "\n")
}

func (p *exposition) add(parts ...string) {
	for _, part := range parts {
		p.page = append(p.page, part...)
	}
}

// What stands for these characters in the text of a help, and in the value of a label.
var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
