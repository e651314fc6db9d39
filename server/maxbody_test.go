package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// MaxBody: the innermost wins, it is decided by the head, and Listen refuses what it cannot keep.

// switchboard is a handler at the head that holds others by path, as a router does.
type switchboard map[string]Handler

func (s switchboard) TakesHead() {}

func (s switchboard) Serve(w *Response, r *Request) {
	if h := s[r.Path()]; h != nil {
		h.Serve(w, r)
		return
	}
	w.Error(404)
}

func (s switchboard) Handlers() func(yield func(Handler) bool) {
	return func(yield func(Handler) bool) {
		for _, h := range s {
			if !yield(h) {
				return
			}
		}
	}
}

func TestMaxBody(t *testing.T) {
	leaf := HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, len(r.PeekBody())) })
	taker := StreamingFunc(func(w *Response, r *Request) {
		n := 0
		r.OnBody(func(p []byte, _ error) {
			n += len(p)
			w.SetBody(fmt.Append(nil, n))
		})
	})
	_, addr := start(t, nil, func(s *Server) {
		s.MaxBodyBytes = 50
		s.Handler = MaxBody(10)(switchboard{
			"/outer": AtHead(leaf), "/streamed": taker, "/blocking": Blocking(leaf), "/small": MaxBody(5)(leaf), "/large": MaxBody(20)(leaf),
			"/none": MaxBody(-1)(taker), "/larger": MaxBody(100)(Blocking(switchboard{"/larger": AtHead(leaf)})),
			"/read": Wrap(func(_ *Response, r *Request, _ Handler) { r.ReadBody(15, leaf) })(leaf),
		})
	})
	for path, most := range map[string]int{
		"/outer": 10, "/streamed": 10, "/blocking": 10, "/small": 5, "/large": 20, "/none": 1 << 20, "/larger": 100, "/read": 15, "/nowhere": -1,
	} {
		for _, n := range []int{1, most, most + 1} {
			for _, chunked := range []bool{false, true} {
				status := 200
				switch {
				case most < 0:
					n, status = 1000, 404
				case n > most && most < 1<<20:
					status = 413
				}
				framing, body := fmt.Sprintf("Content-Length: %d", n), strings.Repeat("x", n)
				if chunked {
					framing, body = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, body)
				}
				p := dial(t, addr)
				p.send("POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n%s\r\n\r\n", path, framing)
				first, err := p.r.Peek(12)
				if err != nil {
					t.Fatal(err)
				}
				asks := status == 200 || status == 413 && chunked
				if string(first) == "HTTP/1.1 100" != asks {
					t.Errorf("%s, %d bytes, chunked %v: begins with %q", path, n, chunked, first)
				}
				if asks {
					p.r.ReadString('\n')
					p.r.ReadString('\n')
					p.send("%s", body)
				}
				res, got := p.answer("POST")
				if res.StatusCode != status || status == 200 && got != fmt.Sprint(n) {
					t.Errorf("%s, %d bytes, chunked %v: %d %q, want %d", path, n, chunked, res.StatusCode, got, status)
				}
				p.Close()
			}
		}
	}
}

func TestListenRefusesBounds(t *testing.T) {
	for name, c := range map[string]struct {
		h  Handler
		ok bool
	}{
		"around a leaf":               {MaxBody(1001)(HandlerFunc(hello)), false},
		"as much as can be held":      {MaxBody(1000)(HandlerFunc(hello)), true},
		"no bound":                    {MaxBody(-1)(HandlerFunc(hello)), true},
		"around Streaming":            {MaxBody(1001)(StreamingFunc(hello)), true},
		"around Blocking":             {MaxBody(1001)(BlockingFunc(hello)), false},
		"around Blocking Streaming":   {MaxBody(1001)(Blocking(StreamingFunc(hello))), true},
		"in Blocking":                 {Blocking(MaxBody(1001)(HandlerFunc(hello))), false},
		"a smaller one inside":        {MaxBody(1001)(MaxBody(10)(HandlerFunc(hello))), true},
		"in Wrap":                     {choosy(MaxBody(1001)(choosy(HandlerFunc(hello)))), false},
		"through a router":            {MaxBody(1001)(switchboard{"/": AtHead(HandlerFunc(hello))}), false},
		"through a router, streaming": {MaxBody(1001)(switchboard{"/": StreamingFunc(hello)}), true},
		"in a router":                 {switchboard{"/": MaxBody(1001)(HandlerFunc(hello))}, false},
	} {
		s := &Server{Addr: "127.0.0.1:0", Handler: c.h, MaxBufferedBytes: 1000, MaxBodyBytes: 500}
		_, err := s.Listen()
		limit, ok := errors.AsType[*LimitError](err)
		if c.ok != (err == nil) || !c.ok && (!ok || limit.Name != "MaxBody" || limit.Value != 1001 || limit.Most != 1000) {
			t.Errorf("%s: Listen: %v", name, err)
		}
		s.Close()
		if err == nil {
			_ = s.Run()
		}
	}
}

// A negative MaxBodyBytes leaves bodies that are buffered to MaxBufferedBytes.
func TestNegativeMaxBodyBytes(t *testing.T) {
	_, addr := start(t, hello, func(s *Server) { s.MaxBodyBytes, s.MaxBufferedBytes = -1, 1<<20 })
	for n, status := range map[int]int{1<<20 + 1: 413, 1 << 10: 200} {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n)
		if status == 200 {
			p.send("%s", strings.Repeat("x", n))
		}
		if res, _ := p.answer("POST"); res.StatusCode != status {
			t.Errorf("%d bytes: status %d, want %d", n, res.StatusCode, status)
		}
	}
}

// Values and contexts go with the request, and no further.

var (
	userKey = NewKey[*int]("user")
	nameKey = NewKey[string]("user")
	errKey  = NewKey[error]("error")
)

func TestKeys(t *testing.T) {
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			_, user := userKey.Lookup(r)
			_, name := nameKey.Lookup(r)
			w.SetHeader("Before", fmt.Sprint(user, name, errKey.Get(r) == nil, userKey.Get(r) == nil, userKey))
			if r.Path() == "/none" {
				return
			}
			n := 7
			userKey.Set(r, new(int))
			userKey.Set(r, &n)
			nameKey.Set(r, "ann")
			errKey.Set(r, nil)
			next.Serve(w, r)
		})(switchboard{
			"/plain":    AtHead(HandlerFunc(showKeys)),
			"/blocking": BlockingFunc(showKeys),
			"/later": AtHead(HandlerFunc(func(w *Response, r *Request) {
				p := w.Later()
				go p.Answer(func(w *Response) { showKeys(w, p.Request()) })
			})),
		})
	})
	p := dial(t, addr)
	for _, path := range []string{"/plain", "/none", "/blocking", "/none", "/later", "/none", "/plain"} {
		p.send("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", path)
		res, body := p.answer("POST")
		want(t, path+": before", res.Header.Get("Before"), "false false true true user")
		if path != "/none" {
			want(t, path, body, "7 ann true <nil>")
		}
	}
}

func showKeys(w *Response, r *Request) {
	err, ok := errKey.Lookup(r)
	fmt.Fprint(w, *userKey.Get(r), " ", nameKey.Get(r), " ", ok, " ", err)
}

type ctxKey struct{}

func TestSetContext(t *testing.T) {
	ended := make(chan string, 10)
	watch := func(name string, ctx context.Context) {
		context.AfterFunc(ctx, func() { ended <- fmt.Sprint(name, " ", ctx.Err()) })
	}
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			watch("first", r.Context())
			ctx := context.WithValue(r.Context(), ctxKey{}, "value")
			if r.Path() == "/deadline" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
				w.OnDone(func(*Response, *Request) { cancel() })
			}
			if r.Path() == "/other" {
				ctx = context.WithValue(context.Background(), ctxKey{}, "value") // the first is no parent of it
			}
			r.SetContext(ctx)
			next.Serve(w, r)
		})(BlockingFunc(func(w *Response, r *Request) {
			watch("second", r.Context())
			if r.Path() == "/deadline" || r.Path() == "/gone" {
				<-r.Context().Done()
			}
			fmt.Fprint(w, r.Context().Value(ctxKey{}), r.Context().Err())
		}))
	})
	for path, c := range map[string]struct {
		body string
		ends []string
	}{
		"/":         {"value<nil>", []string{"first context canceled", "second context canceled"}},
		"/other":    {"value<nil>", []string{"first context canceled", "second context canceled"}},
		"/deadline": {"valuecontext deadline exceeded", []string{"first context canceled", "second context deadline exceeded"}},
		"/gone":     {"", []string{"first context canceled", "second context canceled"}},
	} {
		p := dial(t, addr)
		p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		if path == "/gone" {
			p.Close()
		} else if _, body := p.answer(http.MethodGet); body != c.body {
			t.Errorf("%s: %q, want %q", path, body, c.body)
		}
		got := []string{<-ended, <-ended}
		slices.Sort(got)
		want(t, path, fmt.Sprint(got), fmt.Sprint(c.ends))
	}
}
