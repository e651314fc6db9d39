package metrics_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/middleware/metrics"
	"microhttp/router"
	"microhttp/server"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
)

// start serves and returns where, and ends it with the test.
func start(t testing.TB, s *server.Server) string {
	t.Helper()
	s.Addr, s.Loops, s.Log = "127.0.0.1:0", 1, server.Zerolog(zerolog.Nop())
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return addr.String()
}

// ask sends one request on a connection of its own, and returns the status and the body.
func ask(t testing.TB, addr, request string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(b)
}

// scrape returns the sample lines that m exposes, by name and labels.
func scrape(t testing.TB, m *metrics.Metrics) map[string]string {
	t.Helper()
	own := prometheus.NewPedanticRegistry()
	if err := m.Register(own); err != nil {
		t.Fatal(err)
	}
	addr := start(t, &server.Server{Handler: metrics.Handler(own)})
	status, page := ask(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	lines := map[string]string{}
	for line := range strings.Lines(page) {
		if i := strings.LastIndexByte(line, ' '); line[0] != '#' {
			lines[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return lines
}

// eventually scrapes until the sample has the value.
func eventually(t testing.TB, m *metrics.Metrics, sample, value string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		got := scrape(t, m)
		if got[sample] == value {
			return
		}
		if time.Now().After(end) {
			name, _, _ := strings.Cut(sample, "{")
			var near []string
			for k, v := range got {
				if strings.HasPrefix(k, name) {
					near = append(near, k+" "+v)
				}
			}
			slices.Sort(near)
			t.Fatalf("%s is %q, want %s; there are\n%s", sample, got[sample], value, strings.Join(near, "\n"))
		}
	}
}

func series(name, method, route, status, failure string) string {
	return fmt.Sprintf(`http_server_%s{error_type="%s",http_request_method="%s",http_response_status_code="%s",http_route="%s",url_scheme="http"}`,
		name, failure, method, status, route)
}

// Every kind of answer is counted once, with what it sent and what it got, by the pattern of its route.
func TestEveryKindOfAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	stream := func(w *server.Response, _ *server.Request) {
		s := w.Stream()
		_, _ = s.WriteString("con")
		_, _ = s.WriteString("tent")
		_ = s.Close()
	}
	routes := router.New()
	handle := func(pattern string, h func(w *server.Response, r *server.Request)) { routes.HandleFunc(pattern, h) }
	handle("/inline/{id}", func(w *server.Response, _ *server.Request) { w.WriteString("content") })
	handle("/late/{id}", func(w *server.Response, _ *server.Request) {
		p := w.Later()
		go func() { _ = p.Answer(func(w *server.Response) { w.WriteString("content") }) }()
	})
	handle("/stream/{id}", stream)
	routes.Handle("/blocking/{id}", server.BlockingFunc(func(w *server.Response, _ *server.Request) { w.WriteString("content") }))
	routes.Handle("/blockstream/{id}", server.BlockingFunc(stream))
	handle("/file/{id}", func(w *server.Response, _ *server.Request) { w.SendFile(file, 0, 7) })
	handle("/panic/{id}", func(*server.Response, *server.Request) { panic("on purpose") })
	handle("/abort/{id}", func(*server.Response, *server.Request) { panic(server.ErrAbortHandler) })

	m := metrics.New(metrics.Config{})
	s := &server.Server{Handler: m.Middleware(middleware.Recover(nil)(routes))}
	m.Watch(s)
	addr := start(t, s)
	for _, c := range []struct{ route, status, failure, size string }{
		{"/inline/{id}", "200", "", "7"},
		{"/late/{id}", "200", "", "7"},
		{"/stream/{id}", "200", "", "7"},
		{"/blocking/{id}", "200", "", "7"},
		{"/blockstream/{id}", "200", "", "7"},
		{"/file/{id}", "200", "", "7"},
		{"/panic/{id}", "500", "500", "22"},
		{"/abort/{id}", "200", "abort-handler", "0"},
		{"", "404", "", "10"},
	} {
		target := strings.ReplaceAll(c.route, "{id}", "7")
		if target == "" {
			target = "/no/such/route"
		}
		ask(t, addr, "POST "+target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
		eventually(t, m, series("request_duration_seconds_count", "POST", c.route, c.status, c.failure), "1")
		got := scrape(t, m)
		if n := got[series("response_body_size_bytes_sum", "POST", c.route, c.status, c.failure)]; n != c.size {
			t.Errorf("%s sent %s bytes, want %s", c.route, n, c.size)
		}
		if n := got[series("request_body_size_bytes_sum", "POST", c.route, c.status, c.failure)]; n != "5" && c.route != "" {
			t.Errorf("%s got %s bytes", c.route, n)
		}
	}
	got := scrape(t, m)
	if n := got[`http_server_active_requests{http_request_method="POST",url_scheme="http"}`]; n != "0" {
		t.Errorf("%s requests are active at rest", n)
	}
	if n := got[`microhttp_connections_closed_total{reason="abort-handler"}`]; n != "1" {
		t.Errorf("%s connections were aborted", n)
	}
}

// What is active is seen while it is, also when middleware inside changes the scheme of the request.
func TestActive(t *testing.T) {
	release := make(chan struct{})
	m := metrics.New(metrics.Config{})
	addr := start(t, &server.Server{Handler: m.Middleware(server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		r.SetForwarded(server.Forwarded{Proto: "https"})
		next.Serve(w, r)
	})(server.BlockingFunc(func(*server.Response, *server.Request) { <-release })))})
	const active = `http_server_active_requests{http_request_method="GET",url_scheme="http"}`
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}()
	eventually(t, m, active, "1")
	close(release)
	<-done
	eventually(t, m, active, "0")
	eventually(t, m, `http_server_active_requests{http_request_method="GET",url_scheme="https"}`, "0")
}

// A stranger makes no series: methods that no one knows are one, paths are none, and beyond MaxSeries there is one for all.
func TestCardinality(t *testing.T) {
	routes := router.New()
	routes.HandleFunc("/{path...}", func(w *server.Response, r *server.Request) {
		status := 200
		_, _ = fmt.Sscan(r.QueryValue("s"), &status)
		w.SetStatus(status)
	})
	m := metrics.New(metrics.Config{MaxSeries: 20})
	addr := start(t, &server.Server{Handler: m.Middleware(routes)})
	count := func() (n int) {
		for k := range scrape(t, m) {
			if strings.HasPrefix(k, "http_server_request_duration_seconds_count") {
				n++
			}
		}
		return n
	}
	for i := range 50 {
		ask(t, addr, fmt.Sprintf("BREW /pot/%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		ask(t, addr, fmt.Sprintf("PROPFIND /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
	}
	if n := count(); n > 2 {
		t.Errorf("%d series of requests for one route", n)
	}
	for status := range 100 {
		ask(t, addr, fmt.Sprintf("GET /?s=%d HTTP/1.1\r\nHost: a\r\n\r\n", 200+status))
	}
	if n := count(); n != 21 {
		t.Errorf("%d series, want 20 and one for the rest", n)
	}
	rest := scrape(t, m)[`http_server_request_duration_seconds_count{error_type="_OTHER",http_request_method="_OTHER",http_response_status_code="_OTHER",http_route="_OTHER",url_scheme="_OTHER"}`]
	if n := 0; rest == "" || func() bool { _, _ = fmt.Sscan(rest, &n); return n < 80 }() {
		t.Errorf("%q requests of other sets", rest)
	}
}

// The server's own figures are those of the server.
func TestServerFigures(t *testing.T) {
	routes := router.New()
	routes.HandleFunc("GET /slow/{n}", func(*server.Response, *server.Request) { time.Sleep(3 * time.Millisecond) })
	m := metrics.New(metrics.Config{})
	s := &server.Server{Handler: m.Middleware(routes), MaxBlocking: 17}
	m.Watch(s)
	addr := start(t, s)
	measured := func() bool {
		shares := s.RouteShares()
		return len(shares) > 0 && shares[0].Total > 0 // the first look at a route only finds it
	}
	for end := time.Now().Add(5 * time.Second); !measured() && time.Now().Before(end); {
		ask(t, addr, "GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	ask(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	eventually(t, m, "microhttp_connections", "0")
	got := scrape(t, m)
	for sample, pattern := range map[string]string{
		"microhttp_connections_accepted_total":                                        "^[1-9]",
		`microhttp_connections_closed_total{reason="refused"}`:                        "^1$",
		`microhttp_connections_closed_total{reason="done"}`:                           "^[1-9]",
		`microhttp_requests_refused_total{http_response_status_code="400"}`:           "^1$",
		"microhttp_blocking_places":                                                   "^17$",
		"microhttp_blocking_places_used":                                              "^0$",
		"microhttp_blocking_requests_queued":                                          "^0$",
		"microhttp_blocking_handlers_waiting":                                         "^0$",
		"microhttp_buffered_bytes":                                                    "^[0-9]",
		`microhttp_loop_lag_seconds_count{loop="0"}`:                                  "^[1-9]",
		`microhttp_loop_lag_seconds_bucket{loop="0",le="17.179869184"}`:               "^[1-9]",
		`microhttp_loop_lag_seconds_sum{loop="0"}`:                                    "^(0\\.0*[1-9]|[1-9])",
		`microhttp_route_loop_seconds_total{loop="0",pattern="GET /slow/{n}"}`:        "^(0\\.0*[1-9]|[1-9])",
		`microhttp_route_loop_calls_total{loop="0",pattern="GET /slow/{n}"}`:          "^[1-9]",
		`http_server_active_requests{http_request_method="_OTHER",url_scheme="http"}`: "^0$",
	} {
		if !regexp.MustCompile(pattern).MatchString(got[sample]) {
			t.Errorf("%s is %q, want %s", sample, got[sample], pattern)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a second server was taken")
		}
	}()
	m.Watch(s)
}

// The page is in the format that is asked for; a gatherer that fails is answered with 500.
func TestFormats(t *testing.T) {
	m := metrics.New(metrics.Config{})
	addr := start(t, &server.Server{Handler: m.Handler()})
	for accept, want := range map[string]string{
		"":                             "text/plain; version=0.0.4",
		"application/openmetrics-text": "application/openmetrics-text",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
	} {
		req, _ := http.NewRequest("GET", "http://"+addr+"/", nil)
		req.Header.Set("Accept", accept)
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, want) || len(page) < 1000 {
			t.Errorf("%q: %q, %d bytes", accept, got, len(page))
		}
		if strings.Contains(accept, "openmetrics") && !strings.HasSuffix(string(page), "# EOF\n") {
			t.Error("the page does not end")
		}
	}
	failing := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("on purpose") })
	addr = start(t, &server.Server{Handler: metrics.Handler(failing)})
	if status, text := ask(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); status != 500 || !strings.Contains(text, "on purpose") {
		t.Errorf("%d %s", status, text)
	}
}
