package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Ready is false first. While ShutdownDelay lasts the server still answers new connections; then OnShutdown is called.
func TestShutdownDelay(t *testing.T) {
	waits(t)
	const delay = 300 * time.Millisecond
	s, addr := start(t, hello, func(s *Server) { s.ShutdownDelay = delay })
	await(t, "the server to be ready", s.Ready)
	notified := make(chan bool, 2)
	s.OnShutdown(func() { notified <- s.Ready() })
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	await(t, "Ready to be false", func() bool { return !s.Ready() })
	dial(t, addr).get("/")
	if ready := <-notified; ready {
		t.Error("OnShutdown was called while Ready was true")
	}
	if d := time.Since(began); d < delay {
		t.Errorf("OnShutdown was called after %v, want %v", d, delay)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.OnShutdown(func() { notified <- false })
	if len(notified) != 1 {
		t.Errorf("%d calls for a function that came late, want 1", len(notified))
	}
}

// Close does not wait for ShutdownDelay, and ends a Shutdown that does.
func TestCloseCutsShutdownDelayShort(t *testing.T) {
	s, _ := start(t, hello, func(s *Server) { s.ShutdownDelay = time.Hour })
	await(t, "the server to be ready", s.Ready)
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	await(t, "Ready to be false", func() bool { return !s.Ready() })
	s.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A stream that learns of the shutdown says farewell, on the loop and from a Blocking handler.
func TestStreamOnShutdown(t *testing.T) {
	waits(t)
	for name, h := range map[string]Handler{
		"on the loop": HandlerFunc(func(w *Response, _ *Request) {
			s := w.Stream()
			s.OnShutdown(func() { s.WriteString("bye"); s.Close() })
			s.WriteString("hi ")
		}),
		"off the loop": BlockingFunc(func(w *Response, _ *Request) {
			s, end := w.Stream(), make(chan struct{})
			s.OnShutdown(func() { close(end) })
			s.WriteString("hi ")
			<-end
			s.WriteString("bye")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := start(t, h.Serve)
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			for line := ""; !strings.Contains(line, "hi "); {
				var err error
				if line, err = p.r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			want(t, "the rest", p.rest(), "3\r\nbye\r\n0\r\n\r\n")
		})
	}
}

func TestRunUntil(t *testing.T) {
	waits(t)
	nop := Zerolog(zerolog.Nop())
	contexts := make(chan struct{}, 1)
	for name, c := range map[string]struct {
		grace time.Duration
		want  error
	}{"in order": {patience, nil}, "cut off": {20 * time.Millisecond, context.DeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Addr: "127.0.0.1:0", Loops: 1, Log: nop, Handler: HandlerFunc(func(w *Response, _ *Request) {
				p := w.Later()
				if c.want == nil {
					p.Request().Reactor().CallLater(50*time.Millisecond, func() { p.Answer(func(w *Response) { hello(w, nil) }) })
				}
				contexts <- struct{}{}
			})}
			addr, err := s.Listen()
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- s.RunUntil(ctx, c.grace) }()
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-contexts
			stop()
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("RunUntil: %v, want %v", err, c.want)
			}
			b, _ := io.ReadAll(p.r)
			if got := strings.Contains(string(b), "Hello"); got != (c.want == nil) {
				t.Errorf("the peer got %q", b)
			}
		})
	}
	if err := (&Server{Addr: "no port", Log: nop}).RunUntil(context.Background(), 0); !errors.Is(err, ErrAddr) {
		t.Errorf("RunUntil: %v, want ErrAddr", err)
	}
}

// A negative ShutdownIdleGrace ends idle connections at once, and not never.
func TestShutdownIdleGrace(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 250 * time.Millisecond, time.Second: time.Second, -1: 1} {
		p, m := inMemory(t, hello, func(s *Server) { s.ShutdownIdleGrace = given })
		p.(*conn).w.beginShutdown()
		if m.timeout != want {
			t.Errorf("%v: %v, want %v", given, m.timeout, want)
		}
	}
}
