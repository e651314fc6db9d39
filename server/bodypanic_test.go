package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// A panic in a function that a handler has left on the loop is the handler's panic, and the body is not waited for.

// uploads are the ways in which a body is read in pieces that end in a panic.
var uploads = map[string]func(w *Response, r *Request, told *[]string){
	"in OnBody, with a piece": func(_ *Response, r *Request, told *[]string) {
		r.OnBody(func(p []byte, err error) {
			*told = append(*told, fmt.Sprintf("%q %v", p, err))
			if err == nil {
				panic("on purpose")
			}
		})
	},
	"after OnBody": func(_ *Response, r *Request, told *[]string) {
		r.OnBody(func(p []byte, err error) { *told = append(*told, fmt.Sprintf("%q %v", p, err)) })
		panic("on purpose")
	},
	"in OnBody, after Later": func(w *Response, r *Request, told *[]string) {
		w.Later()
		r.OnBody(func(p []byte, err error) {
			*told = append(*told, fmt.Sprintf("%q %v", p, err))
			if err == nil {
				panic("on purpose")
			}
		})
	},
}

func TestPanicWhileABodyArrives(t *testing.T) {
	for name, h := range uploads {
		for _, mend := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/mended ", mend), func(t *testing.T) {
				var told []string
				done := make(chan error, 2)
				_, addr := start(t, nil, func(s *Server) {
					s.Handler = StreamingFunc(func(w *Response, r *Request) {
						w.OnDone(func(w *Response, _ *Request) { done <- w.Err() })
						if mend {
							w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Reset(); w.Error(500) })
						}
						h(w, r, &told)
					})
				})
				p := dial(t, addr)
				p.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n") // and no end
				if mend {
					if res, _ := p.answer("POST"); res.StatusCode != 500 {
						t.Errorf("status %d, want 500", res.StatusCode)
					}
				} else if b, _ := io.ReadAll(p); len(b) > 0 {
					t.Errorf("answered with %q", b)
				}
				<-done
				if n := len(told); n == 0 || n > 2 {
					t.Fatalf("the function was called %d times: %q", n, told)
				}
				if last := told[len(told)-1]; !strings.HasPrefix(last, `"" server: `) {
					t.Errorf("the last call was with %s, want an error", last)
				}
				p.Close()
			})
		}
	}
}

// In ReadBody and in OnDrain, too.
func TestPanicInReadBodyAndOnDrain(t *testing.T) {
	for name, c := range map[string]struct {
		h    func(w *Response, r *Request)
		mend bool
		want string
	}{
		"ReadBody, mended": {func(_ *Response, r *Request) { r.ReadBody(0, func(*Response, *Request) { panic("on purpose") }) }, true, "HTTP/1.1 500 "},
		"ReadBody":         {func(_ *Response, r *Request) { r.ReadBody(0, func(*Response, *Request) { panic("on purpose") }) }, false, ""},
		"OnDrain": {func(w *Response, _ *Request) {
			s := w.Stream()
			s.OnDrain(func() { panic("on purpose") })
			s.Write(make([]byte, streamBurst))
		}, true, "a cut"},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, nil, func(s *Server) {
				s.Handler = Wrap(func(w *Response, r *Request, _ Handler) {
					if c.mend {
						w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Reset(); w.Error(500) })
					}
					c.h(w, r)
				})(HandlerFunc(hello))
			})
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n")
			p.send("abc")
			b, err := io.ReadAll(p)
			switch {
			case c.want == "a cut":
				if err != nil || len(b) < streamBurst || strings.HasSuffix(string(b), "0\r\n\r\n") {
					t.Errorf("%d bytes end with %v and %q, want all that was written and no last chunk", len(b), err, b[max(len(b)-9, 0):])
				}
			case err != nil || !strings.HasPrefix(string(b), c.want) || c.want == "" && len(b) > 0:
				t.Errorf("answered with %q, %v; want %q", b, err, c.want)
			}
		})
	}
}

// PauseBody holds back a body that is whole already, and its end.
func TestPauseOfAWholeBody(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, body := range []string{"", "abc"} {
			var told []string
			proto, m := inMemory(t, nil, func(s *Server) {
				inner := StreamingFunc(func(w *Response, r *Request) {
					loop := r.Reactor()
					r.OnBody(func(p []byte, err error) {
						told = append(told, fmt.Sprintf("%q %v", p, err))
						r.PauseBody()
						loop.CallFromThread(r.ResumeBody)
					})
					if first {
						r.PauseBody()
						loop.CallFromThread(r.ResumeBody)
					}
				})
				s.Handler = HandlerFunc(func(w *Response, r *Request) { inner.Serve(w, r) }) // so the body is whole
			})
			proto.DataReceived(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			n := 0
			if !first {
				n = 1
			}
			if len(told) != n {
				t.Errorf("paused first: %v: told %q", first, told)
			}
			for range 6 {
				_ = m.loop.Iterate(0)
			}
			calls := 1 + min(len(body), 1)
			if len(told) != calls || told[calls-1] != `"" EOF` || !strings.HasPrefix(m.out.String(), "HTTP/1.1 200 OK") {
				t.Errorf("paused first: %v: told %q, answered %q", first, told, m.out.String())
			}
		}
	}
}
