package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// A time for the answer: see expiry.go.

// timed makes h answer within d, and counts OnDone's calls with the status that they see.
type timed struct {
	mu   sync.Mutex
	done []string
}

func (o *timed) wrap(d time.Duration, h Handler) Handler {
	return Wrap(func(w *Response, r *Request, next Handler) {
		if r.Path() == "/next" {
			w.WriteString("next")
			return
		}
		w.SetHeader("Outer", "kept")
		w.OnDone(func(w *Response, r *Request) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.done = append(o.done, fmt.Sprint(w.Status(), " ", w.Err(), " ", r.Context().Value(withinKey)))
		})
		r.SetContext(context.WithValue(r.Context(), withinKey, "value"))
		w.AnswerWithin(d, func(w *Response, r *Request) {
			w.WriteString("late: ")
			w.WriteString(fmt.Sprint(r.Path(), r.Context().Value(withinKey), r.Context().Err()))
		})
		next.Serve(w, r)
	})(h)
}

func (o *timed) seen() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.done, ", ")
}

type withinKeyType struct{}

var withinKey withinKeyType

const whole = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

// Whatever the handler is at when its time is over, the answer is the server's, OnDone is called once, with the status
// that was sent, and the connection goes on.
func TestAnswerWithin(t *testing.T) {
	const d = 20 * time.Millisecond
	var after errorsOf
	stuck := func(f func(w *Response, r *Request)) Handler {
		return BlockingFunc(func(w *Response, r *Request) {
			<-r.Context().Done()
			f(w, r)
		})
	}
	for name, c := range map[string]struct {
		h    Handler
		sent string
	}{
		"while the body arrives":      {HandlerFunc(hello), strings.TrimSuffix(whole, "c")},
		"streaming, the body arrives": {StreamingFunc(func(_ *Response, r *Request) { r.OnBody(after.body) }), strings.TrimSuffix(whole, "c")},
		"streaming, paused":           {StreamingFunc(func(_ *Response, r *Request) { r.OnBody(after.body); r.PauseBody() }), strings.TrimSuffix(whole, "c")},
		"later":                       {HandlerFunc(func(w *Response, _ *Request) { w.Later() }), whole},
		"blocking": {stuck(func(w *Response, r *Request) {
			w.SetHeader("Outer", "changed")
			w.WriteString("too late")
		}), whole},
		"blocking, then streams": {stuck(func(w *Response, r *Request) {
			_, err := w.Stream().WriteString("too late")
			for err == nil { // the loop has not fetched the first yet
				_, err = w.Stream().WriteString("too late")
			}
			after.note(err)
		}), whole},
		"blocking, reads": {Blocking(StreamingFunc(func(w *Response, r *Request) {
			_, err := io.ReadAll(r.BodyReader())
			after.note(err)
		})), strings.TrimSuffix(whole, "c")},
		"blocking, panics then": {stuck(func(*Response, *Request) { panic(ErrAbortHandler) }), whole},
	} {
		t.Run(name, func(t *testing.T) {
			after.clear()
			var o timed
			s, addr := start(t, nil, func(s *Server) {
				s.Handler, s.MaxBlocking, s.DetectLateUse = o.wrap(d, c.h), 1, true
			})
			p := dial(t, addr)
			p.send("%s", c.sent)
			res, body := p.answer("POST")
			want(t, "answer", fmt.Sprint(res.StatusCode, res.Header["Outer"], body),
				"503 [kept]Service Unavailable\nlate: /avaluecontext canceled")
			if c.sent != whole {
				p.send("c")
			}
			want(t, "the next answer", p.get("/next"), "next")
			await(t, "places to be free", func() bool { return s.places.count(jobWorking)+s.places.count(jobQueued) == 0 })
			want(t, "OnDone", o.seen(), "503 "+ErrTimeout.Error()+" value")
			switch name {
			case "blocking, then streams", "blocking, reads", "streaming, the body arrives", "streaming, paused":
				await(t, "the handler to get the error", func() bool { return after.n() > 0 })
				if err := after.only(); !errors.Is(err, ErrTimeout) {
					t.Errorf("the handler got %v, want ErrTimeout", err)
				}
			}
		})
	}
}

// errorsOf gathers the errors that handlers get.
type errorsOf struct {
	mu  sync.Mutex
	got []error
}

func (e *errorsOf) note(err error) { e.mu.Lock(); e.got = append(e.got, err); e.mu.Unlock() }
func (e *errorsOf) clear()         { e.mu.Lock(); e.got = nil; e.mu.Unlock() }
func (e *errorsOf) n() int         { e.mu.Lock(); defer e.mu.Unlock(); return len(e.got) }

func (e *errorsOf) body(_ []byte, err error) {
	if err != nil {
		e.note(err)
	}
}

// only is the one error.
func (e *errorsOf) only() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.got) != 1 {
		return fmt.Errorf("%d errors: %v", len(e.got), e.got)
	}
	return e.got[0]
}

// An answer in time is the handler's, and so is one that has begun.
func TestAnsweredInTime(t *testing.T) {
	waits(t)
	began := make(chan struct{})
	for name, c := range map[string]struct {
		h    Handler
		d    time.Duration
		want string
	}{
		"at once":  {HandlerFunc(hello), time.Hour, "Hello, World!"},
		"blocking": {BlockingFunc(hello), time.Hour, "Hello, World!"},
		"a Stream that has begun": {BlockingFunc(func(w *Response, r *Request) {
			s := w.Stream()
			s.WriteString("begun, ")
			<-began
			s.WriteString("and whole")
		}), time.Second, "begun, and whole"},
		"a Stream on the loop": {HandlerFunc(func(w *Response, r *Request) {
			s := w.Stream()
			s.WriteString("begun, ")
			r.Reactor().CallLater(20*time.Millisecond, func() { s.WriteString("and whole"); s.Close() })
		}), time.Millisecond, "begun, and whole"},
	} {
		t.Run(name, func(t *testing.T) {
			var o timed
			_, addr := start(t, nil, func(s *Server) { s.Handler = o.wrap(c.d, c.h) })
			p := dial(t, addr)
			p.send(whole)
			if name == "a Stream that has begun" {
				if _, err := p.r.Peek(1); err != nil { // the head is out
					t.Fatal(err)
				}
				time.AfterFunc(c.d, func() { close(began) }) // the time is over then
			}
			res, body := p.answer("POST")
			want(t, "answer", fmt.Sprint(res.StatusCode, body), "200"+c.want)
			want(t, "the next answer", p.get("/next"), "next")
			want(t, "OnDone", o.seen(), "200 <nil> value")
		})
	}
}

// A request that waits for a place when its time is over leaves the queue.
func TestAnswerWithinTheQueue(t *testing.T) {
	release := make(chan struct{})
	var o timed
	slow := o.wrap(20*time.Millisecond, BlockingFunc(func(*Response, *Request) { t.Error("a handler began after its time") }))
	s, addr := start(t, nil, func(s *Server) {
		s.MaxBlocking = 1
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			if r.Path() == "/hold" {
				next = BlockingFunc(func(*Response, *Request) { <-release })
			}
			next.Serve(w, r)
		})(slow)
	})
	hold, p := dial(t, addr), dial(t, addr)
	hold.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
	await(t, "the place to be taken", func() bool { return s.places.count(jobWorking) == 1 })
	p.send(whole)
	if res, _ := p.answer("POST"); res.StatusCode != 503 {
		t.Errorf("status %d, want 503", res.StatusCode)
	}
	if n := s.places.count(jobQueued); n != 0 {
		t.Errorf("%d jobs are still queued", n)
	}
	want(t, "OnDone", o.seen(), "503 "+ErrTimeout.Error()+" value")
	close(release)
	hold.answer("GET")
}

// What a buffered body holds is counted, too, when the exchange has outlived the handlers at the head, and when a Blocking
// handler gathers it.
func TestBodiesAreCounted(t *testing.T) {
	const size = 1 << 20
	for name, h := range map[string]Handler{
		"AnswerWithin": Wrap(func(w *Response, r *Request, next Handler) {
			w.AnswerWithin(time.Hour, nil)
			next.Serve(w, r)
		})(HandlerFunc(hello)),
		"Blocking": Blocking(Wrap(func(w *Response, r *Request, next Handler) { next.Serve(w, r) })(HandlerFunc(hello))),
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := start(t, nil, func(s *Server) { s.Handler = h })
			holds := func() (n int) {
				back := make(chan struct{})
				f := s.workers[0]
				f.loop.CallFromThread(func() { n = f.held + int(f.made.bytes.Load()); close(back) })
				<-back
				return n
			}
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size+1, strings.Repeat("x", size))
			await(t, "the body to be counted", func() bool { return holds() >= size })
			p.send("x")
			if res, _ := p.answer("POST"); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			await(t, "nothing to be held", func() bool { return holds() == 0 })
		})
	}
}
