package metrics

import (
	"bytes"
	"net/http"
	"sync"

	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Register registers m with a registry of yours. The error is the registry's.
func (m *Metrics) Register(with prometheus.Registerer) error { return with.Register(m) }

// Handler serves m and the figures of the Go runtime and the process, from a registry of its own. Serve it where strangers do
// not come: on a listener of its own, or inside of authentication.
func (m *Metrics) Handler() server.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return Handler(own)
}

// Handler serves what a gatherer gathers, in the format that the scraper prefers: Prometheus's text, OpenMetrics, or
// protobuf. It is Blocking, and takes one place while it gathers. What cannot be gathered is answered with 500 and the
// reason. Wrap it in middleware/compress to compress it.
func Handler(from prometheus.Gatherer) server.Handler {
	return server.BlockingFunc(func(w *server.Response, r *server.Request) { expose(w, r, from) })
}

// pages are buffers for expositions, which are much alike.
var pages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func expose(w *server.Response, r *server.Request, from prometheus.Gatherer) {
	accept := http.Header{"Accept": {r.Header("Accept")}}
	format := expfmt.NegotiateAccept(accept, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	page := pages.Get().(*bytes.Buffer)
	defer pages.Put(page)
	page.Reset()
	if err := encode(page, format, from); err != nil {
		w.Error(500)
		w.WriteString(err.Error() + "\n")
		return
	}
	w.SetHeader("Content-Type", string(format))
	w.SetHeader("Vary", "Accept")
	_, _ = w.Write(page.Bytes()) // copies, and never fails
}

func encode(to *bytes.Buffer, format expfmt.Format, from prometheus.Gatherer) error {
	families, err := from.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(to, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	if end, ok := encoder.(expfmt.Closer); ok {
		return end.Close()
	}
	return nil
}
