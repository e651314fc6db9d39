package reactor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A reactor that has ended refuses what would start something.
func TestAfterTheEnd(t *testing.T) {
	l := start(t, Config{})
	l.stop()
	r, _ := newPipe(t)
	_, listenErr := l.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), nil)
	for _, err := range []error{listenErr, l.AddReader(r), l.AddWriter(r), l.CallInThread(func() {}), Install(l.Reactor)} {
		if err != ErrStopped {
			t.Errorf("%v, want ErrStopped", err)
		}
	}
	if l.CallFromThread(func() {}) {
		t.Error("a call was accepted")
	}
	if l.CallLater(0, func() {}).Active() {
		t.Error("a timer was accepted")
	}
	l.HandleSignal(func(os.Signal) {}, syscall.SIGUSR1)
	l.Stop()
}

// Close frees what was prepared.
func TestClose(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := prepare(t, c)
		p, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), nil)
		if err != nil {
			t.Fatal(err)
		}
		timer := l.CallLater(time.Hour, func() {})
		called := make(chan struct{}, 1)
		l.CallFromThread(func() { called <- struct{}{} })
		if err := l.CallInThread(func() {}); err != nil {
			t.Error(err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		receive(t, called, "an accepted call")
		if timer.Active() {
			t.Error("the timer is active")
		}
		if _, err := net.Dial("tcp", p.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the port is open: %v", err)
		}
	})
}

// Whatever a reactor had, nothing is left of it; and many run at once.
func TestNothingIsLeft(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		checkLeaks(t)
		var loops []*loop
		var recs []*recorder
		for range 4 {
			l := start(t, c)
			loops = append(loops, l)
			l.HandleSignal(func(os.Signal) {}, syscall.SIGUSR1)
			for range 5 {
				conn, rec := l.connect(nil, nil)
				recs = append(recs, rec)
				conn.Close()
				_, rec = l.connect(nil, nil)
				recs = append(recs, rec)
			}
			l.do(func() { l.CallLater(time.Hour, func() { t.Error("an hour has passed") }) })
			if err := l.CallInThread(func() {}); err != nil {
				t.Error(err)
			}
		}
		for _, l := range loops {
			l.stop()
		}
		for _, rec := range recs {
			err := receive(t, rec.lost, "ConnectionLost")
			if err != ErrShutdown && err != ErrConnectionDone {
				t.Errorf("lost with %v", err)
			}
			if len(rec.lost) != 0 {
				t.Error("ConnectionLost twice")
			}
		}
	})
}

// ConnectionLost at the end of a reactor may do anything.
func TestConnectionLostAtTheEnd(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, func(p *recorder) {
		p.onLost = func(error) {
			p.Write([]byte("too late"))
			p.AbortConnection()
			if _, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(p.factory), nil); err != ErrStopped {
				t.Errorf("ListenTCP: %v", err)
			}
			if l.CallLater(0, func() {}).Active() {
				t.Error("a timer was accepted")
			}
			panic("and panic")
		}
	})
	_, other := l.connect(nil, nil)
	l.stop()
	for _, p := range []*recorder{rec, other} {
		if err := receive(t, p.lost, "ConnectionLost"); err != ErrShutdown {
			t.Errorf("lost with %v", err)
		}
	}
}

// Goexit in a callback, as t.FailNow has it, ends the loop but leaves nothing behind.
func TestGoexit(t *testing.T) {
	l := prepare(t, Config{})
	l.CallFromThread(runtime.Goexit)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run()
	}()
	receive(t, done, "the loop to end")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A loop that has nothing to do does nothing.
func TestIdleLoopIsQuiet(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		l := start(t, c)
		conn, rec := l.connect(nil, func(p *recorder) { p.onData = func(b []byte) { p.Write(b) } })
		send(t, conn, "x")
		readN(t, conn, 1)
		l.do(func() { rec.SetTimeout(time.Hour); rec.SetTimeout(0) })
		before := s.waits.Load() + s.polls.Load()
		<-time.After(200 * time.Millisecond) // there is nothing to wait for: that is what is tested
		// The call that asks is a tick, and one tick may have ended after we began to count.
		l.do(func() {})
		if n := s.waits.Load() + s.polls.Load() - before; n > 3 {
			t.Errorf("%d ticks at rest", n)
		}
	})
}

// A deadline far away is not looked at until it comes, but for one pass of a timeout that was taken back.
func TestTimerAtRestIsQuiet(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	l.do(func() { l.CallLater(time.Hour, func() {}) })
	before := s.waits.Load() + s.polls.Load()
	<-time.After(100 * time.Millisecond)
	l.do(func() {})
	if n := s.waits.Load() + s.polls.Load() - before; n > 3 {
		t.Errorf("%d ticks at rest", n)
	}
}

// Connections that end in every way at random are lost exactly once each, and told nothing afterwards.
func TestConnectionLostExactlyOnce(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		const n, seed = 400, 3
		rnd := rand.New(rand.NewPCG(seed, seed))
		s := &faultySystem{}
		s.read = func(fd int, p []byte) (int, syscall.Errno) {
			if rnd.IntN(50) == 0 {
				return 0, syscall.ECONNRESET
			}
			return s.kernel.Read(fd, p[:1+rnd.IntN(8)])
		}
		s.write = func(fd int, p []byte) (int, syscall.Errno) {
			switch rnd.IntN(20) {
			case 0:
				return 0, syscall.EPIPE
			case 1:
				return 0, syscall.EAGAIN
			}
			return s.kernel.Write(fd, p[:1+rnd.IntN(len(p))])
		}
		c.System = s
		l := start(t, c)
		var made, lost atomic.Int64
		var live []*recorder
		chaos := func(p *recorder) {
			switch rnd.IntN(16) {
			case 0:
				p.LoseConnection()
			case 1:
				p.AbortConnection()
			case 2:
				p.CloseWrite()
			case 3:
				p.PauseReading()
			case 4:
				p.ResumeReading()
			case 5:
				p.SetTimeout(time.Duration(1 + rnd.IntN(int(time.Millisecond))))
			case 6:
				if len(live) > 0 { // act on somebody else
					live[rnd.IntN(len(live))].AbortConnection()
				}
			case 7:
				panic("chaos")
			default:
				p.Write([]byte("0123456789"))
			}
		}
		p := l.listen(func(netip.AddrPort) Protocol {
			p := newRecorder()
			ended := false
			check := func() {
				if ended {
					t.Error("told something after ConnectionLost")
				}
			}
			p.onMade = func() { made.Add(1); live = append(live, p); p.SetTimeout(time.Second); chaos(p) }
			p.onData = func([]byte) { check(); chaos(p) }
			p.onLost = func(error) { check(); ended = true; lost.Add(1); chaos(p) }
			if rnd.IntN(2) == 0 {
				return p
			}
			return &halfCloser{p, func() { check(); chaos(p) }}
		}, &TCPOptions{TransportOptions: TransportOptions{WriteTimeout: time.Second}})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(g)))
				for range n / 4 {
					conn, err := net.Dial("tcp", p.Addr().String())
					if err != nil {
						continue // reset before it was ours
					}
					_ = conn.SetDeadline(time.Now().Add(patience))
					for range rnd.IntN(5) {
						if _, err := conn.Write([]byte(strings.Repeat("x", 1+rnd.IntN(30)))); err != nil {
							break
						}
					}
					if rnd.IntN(2) == 0 {
						_ = conn.(*net.TCPConn).SetLinger(0)
					}
					conn.Close()
				}
			})
		}
		wg.Wait()
		l.do(p.StopListening)
		eventually(t, "all to be lost", func() bool {
			l.do(func() { // who paused is not told that the peer is gone
				for _, p := range live {
					if len(p.lost) == 0 {
						p.ResumeReading()
					}
				}
			})
			return lost.Load() == made.Load()
		})
		l.do(func() {
			if int(made.Load()) < n/2 {
				t.Errorf("only %d connections", made.Load())
			}
			for _, p := range live {
				if len(p.lost) != 1 {
					t.Errorf("lost %d times", len(p.lost))
				}
			}
			for _, s := range l.fds.all {
				if s.conn != nil {
					t.Error("a lost connection is in the table")
				}
			}
		})
	})
}

// A panic in one connection's callback costs the others of the same tick nothing.
func TestPanicCostsOneConnection(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		const n = 9
		l := start(t, c)
		var conns [n]*net.TCPConn
		var recs [n]*recorder
		for i := range conns {
			conns[i], recs[i] = l.connect(nil, func(p *recorder) {
				p.onData = func(b []byte) {
					p.Write(b)
					if i%3 == 1 {
						panic(i)
					}
				}
			})
		}
		l.do(func() {
			for i, c := range conns {
				send(t, c, fmt.Sprint("hello", i))
			}
		})
		for i, rec := range recs {
			if i%3 != 1 {
				if got := readN(t, conns[i], 6); got != fmt.Sprint("hello", i) {
					t.Errorf("connection %d got %q", i, got)
				}
				continue
			}
			var p *PanicError
			if err := rec.reason(l); !errors.As(err, &p) || p.Value != i || !strings.Contains(string(p.Stack), "life_test.go") {
				t.Errorf("connection %d lost with %v", i, err)
			}
		}
		if len(l.reported()) != n/3 {
			t.Errorf("%d panics reported", len(l.reported()))
		}
	})
}

// A reporter that panics ends nothing.
func TestPanicInReportError(t *testing.T) {
	l := start(t, Config{ReportError: func(error) { panic("again") }})
	l.CallFromThread(func() { panic("once") })
	l.do(func() {})
}

func TestSignals(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		got := make(chan os.Signal, 1)
		l.HandleSignal(func(s os.Signal) { got <- s }, syscall.SIGUSR1)
		l.StopOnSignal(syscall.SIGUSR2)
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if s := receive(t, got, "the signal"); s != syscall.SIGUSR1 {
			t.Errorf("got %v", s)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		receive(t, l.done, "the reactor to stop")
	})
}

func TestDefault(t *testing.T) {
	checkLeaks(t)
	r := Default()
	if Default() != r {
		t.Error("there are two")
	}
	other, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Install(other); err != ErrAlreadyInstalled {
		t.Errorf("Install of another: %v", err)
	}
	if err := Install(r); err != nil {
		t.Errorf("Install of the same: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := Install(other); err != nil {
		t.Errorf("Install after the end of the first: %v", err)
	}
	if Default() != other {
		t.Error("Default is not what was installed")
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnknownPoller(t *testing.T) {
	checkLeaks(t)
	_, err := New(Config{Poller: "kqueue9"})
	if err == nil || !strings.Contains(err.Error(), "kqueue9") {
		t.Errorf("New: %v", err)
	}
}

// A poller that fails ends Run with its error, and everything is freed.
func TestPollerFails(t *testing.T) {
	s := &faultySystem{}
	l := prepare(t, Config{System: s})
	s.wait = func(Poller, []Event, time.Time) (int, error) { return 0, syscall.EBADF }
	if err := l.Run(); err != syscall.EBADF {
		t.Errorf("Run: %v", err)
	}
}
