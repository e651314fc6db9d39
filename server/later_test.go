package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOnlyTheFirstAnswerCounts(t *testing.T) {
	results := make(chan error, 8)
	_, addr := start(t, func(w *Response, r *Request) {
		p := w.Later()
		for i := range cap(results) {
			go func() {
				results <- p.Answer(func(w *Response) { fmt.Fprintf(w, "answer %d", i) })
			}()
		}
	})
	wantContains(t, "body", dial(t, addr).get("/"), "answer ")
	won := 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ErrAnswered):
			t.Errorf("a loser got %v, want ErrAnswered", err)
		}
	}
	if won != 1 {
		t.Errorf("%d answers won, want 1", won)
	}
}

func TestLaterFromATimer(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		p := w.Later()
		r.Reactor().CallLater(time.Millisecond, func() {
			p.Answer(func(w *Response) { w.WriteString("late " + p.Request().Path()) })
		})
	})
	p := dial(t, addr)
	p.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, path := range []string{"/1", "/2"} {
		_, body := p.answer("GET")
		want(t, "body", body, "late "+path)
	}
}

// Whoever answers after the peer has gone is told, and OnDone has run once.
func TestPeerGoneBeforeTheAnswer(t *testing.T) {
	var done atomic.Int32
	pending := make(chan *Pending, 1)
	contexts := make(chan context.Context, 1)
	_, addr := start(t, func(w *Response, r *Request) {
		w.OnDone(func(w *Response, r *Request) {
			if errors.Is(w.Err(), ErrPeerGone) {
				done.Add(1)
			}
		})
		contexts <- r.Context()
		pending <- w.Later()
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	later, ctx := <-pending, <-contexts
	p.SetLinger(0)
	p.Close()
	<-ctx.Done()
	await(t, "OnDone", func() bool { return done.Load() == 1 })
	if err := later.Answer(func(*Response) { t.Error("fill was called") }); !errors.Is(err, ErrPeerGone) {
		t.Errorf("Answer: %v, want ErrPeerGone", err)
	}
}

// A half-close ends the context, and the answer still goes out.
func TestHalfCloseWhileAnswering(t *testing.T) {
	_, addr := start(t, Blocking(HandlerFunc(func(w *Response, r *Request) {
		<-r.Context().Done()
		w.WriteString("still here")
	})).Serve)
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	p.CloseWrite()
	wantContains(t, "answer", p.rest(), "still here")
}

func TestBlockingDoesNotHoldTheLoop(t *testing.T) {
	release := make(chan struct{})
	blocked := make(chan struct{})
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() != "/block" {
			hello(w, r)
			return
		}
		BlockingFunc(func(w *Response, r *Request) {
			close(blocked)
			<-release
			fmt.Fprintf(w, "%s %s", r.Header("X"), r.Body())
		}).Serve(w, r)
	})
	slow, quick := dial(t, addr), dial(t, addr)
	slow.send("POST /block HTTP/1.1\r\nHost: a\r\nX: kept\r\nContent-Length: 4\r\n\r\nbody")
	<-blocked
	want(t, "the other connection", quick.get("/"), "Hello, World!")
	close(release)
	_, body := slow.answer("POST")
	want(t, "the blocked one", body, "kept body")
}

func TestBlockingIsBounded(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int32
	_, addr := start(t, BlockingFunc(func(w *Response, r *Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		running.Add(-1)
	}).Serve, func(s *Server) { s.MaxBlocking = 2 })
	var peers []*peer
	for range 2 + 2*blockingQueue + 3 {
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		peers = append(peers, p)
	}
	// Exactly three find no room; they are answered while the others wait.
	statuses := make(chan int, len(peers))
	for _, p := range peers {
		go func() {
			res, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			if after := res.Header.Get("Retry-After"); res.StatusCode == 503 && after != "1" {
				t.Errorf("503 with Retry-After %q", after)
			}
			statuses <- res.StatusCode
		}()
	}
	for range 3 {
		if s := <-statuses; s != 503 {
			t.Errorf("status %d, want 503", s)
		}
	}
	close(release)
	for range len(peers) - 3 {
		if s := <-statuses; s != 200 {
			t.Errorf("status %d, want 200", s)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d handlers ran at once, want 2 at most", most.Load())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// With DetectLateUse every use of what was lent panics once the response is done, and
// the response itself is not harmed.
func TestDetectLateUse(t *testing.T) {
	type lent struct {
		w *Response
		r *Request
	}
	kept := make(chan lent, 1)
	for name, h := range map[string]Handler{
		"on the loop":  HandlerFunc(func(w *Response, r *Request) { w.WriteString("ok"); kept <- lent{w, r} }),
		"off the loop": BlockingFunc(func(w *Response, r *Request) { w.WriteString("ok"); kept <- lent{w, r} }),
	} {
		_, addr := start(t, h.Serve, func(s *Server) { s.DetectLateUse = true })
		p := dial(t, addr)
		for range 2 {
			want(t, name, p.get("/x"), "ok")
			l := <-kept
			await(t, "the end of the response", l.r.late.Load)
			for what, use := range map[string]func(){
				"Method": func() { l.r.Method() },
				"Path":   func() { l.r.Path() },
				"Header": func() { l.r.Header("Host") },
				"Headers": func() {
					for range l.r.Headers() {
					}
				},
				"PeekBody":    func() { l.r.PeekBody() },
				"Body":        func() { l.r.Body() },
				"PathValue":   func() { l.r.SetMatch("", []string{"a"}, []Span{{}}); l.r.PathValue("a") },
				"RemoteAddr":  func() { l.r.RemoteAddr() },
				"Write":       func() { l.w.Write(nil) },
				"WriteString": func() { l.w.WriteString("") },
				"SetStatus":   func() { l.w.SetStatus(200) },
				"SetHeader":   func() { l.w.SetHeader("A", "b") },
				"DelHeader":   func() { l.w.DelHeader("A") },
				"SetBody":     func() { l.w.SetBody(nil) },
				"Later":       func() { l.w.Later() },
				"Stream":      func() { l.w.Stream() },
				"OnDone":      func() { l.w.OnDone(nil) },
			} {
				if !panics(use) {
					t.Errorf("%s: late use of %s went unnoticed", name, what)
				}
			}
		}
	}
}
