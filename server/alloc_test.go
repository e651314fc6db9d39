package server

import (
	"strings"
	"testing"
)

// A request whose handler looks at nothing allocates nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	get := "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nUser-Agent: test\r\n\r\n"
	for _, c := range []struct {
		name    string
		request string
		handler HandlerFunc
		allocs  float64
	}{
		{"plaintext", get, hello, 0},
		{"sixteen pipelined", strings.Repeat(get, 16), hello, 0},
		{
			"body in one read, lent", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
			func(w *Response, r *Request) { w.Write(r.PeekBody()) }, 0,
		},
		{
			"head and fields peeked", get,
			func(w *Response, r *Request) { w.Write(r.PeekHeader("user-agent")); w.Write(r.PeekEscapedPath()) }, 0,
		},
		{
			"OnDone with a function that captures nothing", get,
			func(w *Response, r *Request) { w.OnDone(func(*Response, *Request) {}) }, 0,
		},
		{
			"four strings of the head", get,
			func(w *Response, r *Request) {
				w.WriteString(r.Path())
				w.WriteString(r.Host())
				w.WriteString(r.Header("Accept"))
				w.WriteString(r.Header("User-Agent"))
			}, 1,
		},
	} {
		p, m := inMemory(t, c.handler)
		request := []byte(c.request)
		if got := testing.AllocsPerRun(100, func() {
			m.out.Reset()
			p.DataReceived(request)
		}); got != c.allocs {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.allocs)
		}
		if !strings.HasPrefix(m.out.String(), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("%s: answered with %q", c.name, m.out.String())
		}
	}
}

// Middleware at the head, a value by pointer and the route cost nothing, and nor does a body that came with its head.
func TestAllocationsAtTheHead(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	names, seven := []string{}, 7
	route := Wrap(func(w *Response, r *Request, next Handler) {
		r.SetMatch("/", names, nil)
		next.Serve(w, r)
	})
	user := Wrap(func(w *Response, r *Request, next Handler) {
		userKey.Set(r, &seven)
		next.Serve(w, r)
	})
	for name, c := range map[string]struct {
		request string
		leaf    Handler
	}{
		"no body":            {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HandlerFunc(func(w *Response, r *Request) { *userKey.Get(r) = 7 })},
		"a whole body, lent": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", HandlerFunc(func(w *Response, r *Request) { w.Write(r.PeekBody()) })},
		"a bound":            {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", MaxBody(10)(HandlerFunc(hello))},
		"a body that is not asked for": {
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", StreamingFunc(hello),
		},
	} {
		p, m := inMemory(t, nil, func(s *Server) { s.Handler = Chain(user, route, MaxBody(100))(c.leaf) })
		request := []byte(c.request)
		if got := testing.AllocsPerRun(100, func() {
			m.out.Reset()
			p.DataReceived(request)
		}); got != 0 {
			t.Errorf("%s: %v allocations, want none", name, got)
		}
		if !strings.HasPrefix(m.out.String(), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("%s: answered with %q", name, m.out.String())
		}
	}
}

func BenchmarkPlaintext(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "16 pipelined": 16} {
		b.Run(name, func(b *testing.B) {
			p, m := inMemory(b, hello)
			request := []byte(strings.Repeat("GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", n))
			b.ReportAllocs()
			for b.Loop() {
				m.out.Reset()
				p.DataReceived(request)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}
