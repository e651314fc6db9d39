package server

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"microhttp/parser"
)

// How a body ends: OnBody and BodyReader say why, exactly once, last.

const (
	announced = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"
	inChunks  = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// errMalformed stands for any error of the parser's with status 400.
var errMalformed = errors.New("malformed")

var bodyEnds = map[string]struct {
	sent   string
	then   func(p *peer, s *Server)
	option func(s *Server)
	bound  int64
	err    error
	status int // of the answer; 0 is none
}{
	"whole, announced":       {sent: announced + "Hello there!", err: io.EOF, status: 200},
	"whole, in chunks":       {sent: inChunks + "5\r\nHello\r\n7\r\n there!\r\n0\r\n\r\n", err: io.EOF, status: 200},
	"cut":                    {sent: announced + "Hello", then: halfClose, err: ErrBodyCut, status: 400},
	"cut, in chunks":         {sent: inChunks + "5\r\nHello\r\n", then: halfClose, err: ErrBodyCut, status: 400},
	"slow":                   {sent: announced + "Hello", option: impatient, err: ErrBodySlow, status: 408},
	"too large, announced":   {sent: announced + "Hello there!", bound: 5, err: ErrBodyTooLarge, status: 413},
	"too large, in chunks":   {sent: inChunks + "5\r\nHello\r\n7\r\n there!\r\n0\r\n\r\n", bound: 11, err: ErrBodyTooLarge, status: 413},
	"as large as is allowed": {sent: inChunks + "5\r\nHello\r\n7\r\n there!\r\n0\r\n\r\n", bound: 12, err: io.EOF, status: 200},
	"malformed":              {sent: inChunks + "5\r\nHelloXX", err: errMalformed, status: 400},
	"peer gone":              {sent: announced + "Hello", then: func(p *peer, _ *Server) { p.SetLinger(0); p.Close() }, err: ErrPeerGone},
	"server closed":          {sent: announced + "Hello", then: func(_ *peer, s *Server) { s.Close() }, err: ErrServerClosed},
}

func halfClose(p *peer, _ *Server) { p.CloseWrite() }

func impatient(s *Server) { s.MinDataRate, s.DataRateGrace = 1000, 20*time.Millisecond }

// told is what a reader of a body got.
type told struct {
	mu    sync.Mutex
	got   []byte
	errs  []error
	after bool // something came after an error
}

func (o *told) add(p []byte, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.after = o.after || len(o.errs) > 0
	o.got = append(o.got, p...)
	if err != nil {
		o.errs = append(o.errs, err)
	}
}

func (o *told) has(n int) bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.got) >= n }
func (o *told) ended() bool    { o.mu.Lock(); defer o.mu.Unlock(); return len(o.errs) > 0 }

func (o *told) check(t *testing.T, want error) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.errs) != 1 || o.after {
		t.Fatalf("got the errors %v, and more after them: %v", o.errs, o.after)
	}
	err := o.errs[0]
	if bad, ok := errors.AsType[*parser.Error](err); want == errMalformed && ok && bad.Status == 400 {
		return
	}
	if !errors.Is(err, want) {
		t.Errorf("the body ended with %v, want %v", err, want)
	}
}

// readers are the ways to take a body as it comes.
var readers = map[string]func(o *told) Handler{
	"OnBody": func(o *told) Handler {
		return StreamingFunc(func(w *Response, r *Request) { r.OnBody(o.add) })
	},
	"OnBody, later": func(o *told) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			p := w.Later()
			r.OnBody(func(b []byte, err error) {
				if o.add(b, err); err != nil {
					go p.Answer(func(*Response) {})
				}
			})
		})
	},
	"BodyReader": func(o *told) Handler {
		return Blocking(StreamingFunc(func(w *Response, r *Request) {
			b := make([]byte, 3)
			for {
				n, err := r.BodyReader().Read(b)
				o.add(b[:n], err)
				if err != nil {
					if _, again := r.BodyReader().Read(b); again != err {
						panic(fmt.Sprint("Read after ", err, " gives ", again))
					}
					return
				}
			}
		}))
	},
}

func TestHowABodyEnds(t *testing.T) {
	waits(t)
	for kind, reader := range readers {
		for name, c := range bodyEnds {
			t.Run(kind+"/"+name, func(t *testing.T) {
				var o told
				s, addr := start(t, nil, func(s *Server) {
					s.Handler = reader(&o)
					if c.bound > 0 {
						s.Handler = MaxBody(1000)(MaxBody(c.bound)(s.Handler))
					}
					if c.option != nil {
						c.option(s)
					}
				})
				p := dial(t, addr)
				p.send("%s", c.sent)
				if c.then != nil {
					await(t, "the first piece", func() bool { return o.has(5) })
					c.then(p, s)
				}
				await(t, "the end", o.ended)
				if c.status > 0 {
					if res, _ := p.answer("POST"); res.StatusCode != c.status {
						t.Errorf("status %d, want %d", res.StatusCode, c.status)
					}
				}
				o.check(t, c.err)
			})
		}
	}
}

// The answer ends the body, and so does a panic.
func TestTheAnswerEndsABody(t *testing.T) {
	background := func(o *told, r *Request) {
		b := r.BodyReader()
		go func() {
			for {
				p := make([]byte, 10)
				n, err := b.Read(p)
				if o.add(p[:n], err); err != nil {
					return
				}
			}
		}()
	}
	for name, c := range map[string]struct {
		h   func(o *told) Handler
		err error
	}{
		"OnBody, later": {func(o *told) Handler {
			return StreamingFunc(func(w *Response, r *Request) {
				r.OnBody(o.add)
				w.Later().Answer(func(*Response) {})
			})
		}, ErrAnswered},
		"OnBody, streamed": {func(o *told) Handler {
			return StreamingFunc(func(w *Response, r *Request) {
				s := w.Stream()
				r.OnBody(func(p []byte, err error) { o.add(p, err); s.Close() })
			})
		}, ErrAnswered},
		"BodyReader": {func(o *told) Handler {
			return Blocking(StreamingFunc(func(w *Response, r *Request) { background(o, r) }))
		}, ErrAnswered},
		"BodyReader, panic": {func(o *told) Handler {
			return Blocking(StreamingFunc(func(w *Response, r *Request) {
				background(o, r)
				for !o.has(5) {
					runtime.Gosched() // the panic must come while Read waits for more
				}
				panic(ErrAbortHandler)
			}))
		}, ErrPanic},
		"a reader that was closed": {func(o *told) Handler {
			return Blocking(StreamingFunc(func(w *Response, r *Request) {
				b := r.BodyReader()
				b.Close()
				n, err := b.Read(make([]byte, 1))
				o.add(make([]byte, n), err)
			}))
		}, ErrBodyClosed},
	} {
		t.Run(name, func(t *testing.T) {
			var o told
			_, addr := start(t, nil, func(s *Server) { s.Handler = c.h(&o) })
			p := dial(t, addr)
			p.send(announced + "Hello")
			await(t, "the end", o.ended)
			o.check(t, c.err)
			if c.err != ErrPanic {
				if res, _ := p.answer("POST"); res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
				p.send(" there!")
			}
		})
	}
}

// A body that is paused on the loop for too long is over.
func TestPausedForTooLong(t *testing.T) {
	var o told
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = StreamingFunc(func(w *Response, r *Request) {
			r.OnBody(func(p []byte, err error) { o.add(p, err); r.PauseBody() })
		})
		s.PendingTimeout = 30 * time.Millisecond
	})
	p := dial(t, addr)
	p.send(announced + "Hello")
	if res, _ := p.answer("POST"); res.StatusCode != 408 {
		t.Errorf("status %d, want 408", res.StatusCode)
	}
	o.check(t, ErrBodyTimeout)
}

// A handler that does not take the body slows its peer down, and what waits for it is bounded. One that takes it gets all.
func TestBackPressureOfBodies(t *testing.T) {
	waits(t)
	const size = 64 << 20
	for name, h := range map[string]func(o *told, release chan struct{}) Handler{
		"OnBody": func(o *told, release chan struct{}) Handler {
			return StreamingFunc(func(w *Response, r *Request) {
				n := 0
				r.OnBody(func(p []byte, err error) {
					if n += len(p); err != nil {
						fmt.Fprint(w, n, err)
					}
				})
				r.PauseBody()
				go func() { <-release; r.Reactor().CallFromThread(r.ResumeBody) }()
			})
		},
		"BodyReader": func(o *told, release chan struct{}) Handler {
			return Blocking(StreamingFunc(func(w *Response, r *Request) {
				b := r.BodyReader()
				first, _ := b.Read(make([]byte, 1))
				<-release
				n, err := io.Copy(io.Discard, b)
				fmt.Fprint(w, n+int64(first))
				if err == nil {
					fmt.Fprint(w, " EOF")
				}
			}))
		},
		"plain, at the same time as another": func(o *told, release chan struct{}) Handler { // the peer that no bound hits
			close(release)
			return StreamingFunc(func(w *Response, r *Request) {
				n := 0
				r.OnBody(func(p []byte, err error) {
					if n += len(p); err != nil {
						fmt.Fprint(w, n, err)
					}
				})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o told
			release := make(chan struct{})
			s, addr := start(t, nil, func(s *Server) {
				s.Handler = h(&o, release)
				s.MaxBufferedBytes = 1 << 20
			})
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
			sent := make(chan struct{})
			var taken sync.Mutex
			n := 0
			go func() {
				defer close(sent)
				piece := make([]byte, 64<<10)
				for n < size {
					k, err := p.TCPConn.Write(piece)
					taken.Lock()
					n += k
					taken.Unlock()
					if err != nil {
						return
					}
				}
			}()
			if name == "OnBody" || name == "BodyReader" {
				await(t, "the connection to be paused", func() bool { return pausedConn(s) })
				if held := holds(s); held > 512<<10 {
					t.Errorf("%d bytes are held", held)
				}
				select {
				case <-sent:
					t.Error("all was sent, though it was not taken")
				default:
				}
				close(release)
			}
			<-sent
			_, body := p.answer("POST")
			want(t, "it got", body, fmt.Sprint(size, " EOF"))
			await(t, "nothing to be held", func() bool { return holds(s) == 0 })
		})
	}
}

// holds is what the loop is counted to hold.
func holds(s *Server) int {
	return onLoop(s, func(w *worker) int { return w.held + int(w.made.bytes.Load()) })
}

// pausedConn reports whether the one connection is not read from.
func pausedConn(s *Server) bool {
	return onLoop(s, func(w *worker) bool { return w.conns.next != &w.conns && w.conns.next.paused })
}

// The end of a body that was paused with its last piece comes when it is resumed, though no byte does.
func TestPausedAtItsLastPiece(t *testing.T) {
	var o told
	proto, m := inMemory(t, nil, func(s *Server) {
		s.Handler = StreamingFunc(func(_ *Response, r *Request) {
			loop := r.Reactor()
			r.OnBody(func(p []byte, err error) {
				o.add(p, err)
				r.PauseBody()
				loop.CallFromThread(r.ResumeBody)
			})
		})
	})
	proto.DataReceived([]byte(announced))
	proto.DataReceived([]byte("Hello there!"))
	for range 4 {
		_ = m.loop.Iterate(0)
	}
	o.check(t, io.EOF)
	wantContains(t, "answer", m.out.String(), "HTTP/1.1 200 OK")
}

// An answer that comes when the connection is being reset, and before that is done, ends the body, too.
func TestAnsweredWhileTheConnectionEnds(t *testing.T) {
	var o told
	var p *Pending
	proto, m := inMemory(t, nil, func(s *Server) {
		s.Handler = StreamingFunc(func(w *Response, r *Request) {
			p = w.Later()
			r.OnBody(o.add)
		})
	})
	proto.DataReceived([]byte(announced))
	proto.(*conn).abortFor(ErrOverloaded)
	_ = p.Answer(func(*Response) {})
	_ = m.loop.Iterate(0)
	o.check(t, ErrOverloaded)
}
