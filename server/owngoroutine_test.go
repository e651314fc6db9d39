package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Handlers with goroutines of their own run, however many there are, and leave all places to the others.
func TestOwnGoroutineTakesNoPlace(t *testing.T) {
	const n = 50
	release := make(chan struct{})
	hold := OwnGoroutine(HandlerFunc(func(w *Response, _ *Request) { <-release; w.WriteString("held") }))
	s, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/hold" {
			hold.Serve(w, r)
			return
		}
		BlockingFunc(hello).Serve(w, r)
	}, func(s *Server) { s.MaxBlocking = 1 })
	peers := ignore(t, s, "/hold", n)
	await(t, "all to run", func() bool { return s.workers[0].loop.ThreadCalls() == n })
	want(t, "the one place", dial(t, addr).get("/"), "Hello, World!")
	for state := jobQueued; state < jobStates; state++ {
		if c := s.places.count(state); c != 0 {
			t.Errorf("%d jobs in state %d", c, state)
		}
	}
	close(release)
	for _, p := range peers {
		if _, body := p.answer("GET"); body != "held" {
			t.Errorf("got %q", body)
		}
	}
}

// Waiting for a peer is as in a Blocking handler: in Read of a body, in Write of a stream, and in a connection that was
// taken.
func TestOwnGoroutineWaits(t *testing.T) {
	ended := make(chan error, 1)
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = OwnGoroutine(StreamingFunc(func(w *Response, r *Request) {
			switch r.Path() {
			case "/body":
				b, err := io.ReadAll(r.BodyReader())
				fmt.Fprint(w, string(b), err)
			case "/stream":
				writeOn(w, r)
				ended <- w.Err()
			case "/hijack":
				c, unread, err := w.Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if len(unread) == 0 {
					unread = make([]byte, 1)
					_, err = c.Read(unread)
				}
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", string(unread), err)
			}
		}))
	})
	p := dial(t, addr)
	p.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if line, err := p.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Errorf("got %q, %v", line, err)
	}
	p.r.ReadString('\n')
	p.send("ab")
	if _, body := p.answer("POST"); body != "ab<nil>" {
		t.Errorf("the body: %q", body)
	}
	p.send("GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	p.send("x")
	if _, body := p.answer("GET"); body != "x<nil>" {
		t.Errorf("the connection: %q", body)
	}
	slow := dial(t, addr)
	slow.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(slow.r, nil); err != nil {
		t.Fatal(err)
	}
	slow.Close()
	<-ended
}

// When the time for the answer is over, the server answers, and the goroutine goes on until its handler returns.
func TestOwnGoroutineAnswerWithin(t *testing.T) {
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			w.AnswerWithin(20*time.Millisecond, nil)
			next.Serve(w, r)
		})(OwnGoroutine(HandlerFunc(func(w *Response, r *Request) { <-r.Context().Done() })))
	})
	p := dial(t, addr)
	for range 2 {
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if res, _ := p.answer("GET"); res.StatusCode != 503 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// When Shutdown's context ends, the contexts of all handlers end, and Run returns when they have.
func TestOwnGoroutineEndsWithTheServer(t *testing.T) {
	ended := make(chan error, 3)
	s, _ := start(t, nil, func(s *Server) {
		s.Handler = OwnGoroutine(HandlerFunc(func(w *Response, r *Request) {
			<-r.Context().Done()
			_, err := w.Write([]byte("late"))
			ended <- err
		}))
	})
	ignore(t, s, "/", cap(ended))
	await(t, "all to run", func() bool { return s.workers[0].loop.ThreadCalls() == cap(ended) })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	for range cap(ended) {
		<-ended
	}
}

// Of Blocking and OwnGoroutine around each other, the outer one decides. What is in them stays as it is.
func TestOffLoopAroundOffLoop(t *testing.T) {
	h := HandlerFunc(hello)
	forms := map[string]Handler{"plain": h, "buffered": AtHead(h), "streaming": Streaming(h), "head": MaxBody(1)(h)}
	for name, inner := range forms {
		want := Blocking(inner).(*blocking).leaf
		want.h = nil
		var got []leaf
		for _, h := range []Handler{Blocking(OwnGoroutine(inner)), OwnGoroutine(Blocking(inner)), OwnGoroutine(OwnGoroutine(inner))} {
			l := h.(*blocking).leaf
			if _, twice := l.h.(*blocking); twice {
				t.Errorf("%s: one is inside the other", name)
			}
			l.h = nil
			got = append(got, l)
		}
		own := want
		own.free = true
		if !slices.Equal(got, []leaf{want, own, own}) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}
