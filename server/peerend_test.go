package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// A Stream learns of the end of its peer, and goes on if it likes.

const askForEvents = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// peerEnds are streams that end when their peer does, on and off the loop. Each counts what it learns in order.
func peerEnds(told chan<- string) map[string]HandlerFunc {
	return map[string]HandlerFunc{
		"on the loop": func(w *Response, _ *Request) {
			w.OnDone(func(*Response, *Request) { told <- "done" })
			s := w.Stream()
			s.OnPeerEnd(func() {
				told <- "end"
				_, _ = s.WriteString("the last") // of a peer that is lost it says so
				_ = s.Close()
			})
			_, _ = s.WriteString("the first, ")
		},
		"off the loop": func(w *Response, r *Request) {
			w.OnDone(func(*Response, *Request) { told <- "done" })
			BlockingFunc(func(w *Response, _ *Request) {
				s, ended := w.Stream(), make(chan bool)
				s.OnPeerEnd(func() { told <- "end"; close(ended) })
				_, _ = s.WriteString("the first, ")
				<-ended
				_, _ = s.WriteString("the last")
			}).Serve(w, r)
		},
		"off the loop, and nothing is written": func(w *Response, r *Request) {
			w.OnDone(func(*Response, *Request) { told <- "done" })
			BlockingFunc(func(w *Response, _ *Request) {
				ended := make(chan bool)
				w.Stream().OnPeerEnd(func() { told <- "end"; close(ended) })
				<-ended
				w.WriteString("the first, the last")
			}).Serve(w, r)
		},
	}
}

// An idle stream learns of a half-close at once, and what it writes then still reaches the peer.
func TestStreamLearnsOfAHalfClose(t *testing.T) {
	told := make(chan string, 10)
	for name, h := range peerEnds(told) {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, h)
			p := dial(t, addr)
			p.send(askForEvents)
			_ = p.CloseWrite()
			res, body := p.answer("GET")
			if body != "the first, the last" || res.StatusCode != 200 {
				t.Errorf("%d %q", res.StatusCode, body)
			}
			want(t, "behind it", p.rest(), "")
			want(t, "first", <-told, "end")
			want(t, "then", <-told, "done")
			if len(told) > 0 {
				t.Errorf("and %q", <-told)
			}
		})
	}
}

// It learns of a lost connection in the same way, before OnDone, and once.
func TestStreamLearnsOfALostPeer(t *testing.T) {
	told := make(chan string, 10)
	for name, h := range peerEnds(told) {
		for _, halfFirst := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s, addr := start(t, h)
				p := dial(t, addr)
				p.send(askForEvents)
				await(t, "the request", func() bool {
					return onLoop(s, func(w *worker) bool {
						x := w.conns.next.cur
						return x != nil && x.onPeerEnd != nil
					})
				})
				if halfFirst {
					_ = p.CloseWrite()
					want(t, "first", <-told, "end")
				}
				_ = p.SetLinger(0)
				p.Close()
				if !halfFirst {
					want(t, "first", <-told, "end")
				}
				want(t, "then", <-told, "done")
				if len(told) > 0 {
					t.Errorf("and %q", <-told)
				}
			})
		}
	}
}

// A function that comes after the end of the peer is called too; one that was removed, or that was replaced, is not, and none is
// behind Close.
func TestOnPeerEndIsCalledOnceOrNot(t *testing.T) {
	var stream *Stream
	var p reactor.Protocol
	p, m := inMemory(t, func(w *Response, _ *Request) { stream = w.Stream() })
	calls := ""
	note := func(s string) func() { return func() { calls += s } }
	begin := func() { p.DataReceived([]byte(askForEvents)) }
	turn := func() { _ = m.loop.Iterate(0) }
	begin()
	stream.OnPeerEnd(note("replaced"))
	stream.OnPeerEnd(note("a"))
	p.(reactor.HalfCloser).ReadConnectionLost()
	turn()
	want(t, "calls", calls, "a")
	stream.OnPeerEnd(note("b")) // it has ended already
	want(t, "calls within OnPeerEnd", calls, "a")
	turn()
	want(t, "calls", calls, "ab")
	stream.OnPeerEnd(note("removed"))
	stream.OnPeerEnd(nil)
	stream.Close()
	stream.OnPeerEnd(note("closed"))
	turn()
	p.ConnectionLost(nil)
	turn()
	want(t, "calls", calls, "ab")
}

// A panic in it is that of the handler.
func TestPanicInOnPeerEnd(t *testing.T) {
	for name, h := range map[string]HandlerFunc{
		"on the loop": func(w *Response, _ *Request) { w.Stream().OnPeerEnd(func() { panic("in OnPeerEnd") }) },
		"off the loop": BlockingFunc(func(w *Response, _ *Request) {
			called := make(chan struct{})
			w.Stream().OnPeerEnd(func() { close(called); panic("in OnPeerEnd") })
			<-called // the end of the context may come before
		}).Serve,
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			done := make(chan error, 1)
			_, addr := start(t, func(w *Response, r *Request) {
				w.OnDone(func(w *Response, _ *Request) { done <- w.Err() })
				h(w, r)
			}, func(s *Server) { s.Log = logger })
			p := dial(t, addr)
			p.send(askForEvents)
			_ = p.CloseWrite()
			err := <-done
			if onLoop := name == "on the loop"; onLoop != errors.Is(err, ErrPanic) {
				t.Errorf("Err: %v", err)
			}
			await(t, "the log", func() bool { return strings.Contains(log.String(), `"panic":"in OnPeerEnd"`) })
		})
	}
}

// A half-close that came with an earlier request ends the context of a later one too, and a Stream of that learns of it.
func TestHalfCloseBeforeTheRequestBegins(t *testing.T) {
	ended := make(chan bool, 2)
	first := make(chan *Pending, 1)
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/first" {
			first <- w.Later()
			return
		}
		context.AfterFunc(r.Context(), func() { ended <- true })
		s := w.Stream()
		s.OnPeerEnd(func() { ended <- true; s.Close() })
	})
	p := dial(t, addr)
	p.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n" + askForEvents)
	_ = p.CloseWrite()
	pending := <-first
	<-pending.Request().Context().Done() // the half-close has come
	_ = pending.Answer(func(w *Response) { w.WriteString("first") })
	p.answer("GET")
	for range 2 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the second request does not learn of the half-close")
		}
	}
	_, _ = io.Copy(io.Discard, p.r)
}

// A stream that is idle on purpose is no misuse: server-sent events, and one that learns of the end of its peer.
func TestStreamIsIdleOnPurpose(t *testing.T) {
	for name, c := range map[string]struct {
		logs bool
		h    func(w *Response) *Stream
	}{
		"forgotten": {true, func(w *Response) *Stream { return w.Stream() }},
		"plain text": {true, func(w *Response) *Stream {
			w.SetHeader("Content-Type", "text/plain")
			return w.Stream()
		}},
		"events": {false, func(w *Response) *Stream {
			w.SetHeader("Content-Type", "Text/Event-Stream; charset=utf-8")
			return w.Stream()
		}},
		"OnPeerEnd": {false, func(w *Response) *Stream {
			s := w.Stream()
			s.OnPeerEnd(func() {})
			return s
		}},
		"OnPeerEnd that was removed": {true, func(w *Response) *Stream {
			s := w.Stream()
			s.OnPeerEnd(func() {})
			s.OnPeerEnd(nil)
			return s
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			p, m := inMemory(t, func(w *Response, _ *Request) { c.h(w) }, func(s *Server) { s.Log = logger })
			p.DataReceived([]byte(askForEvents))
			for range 3 {
				p.(reactor.TimeoutHandler).TimeoutConnection()
			}
			if logs := strings.Contains(log.String(), "neither written to nor closed"); logs != c.logs {
				t.Errorf("log: %q", log.String())
			}
			want(t, "end", m.ended, "")
		})
	}
}
