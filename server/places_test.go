package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Places: which Blocking handlers run, and which wait.

// count is how many jobs are in a state.
func (p *places) count(state jobState) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in[state].n
}

func awaitJobs(t *testing.T, s *Server, state jobState, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d jobs in state %d", n, state), func() bool { return s.places.count(state) == n })
}

// writeOn writes until the peer is gone.
func writeOn(w *Response, _ *Request) {
	for s := w.Stream(); ; {
		if _, err := s.Write(make([]byte, 16<<10)); err != nil {
			return
		}
	}
}

// ignore makes n peers that ask for target and read nothing.
func ignore(t *testing.T, s *Server, target string, n int) []*peer {
	t.Helper()
	var peers []*peer
	for range n {
		p := dial(t, s.ports[0].Addr())
		p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
		peers = append(peers, p)
	}
	return peers
}

// byPath serves each path by a Blocking handler of its own.
func byPath(handlers map[string]HandlerFunc) HandlerFunc {
	return func(w *Response, r *Request) {
		r.SetMatch("GET "+r.Path(), nil, nil)
		Blocking(handlers[r.Path()]).Serve(w, r)
	}
}

// Handlers whose peers do not read hold no place, however many there are: a request begins at once.
func TestSlowReadersHoldNoPlace(t *testing.T) {
	s, addr := start(t, byPath(map[string]HandlerFunc{"/endless": writeOn, "/": hello}), func(s *Server) { s.MaxBlocking = 2 })
	ignore(t, s, "/endless", 20)
	awaitJobs(t, s, jobWaiting, 20)
	want(t, "the others", dial(t, addr).get("/"), "Hello, World!")
}

// A job whose peer reads again goes on before requests that have not begun.
func TestReadyJobsComeFirst(t *testing.T) {
	events := make(chan string, 1000)
	begun, release := make(chan bool), make(chan bool)
	s, _ := start(t, byPath(map[string]HandlerFunc{
		"/stream": func(w *Response, _ *Request) {
			for s, piece := w.Stream(), make([]byte, 16<<10); ; {
				if _, err := s.Write(piece); err != nil {
					return
				}
				select {
				case events <- "went on":
				default:
				}
			}
		},
		"/hold": func(*Response, *Request) {
			begun <- true
			<-release
			for len(events) > 0 {
				<-events
			}
			begun <- true // from here on the events are the test's
		},
		"/next": func(*Response, *Request) { events <- "began" },
	}), func(s *Server) { s.MaxBlocking = 1 })
	reader := ignore(t, s, "/stream", 1)[0]
	awaitJobs(t, s, jobWaiting, 1)
	ignore(t, s, "/hold", 1)
	<-begun
	ignore(t, s, "/next", 1)
	awaitJobs(t, s, jobQueued, 1)
	go io.Copy(io.Discard, reader.TCPConn)
	awaitJobs(t, s, jobReady, 1)
	release <- true
	<-begun
	want(t, "the first", <-events, "went on")
	reader.Close()
	for timeout := time.After(patience); ; {
		select {
		case event := <-events:
			if event == "began" {
				return
			}
		case <-timeout:
			t.Fatal("the request that was queued did not begin")
		}
	}
}

// MaxBlocking is what runs at a time, also when it is less than the number of loops.
func TestMaxBlockingIsForAllLoops(t *testing.T) {
	var running, most atomic.Int32
	release := make(chan struct{})
	s, _ := start(t, BlockingFunc(func(*Response, *Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		running.Add(-1)
	}).Serve, func(s *Server) { s.MaxBlocking, s.Loops = 2, 3 })
	peers := ignore(t, s, "/", 20)
	awaitJobs(t, s, jobQueued, 18)
	close(release)
	for _, p := range peers {
		p.answer("GET")
	}
	if n := most.Load(); n != 2 {
		t.Errorf("%d ran at a time, MaxBlocking is 2", n)
	}
}

// A request that waits for a place longer than BlockingQueueTimeout is answered with 503; one that gets its place in time is
// served. The answer keeps the connection.
func TestBlockingQueueTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{50 * time.Millisecond, -1, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			release := make(chan struct{})
			s, _ := start(t, byPath(map[string]HandlerFunc{
				"/hold": func(*Response, *Request) { <-release }, "/": hello,
			}), func(s *Server) { s.MaxBlocking, s.BlockingQueueTimeout = 1, timeout })
			ignore(t, s, "/hold", 1)
			awaitJobs(t, s, jobWorking, 1)
			waiting := ignore(t, s, "/", 3)
			status := 200
			if timeout > 0 && timeout < time.Second {
				status = 503
			} else {
				awaitJobs(t, s, jobQueued, 3)
				close(release)
			}
			for _, p := range waiting {
				res, _ := p.answer("GET")
				if res.StatusCode != status || res.Close || (res.Header.Get("Retry-After") != "") != (status == 503) {
					t.Errorf("status %d, close %v, %v; want %d", res.StatusCode, res.Close, res.Header, status)
				}
			}
			if status == 503 {
				close(release)
			}
			for _, p := range waiting {
				want(t, "the next on that connection", p.get("/"), "Hello, World!")
			}
		})
	}
}

// When a request waits for longer than a second, one line names the routes that hold the places, and how many each holds.
func TestLogNamesWhatHoldsThePlaces(t *testing.T) {
	waits(t)
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	release := make(chan struct{})
	hold := func(*Response, *Request) { <-release }
	s, _ := start(t, byPath(map[string]HandlerFunc{"/a": hold, "/b": hold, "/": hello}), func(s *Server) {
		s.MaxBlocking, s.Log, s.Loops = 3, logger, 2
	})
	ignore(t, s, "/a", 1)
	ignore(t, s, "/b", 2)
	awaitJobs(t, s, jobWorking, 3)
	waiting := ignore(t, s, "/", 10)
	await(t, "a line", func() bool { return strings.Contains(log.String(), "\n") })
	close(release)
	for _, p := range waiting {
		if res, _ := p.answer("GET"); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	wantContains(t, "log", log.String(), `"level":"warn"`, `"held":"2 by GET /b, 1 by GET /a"`, `"max":3`)
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log, want one: %s", n, log.String())
	}
}

// The line is rate-limited, and names few routes.
func TestHolders(t *testing.T) {
	p := &places{most: 20}
	for i := range 10 {
		p.move(&job{places: p, route: fmt.Sprint("/", i)}, jobWorking)
	}
	p.move(&job{places: p}, jobKeeping)
	p.move(&job{places: p}, jobKeeping)
	now := time.Now()
	routes, _, waiting := p.holders(now)
	want(t, "routes", routes, "2 by requests without a pattern, 1 by /0, 1 by /1, 1 by /2, 1 by /3, and 6 more routes")
	if waiting != 2 {
		t.Errorf("%d wait for peers", waiting)
	}
	if routes, _, _ := p.holders(now.Add(placesLogInterval - 1)); routes != "" {
		t.Errorf("another line: %s", routes)
	}
	if routes, _, _ := p.holders(now.Add(placesLogInterval)); routes == "" {
		t.Error("no further line")
	}
}

// Beyond MaxBlockingWaiting jobs keep their places. When a request has waited for a second, the slowest peers make room. A
// peer that reads is never reset.
func TestMaxBlockingWaiting(t *testing.T) {
	waits(t)
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s, addr := start(t, byPath(map[string]HandlerFunc{"/endless": writeOn, "/": hello}), func(s *Server) {
		s.MaxBlocking, s.MaxBlockingWaiting, s.Log = 2, 1, logger
	})
	reading := dial(t, addr)
	reading.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
	failed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, reading.TCPConn)
		failed <- err
	}()
	await(t, "its first bytes", func() bool {
		return onLoop(s, func(w *worker) bool { return w.conns.next.cur != nil && w.conns.next.cur.live != nil })
	})
	slow := ignore(t, s, "/endless", 3)
	// The one that reads may hold a place all the time. Then a slow one waits for the other place, and soon gets it.
	await(t, "no place to be left", func() bool { return s.places.count(jobKeeping) == 2 || closedFor(s, ErrStalled) > 0 })
	want(t, "the others", dial(t, addr).get("/"), "Hello, World!")
	cut := 0
	for _, p := range slow {
		if n, err := io.Copy(io.Discard, io.LimitReader(p.TCPConn, 16<<20)); err != nil {
			cut++
		} else if n < 16<<20 {
			t.Errorf("an orderly end after %d bytes", n)
		}
	}
	if cut == 0 { // on a machine that is slow enough, a second round may reset the others
		t.Error("none of the slow peers was reset")
	}
	if n := strings.Count(log.String(), `"reason":"stalled"`); n != cut || closedFor(s, ErrStalled) != uint64(cut) {
		t.Errorf("%d lines for %d resets, counted %v: %s", n, cut, counts(s), log.String())
	}
	select {
	case err := <-failed:
		t.Errorf("the one that reads was cut off: %v", err)
	default:
	}
	reading.Close()
}

// Jobs that keep their places are let be as long as no request needs one.
func TestMaxBlockingWaitingWithoutNeed(t *testing.T) {
	waits(t)
	s, _ := start(t, byPath(map[string]HandlerFunc{"/endless": writeOn}), func(s *Server) {
		s.MaxBlocking, s.MaxBlockingWaiting = 2, 1
	})
	slow := ignore(t, s, "/endless", 3)
	await(t, "no place to be left", func() bool { return s.places.count(jobWaiting) == 1 && s.places.count(jobKeeping) == 2 })
	slow[0].Close() // and its room is taken
	await(t, "one to go", func() bool { return s.places.count(jobWaiting) == 1 && s.places.count(jobKeeping) == 1 })
	for _, p := range slow[1:] {
		if _, err := io.CopyN(io.Discard, p.TCPConn, 16<<20); err != nil {
			t.Errorf("one that was slow for a while: %v", err)
		}
	}
}

// A peer that leaves takes its request out of the queue, which then has room for another.
func TestQueuedPeersThatLeave(t *testing.T) {
	release := make(chan struct{})
	var done atomic.Int32
	handler := byPath(map[string]HandlerFunc{"/hold": func(*Response, *Request) { <-release }, "/": hello})
	s, addr := start(t, func(w *Response, r *Request) {
		w.OnDone(func(w *Response, _ *Request) {
			if errors.Is(w.Err(), ErrPeerGone) {
				done.Add(1)
			}
		})
		handler(w, r)
	}, func(s *Server) { s.MaxBlocking, s.BlockingQueueTimeout = 1, -1 })
	ignore(t, s, "/hold", 1)
	awaitJobs(t, s, jobWorking, 1)
	for round := range 3 {
		peers := ignore(t, s, "/", blockingQueue)
		awaitJobs(t, s, jobQueued, blockingQueue)
		for _, p := range peers {
			p.SetLinger(0)
			p.Close()
		}
		awaitJobs(t, s, jobQueued, 0)
		await(t, "OnDone", func() bool { return int(done.Load()) == (round+1)*blockingQueue })
	}
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	awaitJobs(t, s, jobQueued, 1)
	close(release)
	if res, _ := p.answer("GET"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// Close ends what waits for peers, for places, and in the queue.
func TestCloseEndsAllThatWaits(t *testing.T) {
	s, _ := start(t, byPath(map[string]HandlerFunc{
		"/endless": writeOn, "/hold": func(_ *Response, r *Request) { <-r.Context().Done() },
	}), func(s *Server) { s.MaxBlocking = 1 })
	readers := ignore(t, s, "/endless", 3)
	awaitJobs(t, s, jobWaiting, 3)
	ignore(t, s, "/hold", 4)
	awaitJobs(t, s, jobQueued, 3)
	go io.CopyN(io.Discard, readers[0].TCPConn, 8<<20)
	awaitJobs(t, s, jobReady, 1)
	s.Close()
	for state := range jobStates {
		awaitJobs(t, s, state, 0)
	}
}

// Whatever peers do, the bounds hold, every job ends, and no place is lost.
func TestPlacesAtRest(t *testing.T) {
	waits(t)
	var s *Server
	var running atomic.Int32
	s, addr := start(t, func(w *Response, r *Request) {
		BlockingFunc(func(w *Response, r *Request) {
			running.Add(1)
			defer running.Add(-1)
			switch r.Path() {
			case "/endless":
				writeOn(w, r)
			case "/panic":
				w.Stream().Write(make([]byte, 1<<20))
				panic(ErrAbortHandler)
			case "/big":
				w.Stream().Write(make([]byte, 4<<20))
			}
		}).Serve(w, r)
	}, func(s *Server) {
		s.MaxBlocking, s.MaxBlockingWaiting, s.Loops, s.BlockingQueueTimeout = 3, 4, 2, 20*time.Millisecond
	})
	stop := make(chan struct{})
	var watch, peers sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
			p := &s.places
			p.mu.Lock()
			has, waits := p.in[jobWorking].n+p.in[jobKeeping].n, p.in[jobWaiting].n
			wanted := p.in[jobReady].n + p.in[jobQueued].n
			p.mu.Unlock()
			if has > 3 || waits > 4 || has < p.most && wanted > 0 {
				t.Errorf("%d have a place, %d wait without one, %d want one", has, waits, wanted)
				return
			}
		}
	})
	for i := range 12 {
		peers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			for range 30 {
				p := dial(t, addr)
				fmt.Fprintf(p.TCPConn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [...]string{"/", "/endless", "/panic", "/big"}[rnd.IntN(4)])
				if rnd.IntN(3) > 0 {
					_, _ = io.CopyN(io.Discard, p.TCPConn, rnd.Int64N(2<<20)) // an error is the server's answer to a panic
				}
				if rnd.IntN(2) == 0 {
					p.SetLinger(0)
				}
				p.Close()
			}
		})
	}
	peers.Wait()
	for state := range jobStates {
		awaitJobs(t, s, state, 0)
	}
	close(stop)
	watch.Wait()
	await(t, "handlers to end", func() bool { return running.Load() == 0 })
}
