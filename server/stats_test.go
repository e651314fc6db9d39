package server

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// Stats, LoopLags and RefusalCounts say what the server holds while it holds it, and nothing once it is at rest.
func TestStats(t *testing.T) {
	release := make(chan struct{})
	held := BlockingFunc(func(w *Response, r *Request) { <-release; w.WriteString("held") })
	s, addr := start(t, func(w *Response, r *Request) { held.Serve(w, r) }, func(s *Server) {
		s.MaxBlocking, s.MaxBodyBytes = 1, 1<<20
	})
	if got := s.Stats(); got.Conns != 0 || got.Accepted != 0 || got.MaxBlocking != 1 || len(s.LoopLags()) != 1 {
		t.Errorf("at rest: %+v", got)
	}

	body := strings.Repeat("x", 1<<18)
	first, second := dial(t, addr), dial(t, addr)
	first.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	await(t, "a place to be taken", func() bool { return s.Stats().Blocking == 1 })
	second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	await(t, "a request to be queued", func() bool { return s.Stats().BlockingQueued == 1 })
	third := dial(t, addr)
	third.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body[1:])
	await(t, "a body to be held", func() bool {
		got := s.Stats()
		return got.Conns == 3 && got.BufferedBytes >= 1<<18 && got.BufferedBytes < 2<<20
	})
	if got := s.Stats(); got.Accepted != 3 {
		t.Errorf("with three connections: %+v", got)
	}
	third.Close()
	close(release)
	first.answer("POST")
	second.answer("GET")

	for range 2 {
		bad := dial(t, addr)
		bad.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
		bad.answer("GET")
		bad.Close()
	}
	large := dial(t, addr)
	large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n")
	large.answer("POST")
	large.Close()
	first.Close()
	second.Close()
	await(t, "rest", func() bool {
		got := s.Stats()
		return got.Conns == 0 && got.Blocking == 0 && got.BufferedBytes < 16<<10
	})
	refused := maps.Collect(s.RefusalCounts())
	delete(refused, 408)
	if got := fmt.Sprint(refused); got != "map[400:2 413:1]" && got != "map[400:3 413:1]" { // the third may be cut short
		t.Errorf("refused %s", got)
	}
	if s.LoopLags()[0].Count() == 0 {
		t.Error("no tick was counted")
	}
}

// Stats of a server that has not begun are those of its configuration.
func TestStatsBefore(t *testing.T) {
	var s Server
	if got := s.Stats(); got != (Stats{MaxBlocking: 512}) || len(s.LoopLags()) != 0 {
		t.Errorf("%+v", got)
	}
	for status, n := range s.RefusalCounts() {
		t.Errorf("%d of %d", n, status)
	}
}

// BytesReceived is the length of the body, however it was framed and wherever it went, and 0 for the next request.
func TestBytesReceived(t *testing.T) {
	type got struct {
		target string
		n      int64
	}
	seen := make(chan got, 1)
	done := func(w *Response, r *Request) { seen <- got{r.Target(), r.BytesReceived()} }
	blocking := BlockingFunc(func(*Response, *Request) {})
	handler := Wrap(func(w *Response, r *Request, next Handler) {
		w.OnDone(done)
		if r.Path() == "/blocking" {
			next = blocking
		}
		next.Serve(w, r)
	})(HandlerFunc(func(*Response, *Request) {}))
	_, addr := start(t, nil, func(s *Server) { s.Handler = handler })
	p := dial(t, addr)
	for _, target := range []string{"/", "/blocking"} {
		for _, c := range []struct {
			rest string
			n    int64
		}{
			{"Content-Length: 5\r\n\r\nhello", 5},
			{"\r\n", 0},
			{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", 7},
			{"Content-Length: 0\r\n\r\n", 0},
		} {
			p.send("POST %s HTTP/1.1\r\nHost: a\r\n%s", target, c.rest)
			p.answer("POST")
			if g := <-seen; g != (got{target, c.n}) {
				t.Errorf("%q: %+v, want %d", c.rest, g, c.n)
			}
		}
	}
}
