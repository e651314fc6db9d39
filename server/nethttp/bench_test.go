package nethttp_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// BenchmarkCrossings shows what it costs to cross to net/http and back: one request at a time on one connection. cpu-ns/op has
// the client's part and the kernel's, too, which are the same for all; what counts is the difference to "bare".
func BenchmarkCrossings(b *testing.B) {
	hello := server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.Text(200, "Hello, World!") })
	theirs := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "Hello, World!")
	})
	around := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
	}
	for _, c := range []struct {
		name string
		h    server.Handler
	}{
		{"bare", hello},
		{"OwnGoroutine", server.OwnGoroutine(hello)},
		{"From", nethttp.From(theirs)},
		{"From(mw(To))", nethttp.From(around(nethttp.To(hello)))},
	} {
		b.Run(c.name, func(b *testing.B) { pingPong(b, serveFor(b, c.h)) })
	}
	b.Run("net-http", func(b *testing.B) {
		s := httptest.NewServer(theirs)
		defer s.Close()
		pingPong(b, s.Listener.Addr().String())
	})
}

// serveFor is serve for a benchmark.
func serveFor(b *testing.B, h server.Handler) (addr string) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h}
	at, err := s.Listen()
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	b.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return at.String()
}

func pingPong(b *testing.B, addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request, answer := []byte("GET /some/path HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\n\r\n"), make([]byte, 4<<10)
	ask := func() int {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := c.Read(answer)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	size := ask()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for range b.N {
		if n := ask(); n != size {
			b.Fatalf("%d bytes, and then %d", size, n)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
