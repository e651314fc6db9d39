package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
)

// A peer that has sent so much ahead that it is no longer read from, and is then reset, is gone
// at once: the handler is told, and what was held for it is given back.
func TestResetWhilePaused(t *testing.T) {
	waits(t)
	for _, poller := range reactor.Pollers() {
		if poller == "select" {
			continue // it cannot tell: see MaxPipelinedBytes
		}
		t.Run(poller, func(t *testing.T) {
			owed := make(chan *Pending, 1)
			done := make(chan error, 1)
			s, addr := start(t, func(w *Response, r *Request) {
				w.OnDone(func(w *Response, _ *Request) { done <- w.Err() })
				owed <- w.Later()
			}, func(s *Server) { s.Poller = poller })
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			pending := <-owed
			p.flood(strings.Repeat("x", 64<<10), floodMost)
			if in, _ := held(s); in < s.conf.pipelined {
				t.Errorf("%d bytes held", in)
			}
			p.SetLinger(0) // so that its close is a reset
			p.Close()
			select {
			case <-pending.Request().Context().Done():
			case <-time.After(patience):
				t.Fatal("the context did not end")
			}
			if err := <-done; !errors.Is(err, ErrPeerGone) {
				t.Errorf("done with %v", err)
			}
			if err := pending.Answer(func(*Response) { t.Error("filled") }); !errors.Is(err, ErrPeerGone) {
				t.Errorf("answered: %v", err)
			}
			await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
		})
	}
}

// A Stream that is closed, and whose peer is lost before the loop takes it back, is done once.
func TestLostBehindClose(t *testing.T) {
	done := 0
	var s *Stream
	p, m := inMemory(t, func(w *Response, r *Request) {
		w.OnDone(func(*Response, *Request) { done++ })
		s = w.Stream()
	})
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	p.ConnectionLost(reactor.ErrConnectionLost)
	m.loop.CallFromThread(m.loop.Stop)
	if err := m.loop.Run(); err != nil {
		t.Error(err)
	}
	if done != 1 {
		t.Errorf("OnDone was called %d times", done)
	}
}

// Whoever asks for the end and goes on sending all the same has its answer, whole.
func TestMoreBehindConnectionClose(t *testing.T) {
	for _, version := range []string{"1.1", "1.0"} {
		answered := make(chan struct{}, 1)
		_, addr := start(t, func(w *Response, r *Request) {
			w.OnDone(func(*Response, *Request) { answered <- struct{}{} })
			w.Write(make([]byte, 100_000))
		})
		p := dial(t, addr)
		p.send("GET / HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n", version)
		<-answered
		for range 3 { // a reset comes back within the first, and is told by the next
			p.send("%s", strings.Repeat("x", 1000))
		}
		res, body := p.answer("GET")
		if res.StatusCode != 200 || len(body) != 100_000 {
			t.Errorf("status %d, %d bytes", res.StatusCode, len(body))
		}
		want(t, "what follows", p.rest(), "")
	}
}
