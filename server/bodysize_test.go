package server

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A function of OnHead sees how long the content is, and the content itself if it is in memory.
func TestBodySizeAndPeekBody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	stream := func(w *Response, _ *Request) {
		w.WriteString("con")
		_, _ = w.Stream().WriteString("tent")
		_ = w.Stream().Close()
	}
	for _, c := range []struct {
		name, method string
		h            Handler
		want         string
	}{
		{"nothing", "GET", HandlerFunc(func(*Response, *Request) {}), `0 ""`},
		{"written", "GET", HandlerFunc(func(w *Response, _ *Request) { w.WriteString("content") }), `7 "content"`},
		{"lent", "GET", HandlerFunc(func(w *Response, _ *Request) { w.SetBody([]byte("content")) }), `7 "content"`},
		{"blocking", "GET", BlockingFunc(func(w *Response, _ *Request) { w.WriteString("content") }), `7 "content"`},
		{"late", "GET", HandlerFunc(func(w *Response, _ *Request) {
			p := w.Later()
			go func() { _ = p.Answer(func(w *Response) { w.WriteString("content") }) }()
		}), `7 "content"`},
		{"file", "GET", HandlerFunc(func(w *Response, _ *Request) { w.SendFile(f, 0, 7) }), `7 ""`},
		{"streamed", "GET", HandlerFunc(stream), `-1 ""`},
		{"streamed, blocking", "GET", BlockingFunc(stream), `-1 ""`},
		{"streamed, with a length", "GET", HandlerFunc(func(w *Response, r *Request) {
			w.SetHeader("Content-Length", "7")
			stream(w, r)
		}), `7 ""`},
		{"written", "HEAD", HandlerFunc(func(w *Response, _ *Request) { w.WriteString("content") }), `7 "content"`},
		{"declared", "HEAD", HandlerFunc(func(w *Response, _ *Request) { w.SetHeader("Content-Length", "7") }), `7 ""`},
		{"nothing", "HEAD", HandlerFunc(func(*Response, *Request) {}), `-1 ""`},
	} {
		got := make(chan string, 1)
		_, addr := start(t, nil, func(s *Server) {
			s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
				w.OnHead(func(w *Response, _ *Request) { got <- fmt.Sprintf("%d %q", w.BodySize(), w.PeekBody()) })
				next.Serve(w, r)
			})(c.h)
		})
		p := dial(t, addr)
		p.send("%s / HTTP/1.1\r\nHost: h\r\n\r\n", c.method)
		p.answer(c.method)
		if said := <-got; said != c.want {
			t.Errorf("%s of what is %s: %s, want %s", c.method, c.name, said, c.want)
		}
	}
}
