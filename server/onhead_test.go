package server

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Functions of OnHead have the last word on every answer that follows the call of a handler, whichever way it is made.

// onHead is middleware that notes its calls in the answer and in calls.
func onHead(name string, calls *atomic.Int64) Middleware {
	return Wrap(func(w *Response, r *Request, next Handler) {
		w.OnHead(func(w *Response, r *Request) {
			calls.Add(1)
			w.AddHeader("Seen", name)
			w.SetHeader("Last", name)
		})
		next.Serve(w, r)
	})
}

func TestOnHead(t *testing.T) {
	waits(t)
	get, post := "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	recovers := Wrap(func(w *Response, r *Request, next Handler) {
		w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Reset(); w.Error(500) })
		next.Serve(w, r)
	})
	within := Wrap(func(w *Response, r *Request, next Handler) {
		w.AnswerWithin(time.Millisecond, nil)
		next.Serve(w, r)
	})
	for name, c := range map[string]struct {
		request string
		leaf    Handler
		status  int
		body    string
	}{
		"inline": {get, HandlerFunc(hello), 200, "Hello, World!"},
		"HEAD":   {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HandlerFunc(hello), 200, ""},
		"later": {get, HandlerFunc(func(w *Response, r *Request) {
			p := w.Later()
			go p.Answer(func(w *Response) { hello(w, nil) })
		}), 200, "Hello, World!"},
		"a stream": {get, HandlerFunc(func(w *Response, r *Request) {
			hello(w, r)
			w.Stream().Close()
		}), 200, "Hello, World!"},
		"blocking": {get, BlockingFunc(hello), 200, "Hello, World!"},
		"a stream of a blocking handler": {get, BlockingFunc(func(w *Response, r *Request) {
			w.Stream().WriteString("Hello, World!")
		}), 200, "Hello, World!"},
		"a panic":                       {get, recovers(HandlerFunc(func(*Response, *Request) { panic("on purpose") })), 500, "Internal Server Error\n"},
		"a panic off the loop":          {get, recovers(BlockingFunc(func(*Response, *Request) { panic("on purpose") })), 500, "Internal Server Error\n"},
		"a body too large":              {post, MaxBody(3)(HandlerFunc(hello)), 413, "413 Content Too Large: body too large\n"},
		"a body too large, off loop":    {post, MaxBody(3)(BlockingFunc(hello)), 413, "413 Content Too Large: body too large\n"},
		"a body that does not come":     {post, HandlerFunc(hello), 408, "408 Request Timeout: the request took too long to arrive\n"},
		"a body that a reader lacks":    {post, Blocking(StreamingFunc(func(w *Response, r *Request) { _, _ = r.BodyReader().Read(make([]byte, 1)) })), 408, "408 Request Timeout: the request arrives too slowly\n"},
		"a Pending that is not given":   {get, HandlerFunc(func(w *Response, r *Request) { w.Later() }), 503, "Service Unavailable\n"},
		"a time that is over":           {get, within(HandlerFunc(func(w *Response, r *Request) { w.Later() })), 503, "Service Unavailable\n"},
		"a time that is over, off loop": {get, within(BlockingFunc(func(w *Response, r *Request) { <-r.Context().Done() })), 503, "Service Unavailable\n"},
		"no place": {get, HandlerFunc(func(w *Response, r *Request) {
			BlockingFunc(func(*Response, *Request) { <-hold }).Serve(w, r)
		}), 503, "Service Unavailable\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			var done atomic.Int64
			leaf := c.leaf
			_, addr := start(t, nil, func(s *Server) {
				s.BodyTimeout, s.PendingTimeout, s.MinDataRate = 50*time.Millisecond, 50*time.Millisecond, 1<<20
				s.DataRateGrace = 300 * time.Millisecond // after BodyTimeout
				s.MaxBlocking, s.BlockingQueueTimeout = 1, time.Millisecond
				counts := Wrap(func(w *Response, r *Request, next Handler) {
					w.OnDone(func(w *Response, _ *Request) {
						done.Store(int64(w.Status()))
						w.OnHead(func(*Response, *Request) { calls.Add(1000) }) // too late
					})
					next.Serve(w, r)
				})
				s.Handler = Chain(counts, onHead("outer", &calls), onHead("middle", &calls), onHead("inner", &calls))(AtHead(leaf))
			})
			if name == "no place" {
				other := dial(t, addr)
				other.send("%s", get)
				t.Cleanup(func() { hold <- struct{}{} })
				defer other.Close()
			}
			p := dial(t, addr)
			p.send("%s", c.request)
			method, _, _ := strings.Cut(c.request, " ")
			res, body := p.answer(method)
			want(t, "answer", fmt.Sprint(res.StatusCode, " ", body), fmt.Sprint(c.status, " ", c.body))
			want(t, "order", fmt.Sprint(res.Header["Seen"], res.Header["Last"]), "[inner middle outer] [outer]")
			await(t, "OnDone", func() bool { return done.Load() == int64(c.status) })
			if n := calls.Load(); n != 3 {
				t.Errorf("%d calls, want 3", n)
			}
		})
	}
}

// OnHead may change all of the answer, and no request that no handler has seen has such functions.
func TestOnHeadChangesTheAnswer(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		w.OnHead(func(w *Response, r *Request) {
			w.OnHead(func(w *Response, _ *Request) { w.SetHeader("Never", "1") })
			if w.Status() == 200 {
				w.SetStatus(202)
				w.SetBody([]byte("changed"))
			}
			w.DelHeader("Content-Type")
			w.Interim(103, Field{"Link", "</a>"})
		})
		hello(w, r)
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n")
	got := undated(p.rest())
	want(t, "answer", got[:min(len(got), 117)], "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+
		"HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\nchanged"+"HTTP/1.1 400 Bad Request\r\n")
	if strings.Contains(got, "Never") {
		t.Errorf("OnHead within OnHead: %q", got)
	}
}

// A panic in OnHead is the handler's: OnPanic makes the answer, and the functions that are left are called for it. A second
// one ends the connection.
func TestOnHeadPanics(t *testing.T) {
	for name, around := range map[string]func(h HandlerFunc) Handler{
		"inline":   func(h HandlerFunc) Handler { return h },
		"blocking": func(h HandlerFunc) Handler { return BlockingFunc(h) },
		"a stream": func(h HandlerFunc) Handler {
			return HandlerFunc(func(w *Response, r *Request) { h(w, r); w.Stream().Close() })
		},
		"later": func(h HandlerFunc) Handler {
			return HandlerFunc(func(w *Response, r *Request) {
				p := w.Later()
				go p.Answer(func(w *Response) { h(w, r) })
			})
		},
	} {
		for panics, status := range map[int]int{1: 500, 3: 0} {
			t.Run(fmt.Sprint(name, " ", panics), func(t *testing.T) {
				var calls atomic.Int64
				_, addr := start(t, nil, func(s *Server) {
					s.Handler = Chain(onHead("outer", &calls))(around(func(w *Response, r *Request) {
						w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Reset(); w.Error(500) })
						for range panics {
							w.OnHead(func(*Response, *Request) { panic("on purpose") })
						}
						hello(w, r)
					}))
				})
				p := dial(t, addr)
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				if status == 0 {
					want(t, "answer", p.rest(), "")
					return
				}
				res, _ := p.answer("GET")
				want(t, "answer", fmt.Sprint(res.StatusCode, res.Header["Seen"]), fmt.Sprint(status, " [outer]"))
			})
		}
	}
}

// OnHead costs no allocation when its function captures nothing.
func TestOnHeadAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p, m := inMemory(t, func(w *Response, r *Request) {
		w.OnHead(func(w *Response, r *Request) { w.SetHeader("Server", "a") })
		hello(w, r)
	})
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := testing.AllocsPerRun(100, func() {
		m.out.Reset()
		p.DataReceived(request)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if !strings.Contains(m.out.String(), "Server: a\r\n") {
		t.Errorf("answered with %q", m.out.String())
	}
}
