package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestOnlyTheFirstAnswerCounts(t *testing.T) {
	results := make(chan error, 8)
	_, addr := start(t, func(w *Response, r *Request) {
		p := w.Later()
		for i := range cap(results) {
			go func() {
				results <- p.Answer(func(w *Response) { fmt.Fprintf(w, "answer %d", i) })
			}()
		}
	})
	wantContains(t, "body", dial(t, addr).get("/"), "answer ")
	won := 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ErrAnswered):
			t.Errorf("a loser got %v, want ErrAnswered", err)
		}
	}
	if won != 1 {
		t.Errorf("%d answers won, want 1", won)
	}
}

func TestLaterFromATimer(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		p := w.Later()
		r.Reactor().CallLater(time.Millisecond, func() {
			p.Answer(func(w *Response) { w.WriteString("late " + p.Request().Path()) })
		})
	})
	p := dial(t, addr)
	p.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, path := range []string{"/1", "/2"} {
		_, body := p.answer("GET")
		want(t, "body", body, "late "+path)
	}
}

// Whoever answers after the peer has gone is told, and OnDone has run once.
func TestPeerGoneBeforeTheAnswer(t *testing.T) {
	var done atomic.Int32
	pending := make(chan *Pending, 1)
	contexts := make(chan context.Context, 1)
	_, addr := start(t, func(w *Response, r *Request) {
		w.OnDone(func(w *Response, r *Request) {
			if errors.Is(w.Err(), ErrPeerGone) {
				done.Add(1)
			}
		})
		contexts <- r.Context()
		pending <- w.Later()
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	later, ctx := <-pending, <-contexts
	p.SetLinger(0)
	p.Close()
	<-ctx.Done()
	await(t, "OnDone", func() bool { return done.Load() == 1 })
	if err := later.Answer(func(*Response) { t.Error("fill was called") }); !errors.Is(err, ErrPeerGone) {
		t.Errorf("Answer: %v, want ErrPeerGone", err)
	}
}

// A half-close ends the context, and the answer still goes out.
func TestHalfCloseWhileAnswering(t *testing.T) {
	_, addr := start(t, Blocking(HandlerFunc(func(w *Response, r *Request) {
		<-r.Context().Done()
		w.WriteString("still here")
	})).Serve)
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	p.CloseWrite()
	wantContains(t, "answer", p.rest(), "still here")
}

func TestBlockingDoesNotHoldTheLoop(t *testing.T) {
	release := make(chan struct{})
	blocked := make(chan struct{})
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() != "/block" {
			hello(w, r)
			return
		}
		BlockingFunc(func(w *Response, r *Request) {
			close(blocked)
			<-release
			fmt.Fprintf(w, "%s %s", r.Header("X"), r.Body())
		}).Serve(w, r)
	})
	slow, quick := dial(t, addr), dial(t, addr)
	slow.send("POST /block HTTP/1.1\r\nHost: a\r\nX: kept\r\nContent-Length: 4\r\n\r\nbody")
	<-blocked
	want(t, "the other connection", quick.get("/"), "Hello, World!")
	close(release)
	_, body := slow.answer("POST")
	want(t, "the blocked one", body, "kept body")
}

func TestBlockingIsBounded(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int32
	_, addr := start(t, BlockingFunc(func(w *Response, r *Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		running.Add(-1)
	}).Serve, func(s *Server) { s.MaxBlocking = 2 })
	var peers []*peer
	for range 2 + 2*blockingQueue + 3 {
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		peers = append(peers, p)
	}
	// Exactly three find no room; they are answered while the others wait.
	statuses := make(chan int, len(peers))
	for _, p := range peers {
		go func() {
			res, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			if after := res.Header.Get("Retry-After"); res.StatusCode == 503 && after != "1" {
				t.Errorf("503 with Retry-After %q", after)
			}
			statuses <- res.StatusCode
		}()
	}
	for range 3 {
		if s := <-statuses; s != 503 {
			t.Errorf("status %d, want 503", s)
		}
	}
	close(release)
	for range len(peers) - 3 {
		if s := <-statuses; s != 200 {
			t.Errorf("status %d, want 200", s)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d handlers ran at once, want 2 at most", most.Load())
	}
}

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
			logger := zerolog.New(&log)
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
			}, func(s *Server) { s.Logger = &logger })
			p, bystander := dial(t, addr), dial(t, addr)
			bystander.get("/fine")
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if c.catch && !strings.Contains(c.name, "Stream") && !strings.Contains(c.name, "abort") {
				res, body := p.answer("GET")
				want(t, "answer", fmt.Sprint(res.StatusCode, body), "500Internal Server Error\n")
				p.get("/fine")
			} else if b, err := io.ReadAll(p); len(b) > 0 || strings.Contains(c.name, "Stream") && err == nil {
				t.Errorf("%q, then %v; want no answer, and a reset behind a part of one", b, err)
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
	logger := zerolog.New(&log)
	_, addr := start(t, func(w *Response, r *Request) {
		w.AddHeader("X", r.Path())
		w.WriteString(r.Path())
		if r.Path() == "/panic" {
			w.OnDone(func(*Response, *Request) { panic("done") })
		}
	}, func(s *Server) { s.Logger = &logger })
	p := dial(t, addr)
	want(t, "body", p.get("/panic"), "/panic")
	want(t, "the next body", p.get("/next"), "/next")
	wantContains(t, "log", log.String(), `"panic":"done"`)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

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
	piece, pieces := bytes.Repeat([]byte("0123456789abcdef"), 1<<12), 1<<10 // 64 MiB, more than the kernel takes
	for _, again := range []bool{false, true} {
		filled := make(chan struct{}, 1)
		closed := make(chan error, 1)
		var log syncBuffer
		logger := zerolog.New(&log)
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
		}, func(s *Server) { s.MaxUnsentBytes, s.Logger = 4<<10, &logger })
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

// A peer that reads slowly must slow a stream down, on and off the loop, rather
// than fill memory.
func TestStreamFollowsTheReader(t *testing.T) {
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
	b, err := io.ReadAll(p)
	if err == nil && strings.HasSuffix(string(b), "123") {
		t.Error("the peer cannot tell that the answer is short")
	}
}

// What is done to a response after its Stream was taken does not reach the wire.
func TestStreamCommits(t *testing.T) {
	late := func(w *Response, r *Request) {
		w.SetHeader("X-Early", "1")
		s := w.Stream()
		w.SetStatus(404)
		if err := w.SetHeader("X-Late", "1"); !errors.Is(err, ErrCommitted) {
			t.Errorf("SetHeader: %v, want ErrCommitted", err)
		}
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

// With DetectLateUse every use of what was lent panics once the response is done, and
// the response itself is not harmed.
func TestDetectLateUse(t *testing.T) {
	type lent struct {
		w *Response
		r *Request
	}
	kept := make(chan lent, 1)
	for name, h := range map[string]Handler{
		"on the loop":  HandlerFunc(func(w *Response, r *Request) { w.WriteString("ok"); kept <- lent{w, r} }),
		"off the loop": BlockingFunc(func(w *Response, r *Request) { w.WriteString("ok"); kept <- lent{w, r} }),
	} {
		_, addr := start(t, h.Serve, func(s *Server) { s.DetectLateUse = true })
		p := dial(t, addr)
		for range 2 {
			want(t, name, p.get("/x"), "ok")
			l := <-kept
			await(t, "the end of the response", l.r.late.Load)
			for what, use := range map[string]func(){
				"Method":      func() { l.r.Method() },
				"Path":        func() { l.r.Path() },
				"Header":      func() { l.r.Header("Host") },
				"Headers":     func() { l.r.Headers() },
				"PeekBody":    func() { l.r.PeekBody() },
				"Body":        func() { l.r.Body() },
				"PathValue":   func() { l.r.SetMatch("", []string{"a"}, []Span{{}}); l.r.PathValue("a") },
				"RemoteAddr":  func() { l.r.RemoteAddr() },
				"Write":       func() { l.w.Write(nil) },
				"WriteString": func() { l.w.WriteString("") },
				"SetStatus":   func() { l.w.SetStatus(200) },
				"SetHeader":   func() { l.w.SetHeader("A", "b") },
				"DelHeader":   func() { l.w.DelHeader("A") },
				"SetBody":     func() { l.w.SetBody(nil) },
				"Later":       func() { l.w.Later() },
				"Stream":      func() { l.w.Stream() },
				"OnDone":      func() { l.w.OnDone(nil) },
			} {
				if !panics(use) {
					t.Errorf("%s: late use of %s went unnoticed", name, what)
				}
			}
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
