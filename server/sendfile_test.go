package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"
)

// Answers whose content lies in a file.

// fileOf is an open file with that content.
func fileOf(t testing.TB, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// noise is content that is nowhere the same.
func noise(n int) []byte {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(b)
	return b
}

// byAnyHandler are handlers of each kind that answer by do.
func byAnyHandler(do func(w *Response)) map[string]Handler {
	return map[string]Handler{
		"inline":   HandlerFunc(func(w *Response, r *Request) { do(w) }),
		"blocking": BlockingFunc(func(w *Response, r *Request) { do(w) }),
		"later": HandlerFunc(func(w *Response, r *Request) {
			p := w.Later()
			go p.Answer(do)
		}),
	}
}

// A range of a file arrives whole, in its place among other answers, with and without a filter, and the file is free in OnDone.
func TestSendFile(t *testing.T) {
	content := noise(3<<20 + 17)
	f := fileOf(t, content)
	for name, h := range byAnyHandler(func(w *Response) { w.SendFile(f, 5, int64(len(content))-11) }) {
		for _, filters := range []int{0, 1, 2} {
			t.Run(fmt.Sprint(name, " ", filters), func(t *testing.T) {
				var done atomic.Int64
				_, addr := start(t, nil, func(s *Server) {
					s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
						for range filters {
							w.Filter(func(dst, p []byte, last bool) ([]byte, error) {
								for _, c := range p {
									dst = append(dst, ^c)
								}
								return dst, nil
							})
						}
						w.OnDone(func(w *Response, r *Request) {
							if w.Err() != nil || r.Path() != "/path" || r.Header("Host") != "a" {
								t.Errorf("in OnDone: %v, %q, %q", w.Err(), r.Path(), r.Header("Host"))
							}
							done.Add(w.BytesSent())
						})
						next.Serve(w, r)
					})(AtHead(h))
				})
				p := dial(t, addr)
				one := "GET /path HTTP/1.1\r\nHost: a\r\n\r\n"
				p.send("%s", one+"POST /path HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+"HEAD /path HTTP/1.1\r\nHost: a\r\n\r\n"+one)
				expected := content[5 : len(content)-6]
				if filters == 1 {
					expected = bytes.Clone(expected)
					for i := range expected {
						expected[i] = ^expected[i]
					}
				}
				for _, method := range []string{"GET", "POST", "HEAD", "GET"} {
					res, body := p.answer(method)
					length := int64(len(expected))
					if filters > 0 {
						length = -1
					}
					if res.ContentLength != length {
						t.Errorf("%s: Content-Length %d", method, res.ContentLength)
					}
					if method != "HEAD" && body != string(expected) {
						t.Errorf("%s: %d bytes that are not the file's", method, len(body))
					}
				}
				await(t, "OnDone", func() bool { return done.Load() == 3*int64(len(expected)) })
			})
		}
	}
	if _, err := f.Stat(); err != nil {
		t.Errorf("the file is not open any more: %v", err)
	}
}

// A file that is shorter than was promised ends in a reset.
func TestSendFileThatIsShort(t *testing.T) {
	f := fileOf(t, noise(100_000))
	for name, h := range byAnyHandler(func(w *Response) { w.SendFile(f, 0, 100_001) }) {
		for _, filters := range []bool{false, true} {
			ended := make(chan error, 1)
			_, addr := start(t, nil, func(s *Server) {
				s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
					if filters {
						w.Filter(func(dst, p []byte, last bool) ([]byte, error) { return append(dst, p...), nil })
					}
					w.OnDone(func(w *Response, r *Request) { ended <- w.Err() })
					next.Serve(w, r)
				})(AtHead(h))
			})
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(p.r, nil)
			if err == nil {
				_, err = io.ReadAll(res.Body)
			}
			if err == nil {
				t.Errorf("%s, filters %v: it seems whole", name, filters)
			}
			if err := <-ended; !errors.Is(err, ErrContentLength) {
				t.Errorf("%s, filters %v: %v", name, filters, err)
			}
		}
	}
}

// A peer that reads nothing of a file costs no memory, goroutine or descriptor, and no time-out but SendTimeout. When it is lost
// the file is free.
func TestSendFileToOneWhoDoesNotRead(t *testing.T) {
	f := fileOf(t, nil)
	const size = 10 << 30
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	for _, filters := range []bool{false, true} {
		ended := make(chan error, 1)
		var log syncBuffer
		s, addr := start(t, func(w *Response, r *Request) {
			if filters {
				w.Filter(func(dst, p []byte, last bool) ([]byte, error) { return append(dst, p...), nil })
			}
			w.OnDone(func(w *Response, r *Request) { ended <- w.Err() })
			w.SendFile(f, 0, size)
		}, func(s *Server) {
			s.PendingTimeout, s.MaxBufferedBytes = time.Millisecond, 8<<20
		})
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 { // it stops and goes on, and another connection is served
			if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
				t.Fatal(err)
			}
			other := dial(t, addr)
			other.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			other.answer("HEAD")
			if err := <-ended; err != nil {
				t.Errorf("the other: %v", err)
			}
			other.Close()
		}
		p.Close()
		if err := <-ended; !errors.Is(err, ErrPeerGone) {
			t.Errorf("filters %v: %v", filters, err)
		}
		_ = s
		if log.String() != "" {
			t.Errorf("log: %s", log.String())
		}
	}
}

// A file is no memory: when the server holds too much, whoever causes it pays, and not the reader of a file, however long.
func TestSendFileUnderPressure(t *testing.T) {
	f := fileOf(t, nil)
	if err := os.Truncate(f.Name(), 1<<30); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	s, addr := start(t, func(w *Response, r *Request) { w.SendFile(f, 0, 1<<30) }, func(s *Server) { s.MaxBufferedBytes = 1 << 20 })
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		other := dial(t, addr)
		other.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n")
		_, _ = other.Write(make([]byte, 2<<20)) // fails if the server is fast
		_ = other.CloseWrite()
		await(t, "the other to pay", func() bool { return closedFor(s, ErrOverloaded) == uint64(i+1) })
	}
	if _, err := io.CopyN(io.Discard, res.Body, 64<<20); err != nil {
		t.Errorf("the reader of the file: %v", err)
	}
}

// What comes after SendFile takes its place.
func TestSendFileIsReplaced(t *testing.T) {
	f := fileOf(t, []byte("file"))
	for name, c := range map[string]struct {
		do   func(w *Response)
		want string
	}{
		"empty":   {func(w *Response) { w.WriteString("x"); w.SendFile(f, 2, 0) }, "200 "},
		"written": {func(w *Response) { w.SendFile(f, 0, 4); w.WriteString("text") }, "200 text"},
		"lent":    {func(w *Response) { w.SendFile(f, 0, 4); w.SetBody([]byte("text")) }, "200 text"},
		"again":   {func(w *Response) { w.SendFile(f, 0, 4); w.SendFile(f, 1, 2) }, "200 il"},
		"reset":   {func(w *Response) { w.SendFile(f, 0, 4); w.Reset(); w.SetStatus(202) }, "202 "},
		"error":   {func(w *Response) { w.SendFile(f, 0, 4); w.Error(404) }, "404 Not Found\n"},
		"stream":  {func(w *Response) { w.SendFile(f, 0, 4); s := w.Stream(); s.WriteString("text"); s.Close() }, "200 text"},
		"OnHead":  {func(w *Response) { w.OnHead(func(w *Response, _ *Request) { w.SendFile(f, 0, 3) }) }, "200 fil"},
		"nothing": {func(w *Response) { w.SendFile(f, 0, 4); w.SetStatus(204) }, "204 "},
	} {
		_, addr := start(t, func(w *Response, r *Request) { c.do(w) })
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, body := p.answer("GET")
		want(t, name, fmt.Sprint(res.StatusCode, " ", body), c.want)
	}
	for _, bad := range []func(w *Response){
		func(w *Response) { w.SendFile(nil, 0, 1) },
		func(w *Response) { w.SendFile(f, -1, 1) },
		func(w *Response) { w.SendFile(f, 0, -1) },
	} {
		_, addr := start(t, func(w *Response, r *Request) {
			defer func() { w.WriteString(fmt.Sprint(recover())) }()
			bad(w)
		})
		wantContains(t, "panic", dial(t, addr).get("/"), "server: SendFile")
	}
}

// A file that is not in memory is read off the loop, and the loop serves others meanwhile.
func TestSendFileThatIsNotInMemory(t *testing.T) {
	cached := readCached
	t.Cleanup(func() { readCached = cached }) // when the server has ended
	var reads int
	readCached = func(f reactor.File, p []byte, off int64) (int, error) {
		if reads++; reads%3 == 0 {
			return 0, reactor.ErrNotCached
		}
		return cached(f, p, off)
	}
	content := noise(1 << 20)
	f := fileOf(t, content)
	_, addr := start(t, func(w *Response, r *Request) {
		w.Filter(func(dst, p []byte, last bool) ([]byte, error) { return append(dst, p...), nil })
		w.SendFile(f, 0, int64(len(content)))
	})
	for range 3 {
		if got := dial(t, addr).get("/"); !strings.HasPrefix(got, string(content)) || len(got) != len(content) {
			t.Errorf("%d bytes, want %d", len(got), len(content))
		}
	}
	if reads < 90 {
		t.Errorf("%d reads", reads)
	}
}
