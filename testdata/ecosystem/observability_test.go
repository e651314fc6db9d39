package ecosystem

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestPromhttp(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		own := prometheus.NewRegistry()
		served := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "served_total", Help: "Served."}, []string{"code", "method"})
		own.MustRegister(served)
		mux := http.NewServeMux()
		mux.Handle("/counted", promhttp.InstrumentHandlerCounter(served, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
		})))
		mux.Handle("/metrics", promhttp.HandlerFor(own, promhttp.HandlerOpts{}))
		return mux
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "PUT", url+"/counted", nil)
		ask(t, s, c, "GET", url+"/metrics", nil)
		req, _ := http.NewRequest("GET", url+"/metrics", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		z, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		s.add("%v %s", err, b)
	}, `served_total{code="201",method="put"} 1`)
}

// The profiles differ from one run to the next, so their kind and size are compared. A profile of the CPU and a trace take as long as
// they are asked for, and stream.
func TestPprof(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		return mux
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		for _, target := range []string{
			"", "goroutine?debug=1", "heap", "allocs", "profile?seconds=1", "trace?seconds=0.1", "cmdline", "symbol", "nothing",
		} {
			res, err := c.Get(url + "/debug/pprof/" + target)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			packed := len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b
			s.add("%s: %d %s %s %v, some: %t, packed: %t", target, res.StatusCode, res.Header.Get("Content-Type"),
				res.Header.Get("Content-Disposition"), err, len(b) > 10, packed)
		}
	}, "heap: 200 application/octet-stream", "profile?seconds=1: 200", "trace?seconds=0.1: 200", "packed: true", "nothing: 404")
}

func TestOtelhttp(t *testing.T) {
	var spans *tracetest.InMemoryExporter
	both(t, func(t *testing.T) http.Handler {
		spans = tracetest.NewInMemoryExporter()
		provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
		mux := http.NewServeMux()
		mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
			_, span := provider.Tracer("test").Start(r.Context(), "inside")
			defer span.End()
			fmt.Fprint(w, "user ", r.PathValue("id"))
		})
		mux.HandleFunc("POST /broken", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(503)
		})
		return otelhttp.NewHandler(mux, "server", otelhttp.WithTracerProvider(provider))
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/users/7", nil)
		ask(t, s, c, "POST", url+"/broken", strings.NewReader("some body"))
		awaitSpans(t, spans, 3)
		for _, span := range spans.GetSpans() {
			var all []string
			for _, a := range span.Attributes {
				if k := string(a.Key); !strings.HasSuffix(k, "port") { // of each run its own
					all = append(all, k+"="+a.Value.String())
				}
			}
			slices.Sort(all)
			s.add("%s %v %v %v", span.Name, span.SpanKind, span.Status.Code, all)
		}
	}, "inside internal", "GET /users/{id} server", "POST /broken server Error", "http.request.body.size=9", "http.response.status_code=503")
}

func TestCORS(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		return cors.New(cors.Options{
			AllowedOrigins: []string{"https://a.example"}, AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"X-Own"},
			AllowCredentials: true, MaxAge: 60,
		}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "content") }))
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url, nil)
		ask(t, s, c, "GET", url, nil, "Origin: https://a.example")
		ask(t, s, c, "GET", url, nil, "Origin: https://b.example")
		for _, method := range []string{"PUT", "DELETE"} {
			ask(t, s, c, "OPTIONS", url, nil, "Origin: https://a.example", "Access-Control-Request-Method: "+method,
				"Access-Control-Request-Headers: x-own")
		}
	}, `Access-Control-Allow-Origin=["https://a.example"]`, `Access-Control-Max-Age=["60"]`, "204")
}
