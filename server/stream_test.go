package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// Answers that are sent bit by bit, from the loop and from other goroutines.

// fill streams n bytes on the loop, as fast as the peer takes them.
func fill(w *Response, n int) {
	s := w.Stream()
	piece := make([]byte, 20<<10)
	more := func() {
		for n > 0 && !s.Full() {
			k, err := s.Write(piece[:min(n, len(piece))])
			if err != nil {
				return
			}
			n -= k
		}
		if n == 0 {
			s.Close()
		}
	}
	s.OnDrain(more)
	more()
}

const streamed = 5<<20 + 123

func TestStreams(t *testing.T) {
	modes := map[string]HandlerFunc{
		"on the loop": func(w *Response, r *Request) { fill(w, streamed) },
		"declared length": func(w *Response, r *Request) {
			w.SetHeader("Content-Length", fmt.Sprint(streamed))
			fill(w, streamed)
		},
		"off the loop": BlockingFunc(func(w *Response, r *Request) {
			s := w.Stream()
			for sent := 0; sent < streamed; {
				n, err := s.Write(make([]byte, min(100_000, streamed-sent)))
				if err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				sent += n
			}
		}).Serve,
		"in one Write off the loop": BlockingFunc(func(w *Response, r *Request) {
			w.Stream().Write(make([]byte, streamed))
		}).Serve,
	}
	for name, h := range modes {
		t.Run(name, func(t *testing.T) {
			var count atomic.Int64
			_, addr := start(t, func(w *Response, r *Request) {
				w.OnDone(func(w *Response, r *Request) { count.Store(w.BytesSent()) })
				h(w, r)
			})
			p := dial(t, addr)
			for _, request := range []string{
				"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
			} {
				method, _, _ := strings.Cut(request, " ")
				p.send("%s", request)
				res, err := http.ReadResponse(p.r, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, res.Body)
				if err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
				expected := int64(streamed)
				if method == "HEAD" {
					expected = 0
				}
				if n != expected {
					t.Errorf("%s: %d bytes, want %d", method, n, expected)
				}
				await(t, "the count in OnDone", func() bool { return count.Load() == expected })
			}
			want(t, "after HTTP/1.0", p.rest(), "")
		})
	}
}

// A Stream that did not take what was written, since its peer does not read, is not whole when it is closed, unless the
// handler writes that again when there is room.
func TestStreamBeyondTheUnsentBound(t *testing.T) {
	waits(t)
	piece, pieces := bytes.Repeat([]byte("0123456789abcdef"), 1<<12), 1<<10 // 64 MiB, more than the kernel takes
	for _, again := range []bool{false, true} {
		filled := make(chan struct{}, 1)
		closed := make(chan error, 1)
		var log syncBuffer
		logger := Zerolog(zerolog.New(&log))
		_, addr := start(t, func(w *Response, r *Request) {
			s, left, refused := w.Stream(), pieces, false
			more := func() {
				for ; left > 0; left-- {
					if _, err := s.Write(piece); err != nil && again {
						break
					} else if err != nil {
						refused = true
						if !errors.Is(err, ErrUnsentBound) {
							t.Errorf("Write: %v", err)
						}
					}
				}
				if len(filled) == 0 {
					filled <- struct{}{}
				}
				if left == 0 {
					closed <- s.Close()
				}
			}
			s.OnDrain(more)
			more()
			if !again && !refused {
				t.Error("everything was taken")
			}
		}, func(s *Server) { s.MaxUnsentBytes, s.Log = 4<<10, logger })
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-filled
		res, err := http.ReadResponse(p.r, nil)
		var n int64
		if err == nil {
			n, err = io.Copy(io.Discard, res.Body)
		}
		if whole := err == nil; whole != again || again && n != int64(pieces*len(piece)) {
			t.Errorf("again %v: %d bytes, %v", again, n, err)
		}
		if err := <-closed; again && err != nil || !again && !errors.Is(err, ErrUnsentBound) {
			t.Errorf("again %v: closed with %v", again, err)
		}
		wantContains(t, "log", log.String(), "what is written now is not sent")
	}
}

// What was written before the Stream was taken is its beginning. If that is refused nobody can write it again.
func TestStreamWithoutItsBeginning(t *testing.T) {
	var p reactor.Protocol
	var m *memory
	var closed error
	p, m = inMemory(t, func(w *Response, r *Request) {
		w.WriteString("the beginning")
		m.unsent = 1 << 30 // what earlier answers have left
		s := w.Stream()
		m.unsent = 0
		if s.Full() {
			t.Error("there is no room")
		}
		s.WriteString("the end")
		closed = s.Close()
	})
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if !errors.Is(closed, ErrUnsentBound) || strings.HasSuffix(m.out.String(), "0\r\n\r\n") {
		t.Errorf("Close: %v, of %q", closed, m.out.String())
	}
}

// A peer that reads slowly must slow a stream down, on and off the loop, rather
// than fill memory.
func TestStreamFollowsTheReader(t *testing.T) {
	waits(t)
	var written atomic.Int64
	endless := map[string]HandlerFunc{
		"on the loop": func(w *Response, r *Request) {
			s := w.Stream()
			piece := make([]byte, 10_000)
			more := func() {
				for !s.Full() {
					n, err := s.Write(piece)
					if err != nil {
						return
					}
					written.Add(int64(n))
				}
			}
			s.OnDrain(more)
			more()
		},
		"off the loop": BlockingFunc(func(w *Response, r *Request) {
			for s := w.Stream(); ; {
				n, err := s.Write(make([]byte, 10_000))
				written.Add(int64(n))
				if err != nil {
					if !errors.Is(err, ErrPeerGone) {
						t.Errorf("Write: %v, want ErrPeerGone", err)
					}
					return
				}
			}
		}).Serve,
	}
	for name, h := range endless {
		t.Run(name, func(t *testing.T) {
			written.Store(0)
			gone := make(chan struct{})
			_, addr := start(t, func(w *Response, r *Request) {
				w.OnDone(func(*Response, *Request) { close(gone) })
				h(w, r)
			})
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			// Whatever the kernel takes, the writer must come to rest.
			last, since := int64(0), time.Now()
			await(t, "the stream to rest", func() bool {
				if n := written.Load(); n != last {
					last, since = n, time.Now()
				}
				return last > 0 && time.Since(since) > 200*time.Millisecond
			})
			if last > 32<<20 {
				t.Errorf("%d bytes written for a peer that reads none", last)
			}
			if _, err := io.CopyN(io.Discard, p.r, last+1_000_000); err != nil {
				t.Errorf("it did not go on when the peer read: %v", err)
			}
			p.Close()
			<-gone
		})
	}
}

func TestStreamMisuse(t *testing.T) {
	errs := make(chan error, 3)
	_, addr := start(t, func(w *Response, r *Request) {
		w.SetHeader("Content-Length", "4")
		s := w.Stream()
		_, err := s.WriteString("12345")
		errs <- err
		s.WriteString("123")
		errs <- s.Close()
		_, err = s.WriteString("4")
		errs <- err
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, target := range []error{ErrContentLength, ErrContentLength, ErrStreamClosed} {
		if err := <-errs; !errors.Is(err, target) {
			t.Errorf("%v, want %v", err, target)
		}
	}
}

// An answer that is shorter than its Content-Length reaches the peer as far as it goes, with its head, and then the connection
// ends in order. So do what came before it.
func TestShortStream(t *testing.T) {
	for name, c := range map[string]struct {
		h    func(w *Response, r *Request)
		want string
	}{
		"some": {func(w *Response, _ *Request) { w.Stream().WriteString("123") }, "123"},
		"none": {func(w *Response, _ *Request) { w.Stream() }, ""},
		"much": {func(w *Response, _ *Request) { w.Stream().Write(make([]byte, 1<<20-1)) }, string(make([]byte, 1<<20-1))},
	} {
		for _, off := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " off the loop ", off), func(t *testing.T) {
				var closed atomic.Value
				h := func(w *Response, r *Request) {
					w.SetHeader("Content-Length", fmt.Sprint(1<<20))
					c.h(w, r)
					closed.Store(w.Stream().Close())
				}
				if off {
					h = BlockingFunc(h).Serve
				}
				_, addr := start(t, func(w *Response, r *Request) {
					if r.Path() == "/first" {
						hello(w, r)
						return
					}
					h(w, r)
				})
				p := dial(t, addr)
				p.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /first HTTP/1.1\r\nHost: a\r\n\r\n")
				p.answer("GET")
				res, err := http.ReadResponse(p.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if string(body) != c.want || err != io.ErrUnexpectedEOF || res.StatusCode != 200 || res.ContentLength != 1<<20 {
					t.Errorf("%d, %d of %d bytes, %v", res.StatusCode, len(body), res.ContentLength, err)
				}
				want(t, "behind it", p.rest(), "")
				if closed.Load() != ErrContentLength {
					t.Errorf("Close: %v", closed.Load())
				}
			})
		}
	}
}

// What is done to a response after its Stream was taken does not reach the wire.
func TestStreamCommits(t *testing.T) {
	late := func(w *Response, r *Request) {
		w.SetHeader("X-Early", "1")
		s := w.Stream()
		w.SetStatus(404)
		w.SetHeader("X-Late", "1")
		w.DelHeader("X-Early")
		s.WriteString("x")
		w.Error(500)
		w.Reset()
		s.Close()
		if _, err := s.WriteString("y"); !errors.Is(err, ErrStreamClosed) {
			t.Errorf("WriteString: %v, want ErrStreamClosed", err)
		}
		r.Header("Host") // still ours
	}
	for name, h := range map[string]Handler{"on the loop": HandlerFunc(late), "off the loop": BlockingFunc(late)} {
		_, addr := start(t, h.Serve)
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		want(t, name, undated(p.rest()), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Early: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n")
	}
}
