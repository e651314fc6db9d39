package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// A handler that panics within an answer: what it has written is sent, if the peer can tell by the framing that it is not the
// whole. Else the connection is reset.
func TestCutAnswers(t *testing.T) {
	stream := func(length string, of ...string) func(w *Response, r *Request) {
		return func(w *Response, _ *Request) {
			if length != "" {
				w.SetHeader("Content-Length", length)
			}
			s := w.Stream()
			for _, p := range of {
				_, _ = s.WriteString(p)
			}
			panic(ErrAbortHandler)
		}
	}
	large := strings.Repeat("x", 1<<20) // more than the socket takes at once
	for _, c := range []struct {
		name, request string
		h             func(w *Response, r *Request)
		ends          string // of what is sent; "" is a reset
	}{
		{"chunked", "GET / HTTP/1.1", stream("", "one", "two"), "3\r\none\r\n3\r\ntwo\r\n"},
		{"with a length", "GET / HTTP/1.1", stream("7", "one", "two"), "\r\n\r\nonetwo"},
		{"with its whole length", "GET / HTTP/1.1", stream("6", "one", "two"), ""},
		{"until the end", "GET / HTTP/1.0", stream("", "one", "two"), ""},
		{"HTTP/1.0, with a length", "GET / HTTP/1.0", stream("7", "one", "two"), "\r\n\r\nonetwo"},
		{"HEAD", "HEAD / HTTP/1.1", stream("", "one", "two"), ""},
		{"large", "GET / HTTP/1.1", stream("", large), "xxx\r\n"},
	} {
		for _, blocking := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " ", blocking), func(t *testing.T) {
				h := Handler(HandlerFunc(c.h))
				if blocking {
					h = Blocking(h)
				}
				_, addr := start(t, nil, func(s *Server) { s.Handler = h })
				p := dial(t, addr)
				p.send("%s\r\nHost: a\r\n\r\n", c.request)
				b, err := io.ReadAll(p)
				switch {
				case c.ends == "" && err == nil:
					t.Errorf("%q, and no reset", b)
				case c.ends != "" && (err != nil || !strings.HasSuffix(string(b), c.ends)):
					t.Errorf("%d bytes, at last %q, then %v; want %q", len(b), b[max(len(b)-30, 0):], err, c.ends)
				}
			})
		}
	}
}

// A Blocking handler that panics after Close: the peer has the last chunk, perhaps, and then a reset.
func TestCutBehindTheEnd(t *testing.T) {
	h := func(w *Response, _ *Request) {
		s := w.Stream()
		_, _ = s.WriteString("all")
		_ = s.Close()
		panic(ErrAbortHandler)
	}
	_, addr := start(t, nil, func(s *Server) { s.Handler = BlockingFunc(h) })
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(p); err == nil {
		t.Errorf("%q, and no reset", b)
	}
}
