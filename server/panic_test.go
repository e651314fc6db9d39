package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
)

// Panics, wherever they come: one request is lost, and nobody else's.

func TestPanics(t *testing.T) {
	later := func(w *Response, r *Request) {
		p := w.Later()
		go p.Answer(func(*Response) { panic("later") })
	}
	onLoop := func(w *Response, r *Request) { panic("on the loop") }
	for _, c := range []struct {
		name    string
		handler Handler
		catch   bool
		logged  bool
	}{
		{"on the loop", HandlerFunc(onLoop), false, true},
		{"off the loop", BlockingFunc(onLoop), false, true},
		{"in Answer", HandlerFunc(later), false, true},
		{"caught on the loop", HandlerFunc(onLoop), true, false},
		{"caught off the loop", BlockingFunc(onLoop), true, false},
		{"caught in Answer", HandlerFunc(later), true, false},
		{"after Stream", HandlerFunc(func(w *Response, r *Request) { w.Stream(); panic("streaming") }), true, false},
		{"abort", HandlerFunc(func(w *Response, r *Request) { panic(ErrAbortHandler) }), false, false},
		{"abort, wrapped", HandlerFunc(func(w *Response, r *Request) { panic(fmt.Errorf("x: %w", ErrAbortHandler)) }), true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			var done atomic.Int32
			_, addr := start(t, func(w *Response, r *Request) {
				if r.Path() == "/fine" {
					return
				}
				w.OnDone(func(*Response, *Request) { done.Add(1) })
				if c.catch {
					w.OnPanic(func(w *Response, r *Request, v any, stack []byte) { w.Reset(); w.Error(500) })
				}
				w.WriteString("half of an answer")
				c.handler.Serve(w, r)
			}, func(s *Server) { s.Log = logger })
			p, bystander := dial(t, addr), dial(t, addr)
			bystander.get("/fine")
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if c.catch && !strings.Contains(c.name, "Stream") && !strings.Contains(c.name, "abort") {
				res, body := p.answer("GET")
				want(t, "answer", fmt.Sprint(res.StatusCode, body), "500Internal Server Error\n")
				p.get("/fine")
			} else if b, err := io.ReadAll(p); err != nil || len(b) > 0 != strings.Contains(c.name, "Stream") {
				t.Errorf("%q, then %v; want no answer, or the part that was streamed", b, err)
			}
			await(t, "OnDone", func() bool { return done.Load() == 1 })
			bystander.get("/fine")
			if got := strings.Contains(log.String(), "panic"); got != c.logged {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}

// The answers to earlier requests are not lost because a later one has none.
func TestPanicLosesNoEarlierAnswer(t *testing.T) {
	large := strings.Repeat("x", 4<<20)
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/panic" {
			panic("second")
		}
		w.WriteString(large)
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := p.answer("GET"); body != large {
		t.Errorf("%d bytes of the earlier answer", len(body))
	}
	want(t, "behind it", p.rest(), "")
}

// A handler that panics behind Later is one that panics: OnPanic answers, or the connection ends behind earlier answers.
func TestPanicBehindLater(t *testing.T) {
	large := strings.Repeat("x", 4<<20)
	for _, mend := range []bool{true, false} {
		owed := make(chan *Pending, 1)
		var done atomic.Int32
		_, addr := start(t, func(w *Response, r *Request) {
			if r.Path() != "/panic" {
				w.WriteString(large)
				return
			}
			w.OnDone(func(*Response, *Request) { done.Add(1) })
			if mend {
				w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Error(500) })
			}
			owed <- w.Later()
			panic("behind Later")
		})
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := p.answer("GET"); body != large {
			t.Errorf("%d bytes of the earlier answer", len(body))
		}
		if mend {
			if res, _ := p.answer("GET"); res.StatusCode != 500 {
				t.Errorf("status %d, want 500", res.StatusCode)
			}
		} else {
			want(t, "behind it", p.rest(), "")
		}
		if err := (<-owed).Answer(func(*Response) { t.Error("filled") }); !errors.Is(err, ErrAnswered) {
			t.Errorf("Answer: %v, want ErrAnswered", err)
		}
		await(t, "OnDone", func() bool { return done.Load() == 1 })
	}
}

// An answer that was given stands, whatever the handler does then.
func TestPanicBehindAnswer(t *testing.T) {
	p, log := logged(t, func(w *Response, r *Request) {
		if r.Path() == "/panic" {
			w.Later().Answer(func(w *Response) { w.WriteString("given") })
			panic("behind Answer")
		}
		w.Write(make([]byte, 4<<20))
	})
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
	p.answer("GET")
	_, body := p.answer("GET")
	want(t, "body", body, "given")
	wantContains(t, "log", log.String(), "behind Answer")
}

// A panic in OnDone is logged; the connection goes on, and nothing of the request is
// left for the next one.
func TestPanicInOnDone(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	_, addr := start(t, func(w *Response, r *Request) {
		w.AddHeader("X", r.Path())
		w.WriteString(r.Path())
		if r.Path() == "/panic" {
			w.OnDone(func(*Response, *Request) { panic("done") })
		}
	}, func(s *Server) { s.Log = logger })
	p := dial(t, addr)
	want(t, "body", p.get("/panic"), "/panic")
	want(t, "the next body", p.get("/next"), "/next")
	wantContains(t, "log", log.String(), `"panic":"done"`)
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
