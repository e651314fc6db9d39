package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"

	"github.com/rs/zerolog"
)

// Whatever peers, handlers and the network do, and however each connection and each exchange ends: when all peers have left,
// every counter is zero again.
func TestCountersAtRest(t *testing.T) {
	seeds := sim.Seeds(100) // of each; .ci/run makes ten times as many
	for name, c := range map[string]sim.Config{"on a bad day": {}, "with resets": {Reset: 0.05}} {
		t.Run(name, func(t *testing.T) { sim.Check(t, 1, seeds, c, playCounters) })
	}
}

func playCounters(w *sim.World) {
	loop := w.Reactor("server", reactor.Config{})
	rnd := w.Rand()
	nop := Zerolog(zerolog.Nop())
	refuseSome := Wrap(func(rw *Response, r *Request, next Handler) {
		if rnd.IntN(6) == 0 {
			rw.Error(417)
			return
		}
		next.Serve(rw, r)
	})
	bodies := &bodyCount{w: w}
	holdSome := Wrap(func(rw *Response, r *Request, next Handler) {
		switch w.Rand().IntN(10) {
		case 0: // for ever
			rw.Hold()
		case 1, 2:
			h := rw.Hold()
			loop.CallLater(time.Duration(w.Rand().Int64N(int64(30*time.Second))), func() { h.Serve(next) })
		default:
			next.Serve(rw, r)
		}
	})
	takeSome := func(whole Handler) Handler { // bodies are streamed for some
		return Wrap(func(rw *Response, r *Request, next Handler) {
			if rnd.IntN(4) == 0 {
				rw.AnswerWithin(time.Duration(rnd.Int64N(int64(30*time.Second))), func(*Response, *Request) {
					if rnd.IntN(4) == 0 {
						panic("in the function of AnswerWithin")
					}
				})
			}
			if rnd.IntN(3) == 0 {
				rw.OnPanic(func(rw *Response, r *Request, _ any, _ []byte) { rw.Error(500) })
			}
			if rnd.IntN(2) == 0 {
				next = StreamingFunc(func(rw *Response, r *Request) { streamAnything(bodies, loop, rw, r) })
			}
			next.Serve(rw, r)
		})(whole)
	}
	s := &Server{
		Handler: refuseSome(holdSome(takeSome(HandlerFunc(func(rw *Response, r *Request) { doAnything(w, loop, rw, r) })))), Log: nop, Loops: 1,
		DetectLateUse: rnd.IntN(2) == 0, MaxConns: 1 + rnd.IntN(8), MaxConnsPerAddr: rnd.IntN(6),
		MaxBufferedBytes: 1 << (12 + rnd.IntN(8)), PendingTimeout: 20 * time.Second,
		MaxBlocking: 1, MaxBlockingWaiting: rnd.IntN(3), BlockingQueueTimeout: time.Duration(rnd.IntN(20)) * time.Millisecond,
		MaxUnsentBytes: 1 << (8 + rnd.IntN(8)), MaxPipelinedBytes: 1 << (8 + rnd.IntN(8)),
		LingerTimeout: time.Duration(rnd.IntN(3)-1) * time.Second, MaxLingerBytes: rnd.IntN(3000) - 1,
	}
	f := s.Factory(loop).(*worker)
	port, err := loop.ListenTCP("127.0.0.1:80", f, &reactor.TCPOptions{TransportOptions: reactor.TransportOptions{
		WriteTimeout: 30 * time.Second, HighWater: s.conf.unsent, LowWater: s.conf.unsent / 4, LingerTimeout: -1, MaxBuffered: -1,
	}})
	if err != nil {
		panic(err)
	}
	clients, left := 2+rnd.IntN(10), 0
	for i := range clients {
		w.Go(fmt.Sprint("client", i), func() {
			defer func() { left++ }()
			misbehave(w, port)
		})
	}
	if rnd.IntN(2) == 0 {
		w.Go("operator", func() {
			w.Sleep(time.Duration(rnd.Int64N(int64(time.Minute))))
			loop.CallFromThread(f.beginShutdown) // the port goes on listening, as Factory says
		})
	}
	w.Go("judge", func() {
		w.Wait("the clients to leave", func() bool { return left == clients })
		w.Sleep(11 * time.Minute) // no stream stays open for longer than ten
		got := fmt.Sprint(f.held, f.made.bytes.Load(), loop.Unsent(), f.open, f.turned, s.doors.open.Load(), len(s.doors.from),
			f.conns.next == &f.conns)
		if want := "0 0 0 0 0 0 0 true"; got != want {
			w.Errorf("held, made, unsent, open, turned, doors, origins, ring: %s, want %s", got, want)
		}
		ended := uint64(0)
		for why, n := range s.CloseCounts() {
			if why != ErrTooManyConns { // those were never let in
				ended += n
			}
		}
		if let := s.accepted.Load(); ended != let {
			w.Errorf("%d connections have a reason for their end, and %d were let in", ended, let)
		}
		if bodies.open != 0 {
			w.Errorf("%d bodies have no end", bodies.open)
		}
		for state := range jobStates {
			if n := s.places.count(state); n > 0 {
				w.Errorf("%d jobs are in state %d", n, state)
			}
		}
		if f.closing {
			select {
			case <-f.drained:
			default:
				w.Errorf("the shutdown does not end")
			}
		}
		n := 0
		for x := f.spare; x != nil; x = x.next {
			n++
		}
		if n != f.spares || n > maxSpares {
			w.Errorf("%d spare exchanges, counted %d", n, f.spares)
		}
	})
}

// doAnything answers in one of many ways, or not.
func doAnything(w *sim.World, loop *reactor.Reactor, rw *Response, r *Request) {
	rnd := w.Rand()
	text := strings.Repeat("x", rnd.IntN(1<<rnd.IntN(17)))
	after := time.Duration(rnd.Int64N(int64(30 * time.Second)))
	switch rnd.IntN(11) {
	case 0, 1, 2:
		rw.WriteString(text)
	case 3:
		rw.WriteString(text)
		p := rw.Later()
		loop.CallLater(after, func() { _ = p.Answer(func(rw *Response) { rw.WriteString(text) }) })
	case 4:
		rw.Later()
	case 5:
		rw.Later()
		panic(ErrAbortHandler)
	case 6:
		panic(ErrAbortHandler)
	case 7, 8:
		if rnd.IntN(3) == 0 {
			rw.SetHeader("Content-Length", "100")
		}
		s := rw.Stream()
		s.OnDrain(func() {
			if rnd.IntN(4) == 0 {
				panic(ErrAbortHandler)
			}
			s.WriteString(text)
			s.Close()
		})
		s.WriteString(text)
		if rnd.IntN(2) == 0 {
			loop.CallLater(after, func() { s.Close() })
		} else {
			loop.CallLater(10*time.Minute, func() { s.Close() })
		}
	default: // without a Stream, whose writes would wait for the world, and the world for them
		breaks := rnd.IntN(4) == 0
		BlockingFunc(func(rw *Response, r *Request) {
			rw.WriteString(text)
			if breaks {
				panic(ErrAbortHandler)
			}
		}).Serve(rw, r)
	}
}

// misbehave is a peer that sends something, perhaps reads something, and leaves.
func misbehave(w *sim.World, port *reactor.Port) {
	rnd := w.Rand()
	w.Sleep(time.Duration(rnd.Int64N(int64(10 * time.Second))))
	c, err := w.Dial(port.Addr())
	if err != nil {
		return
	}
	defer c.Close()
	if rnd.IntN(4) > 0 {
		done := false
		defer w.Wait("the reader", func() bool { return done })
		w.Go("reader", func() {
			defer func() { done = true }()
			buf := make([]byte, 1+rnd.IntN(4096))
			for range rnd.IntN(1000) {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if rnd.IntN(10) == 0 {
					w.Sleep(time.Second)
				}
			}
			c.Close()
		})
	}
	for range 1 + rnd.IntN(8) {
		body := strings.Repeat("b", rnd.IntN(1<<rnd.IntN(15)))
		q := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		switch rnd.IntN(8) {
		case 0:
			q = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		case 1:
			q = "\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
		case 2:
			q = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nb%s\r\n0\r\nA: b\r\n\r\n", 1+len(body), body)
		case 3:
			q = strings.Replace(q, "Host: a", "Host: a\r\nExpect: 100-continue", 1)
		case 4:
			q = q[:rnd.IntN(len(q))]
		case 5:
			q = strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1+rnd.IntN(100))
		}
		for q != "" {
			n := 1 + rnd.IntN(len(q))
			if _, err := io.WriteString(c, q[:n]); err != nil {
				return
			}
			q = q[n:]
			if rnd.IntN(4) == 0 {
				w.Sleep(time.Duration(rnd.Int64N(int64(time.Second) << rnd.IntN(5))))
			}
		}
	}
	if rnd.IntN(2) == 0 {
		_ = c.CloseWrite()
		w.Sleep(time.Duration(rnd.Int64N(int64(time.Minute))))
	}
}
