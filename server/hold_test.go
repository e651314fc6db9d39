package server

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// holdFor is middleware that holds each request and hands it to f.
func holdFor(f func(h *Held, next Handler)) Middleware {
	return Wrap(func(w *Response, r *Request, next Handler) { f(w.Hold(), next) })
}

// laterServe serves a held request from another goroutine, twice.
func laterServe(h *Held, next Handler) {
	go func() {
		h.Serve(next)
		h.Serve(HandlerFunc(func(w *Response, _ *Request) { w.Error(500) }))
	}()
}

// Whatever handler a request was held for serves it as if it had not been held, body and all.
func TestHeldRequestsAreServed(t *testing.T) {
	echoBody := func(w *Response, r *Request) { w.GiveBody(r.Body()) }
	for name, h := range map[string]Handler{
		"plain":    HandlerFunc(echoBody),
		"blocking": BlockingFunc(echoBody),
		"late": HandlerFunc(func(w *Response, r *Request) {
			body, p := r.Body(), w.Later()
			go p.Answer(func(w *Response) { w.GiveBody(body) })
		}),
		"streaming": StreamingFunc(func(w *Response, r *Request) {
			s := w.Stream()
			r.OnBody(func(p []byte, err error) {
				if s.Write(p); err != nil {
					s.Close()
				}
			})
		}),
		"reader":     Blocking(StreamingFunc(func(w *Response, r *Request) { io.Copy(w, r.BodyReader()) })),
		"held twice": holdFor(laterServe)(HandlerFunc(echoBody)),
		"timed": Wrap(func(w *Response, r *Request, next Handler) {
			w.AnswerWithin(patience, nil)
			next.Serve(w, r)
		})(BlockingFunc(echoBody)),
	} {
		_, addr := start(t, nil, func(s *Server) { s.Handler = holdFor(laterServe)(h) })
		for _, body := range []string{"", "abc", strings.Repeat("x", 100_000)} {
			p := dial(t, addr)
			for range 2 {
				p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				if res, got := p.answer("POST"); res.StatusCode != 200 || got != body {
					t.Errorf("%s: %d, %d of %d bytes", name, res.StatusCode, len(got), len(body))
				}
			}
			p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n")
			p.answer("POST")
			if res, _ := p.answer("GET"); res.StatusCode != 200 {
				t.Errorf("%s: the next request in the pipeline: %d", name, res.StatusCode)
			}
			p.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			p.send("0\r\n\r\n")
			if _, got := p.answer("POST"); got != "abc" {
				t.Errorf("%s: chunked: %q", name, got)
			}
		}
	}
}

// A body is not asked for while its request is held.
func TestHeldRequestsAreNotContinued(t *testing.T) {
	held, next := make(chan *Held, 1), Handler(nil)
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = holdFor(func(h *Held, n Handler) { next = n; held <- h })(HandlerFunc(func(w *Response, r *Request) { w.GiveBody(r.Body()) }))
	})
	p := dial(t, addr)
	p.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	h := <-held
	_ = p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if b, err := p.r.Peek(1); !errors.Is(err, errTimedOut(err)) {
		t.Fatalf("%q, %v", b, err)
	}
	_ = p.SetReadDeadline(time.Now().Add(patience))
	h.Serve(next)
	if line, _ := p.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q", line)
	}
	_, _ = p.r.ReadString('\n')
	p.send("abc")
	if _, got := p.answer("POST"); got != "abc" {
		t.Errorf("%q", got)
	}
}

// errTimedOut is err if it is a time-out, and else none that matches it.
func errTimedOut(err error) error {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return err
	}
	return io.ErrNoProgress
}

// A held request is over when its connection is lost or it was answered otherwise. It is then not served any more.
func TestHeldRequestsThatAreOver(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(s *Server)
		around Middleware
		lose   bool
		status int
		err    error
	}{
		"lost":    {lose: true, err: ErrPeerGone},
		"pending": {set: func(s *Server) { s.PendingTimeout = 20 * time.Millisecond }, status: 503},
		"within": {around: Wrap(func(w *Response, r *Request, next Handler) {
			w.AnswerWithin(20*time.Millisecond, func(w *Response, _ *Request) { w.SetStatus(504) })
			next.Serve(w, r)
		}), status: 504, err: ErrTimeout},
		"panic": {around: Wrap(func(w *Response, r *Request, next Handler) {
			w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Error(500) })
			next.Serve(w, r)
			panic("on purpose")
		}), status: 500},
	} {
		held, done := make(chan *Held, 1), make(chan error, 1)
		served := false
		h := Wrap(func(w *Response, r *Request, next Handler) {
			w.OnDone(func(w *Response, _ *Request) { done <- w.Err() })
			next.Serve(w, r)
		})(holdFor(func(h *Held, _ Handler) { held <- h })(HandlerFunc(func(*Response, *Request) {})))
		if c.around != nil {
			h = c.around(h)
		}
		_, addr := start(t, nil, func(s *Server) {
			s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
				if r.Path() == "/" {
					next.Serve(w, r)
				}
			})(h)
			if c.set != nil {
				c.set(s)
			}
		})
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
		late := <-held
		if c.lose {
			_ = p.SetLinger(0)
			p.Close()
		} else if res, _ := p.answer("POST"); res.StatusCode != c.status {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		if err := <-done; !errors.Is(err, c.err) {
			t.Errorf("%s: it is over by %v", name, err)
		}
		late.Serve(HandlerFunc(func(*Response, *Request) { served = true }))
		q := dial(t, addr)
		if q.get("/other"); served { // on the same loop, and later
			t.Errorf("%s: it is served", name)
		}
	}
}
