package ecosystem

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// both serves a handler by net/http's server and by ours, runs the same client against each, and compares what it saw. build is
// called once for each, so that state is not shared. want are words that must be in what was seen, lest both are wrong.
func both(t *testing.T, build func(t *testing.T) http.Handler, client func(t *testing.T, s *seen, url string), want ...string) {
	t.Helper()
	theirs, ours := &seen{}, &seen{}
	t.Run("net/http", func(t *testing.T) {
		s := httptest.NewServer(build(t))
		defer s.Close()
		client(t, theirs, s.URL)
	})
	t.Run("microhttp", func(t *testing.T) {
		url := start(t, &server.Server{Handler: nethttp.From(build(t))})
		client(t, ours, url)
	})
	if t.Failed() {
		return
	}
	a, b := theirs.lines(), ours.lines()
	if !slices.Equal(a, b) {
		t.Errorf("the client saw\n%s", difference(a, b))
	}
	text := strings.Join(b, "\n")
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("nothing was seen of %q in\n%s", w, text)
		}
	}
}

// start serves with one loop, and ends the server with the test, in order.
func start(t *testing.T, s *server.Server) (url string) {
	t.Helper()
	s.Addr, s.Loops, s.Log = "127.0.0.1:0", 1, server.Zerolog(zerolog.Nop())
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		<-ended
	})
	return "http://" + addr.String()
}

// seen is what a client saw, line by line.
type seen struct {
	mu  sync.Mutex
	all []string
}

func (s *seen) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf(format, args...))
}

func (s *seen) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func difference(a, b []string) string {
	var out strings.Builder
	for i := range max(len(a), len(b)) {
		x, y := "(nothing)", "(nothing)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&out, "line %d\n  of net/http:  %s\n  of microhttp: %s\n", i+1, x, y)
		}
	}
	return out.String()
}

// client asks on connections of its own, which end with the test, and follows no redirect.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask makes a request, and adds the status, the fields that tell something, and the content.
func ask(t *testing.T, s *seen, c *http.Client, method, url string, body io.Reader, fields ...string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	s.add("%s /%s: %d %s %s", method, path, res.StatusCode, fieldsOf(res), show(b))
	return string(b)
}

// untold are fields that differ from one answer to the next, or that are the connection's own.
var untold = []string{"Date", "Connection"}

// fieldsOf are the fields of an answer, in order, without what differs by nature.
func fieldsOf(res *http.Response) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		if !slices.Contains(untold, name) {
			all = append(all, fmt.Sprintf("%s=%q", name, res.Header[name]))
		}
	}
	return strings.Join(all, " ")
}

// show is content: as it is if it is short, else its size and sum.
func show(b []byte) string {
	if len(b) <= 300 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes, %x", len(b), sha256.Sum256(b))
}

// quiet is the log of those who expect errors.
var quiet = log.New(io.Discard, "", 0)

// awaitSpans waits until so many spans have ended: the last one ends when the client has its answer already.
func awaitSpans(t *testing.T, kept *tracetest.InMemoryExporter, n int) {
	t.Helper()
	for end := time.Now().Add(patience); len(kept.GetSpans()) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d spans, want %d", len(kept.GetSpans()), n)
		}
	}
}

func sortLines(s *seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.all)
}
