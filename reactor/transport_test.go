package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestEcho(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, func(p *recorder) { p.onData = func(b []byte) { p.Write(b) } })
		for _, s := range []string{"a", "hello", strings.Repeat("0123456789", 10_000)} {
			send(t, conn, s) // the transport keeps what the sockets do not
			if got := readN(t, conn, len(s)); got != s {
				t.Fatalf("echo of %d bytes differs", len(s))
			}
		}
		l.do(func() {
			if got, want := rec.Info().RemoteAddr().String(), conn.LocalAddr().String(); got != want {
				t.Errorf("RemoteAddr = %s, want %s", got, want)
			}
			if got, want := rec.Info().LocalAddr().String(), conn.RemoteAddr().String(); got != want {
				t.Errorf("LocalAddr = %s, want %s", got, want)
			}
			if rec.Reactor() != l.Reactor {
				t.Error("Reactor is another one")
			}
		})
		conn.Close()
		if err := rec.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		l.do(func() {
			if rec.Info().LocalAddr().IsValid() {
				t.Error("a closed socket has an address")
			}
		})
	})
}

func TestIPv6AndDualStack(t *testing.T) {
	l := start(t, Config{})
	rec := newRecorder()
	var p *Port
	var err error
	l.do(func() { p, err = l.ListenTCP(":0", FactoryFunc(rec.factory), nil) })
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(host), p.Addr().Port()).String())
		if err != nil && host == "::1" {
			t.Skip("no IPv6 here")
		}
		if err != nil {
			t.Fatal(err)
		}
		receive(t, rec.made, "ConnectionMade")
		l.do(func() {
			if got, want := rec.Info().RemoteAddr().String(), c.LocalAddr().String(); got != want {
				t.Errorf("RemoteAddr = %s, want %s", got, want)
			}
			if got, want := rec.Info().LocalAddr().String(), c.RemoteAddr().String(); got != want {
				t.Errorf("LocalAddr = %s, want %s", got, want)
			}
		})
		c.Close()
		receive(t, rec.lost, "ConnectionLost")
	}
}

// Each way that a connection can end has its own reason, and tells it once.
func TestReasons(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name string
		act  func(l *loop, conn *net.TCPConn, p *recorder)
		want error
		peer error // what the peer's read gives in the end
	}{
		{"LoseConnection", func(l *loop, _ *net.TCPConn, p *recorder) { l.do(p.LoseConnection) }, ErrConnectionDone, io.EOF},
		{"LoseConnection twice, then abort", func(l *loop, _ *net.TCPConn, p *recorder) {
			l.do(func() { p.LoseConnection(); p.LoseConnection(); p.AbortConnection() })
		}, ErrAborted, syscall.ECONNRESET},
		{"AbortConnection", func(l *loop, _ *net.TCPConn, p *recorder) { l.do(p.AbortConnection) }, ErrAborted, syscall.ECONNRESET},
		{"AbortConnection in DataReceived", func(l *loop, c *net.TCPConn, p *recorder) {
			l.do(func() { p.onData = func([]byte) { p.Write([]byte("never seen")); p.AbortConnection() } })
			send(l.t, c, "x")
		}, ErrAborted, syscall.ECONNRESET},
		{"LoseConnection in DataReceived", func(l *loop, c *net.TCPConn, p *recorder) {
			l.do(func() { p.onData = func([]byte) { p.LoseConnection() } })
			send(l.t, c, "x")
		}, ErrConnectionDone, io.EOF},
		{"peer closes", func(_ *loop, c *net.TCPConn, _ *recorder) { c.CloseWrite() }, ErrConnectionDone, io.EOF},
		{"peer resets", func(_ *loop, c *net.TCPConn, _ *recorder) { c.SetLinger(0); c.Close() }, ErrConnectionLost, net.ErrClosed},
		{"timeout", func(l *loop, _ *net.TCPConn, p *recorder) {
			l.do(func() { p.SetTimeout(time.Millisecond) })
		}, ErrTimeout, syscall.ECONNRESET},
		{"panic", func(l *loop, c *net.TCPConn, p *recorder) {
			l.do(func() { p.onData = func([]byte) { p.Write([]byte("never seen")); panic(boom) } })
			send(l.t, c, "x")
		}, boom, syscall.ECONNRESET},
		{"both directions half-closed", func(l *loop, c *net.TCPConn, p *recorder) {
			l.do(p.CloseWrite)
			c.CloseWrite()
		}, ErrConnectionDone, io.EOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPollerBeside(t, func(t *testing.T, c Config) {
				l := start(t, c)
				conn, rec := l.connect(nil, nil)
				tc.act(l, conn, rec)
				if err := rec.reason(l); !errors.Is(err, tc.want) {
					t.Errorf("lost with %v, want %v", err, tc.want)
				}
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, tc.peer) {
					t.Errorf("the peer reads %v, want %v", err, tc.peer)
				}
			})
		})
	}
}

func TestResetCarriesErrno(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	conn.SetLinger(0)
	conn.Close()
	if err := rec.reason(l); !errors.Is(err, syscall.ECONNRESET) || !errors.Is(err, ErrConnectionLost) {
		t.Errorf("lost with %v", err)
	}
}

// A connection that is ending, or lost, can be used without harm: nothing is sent and nobody is told again.
func TestUseAfterEnd(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		use := func(p *recorder) {
			p.Write([]byte("too late"))
			p.Commit(append(p.Room(0), "too late"...))
			p.CloseWrite()
			p.PauseReading()
			p.ResumeReading()
			p.SetTimeout(time.Nanosecond)
			p.RegisterProducer(nil)
			p.LoseConnection()
			p.AbortConnection()
		}
		l := start(t, c)
		conn, rec := l.connect(nil, func(p *recorder) {
			p.onData = func([]byte) {
				p.Write([]byte("in time"))
				p.LoseConnection()
				p.Write([]byte("too late"))
			}
			p.onLost = func(error) { use(p) }
		})
		send(t, conn, "x")
		if got := readAll(t, conn); got != "in time" {
			t.Errorf("peer got %q", got)
		}
		if err := rec.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		l.do(func() { use(rec) })
		l.do(func() {})
		if rec.Buffered() != 0 {
			t.Error("a lost connection holds output")
		}
		if len(rec.lost) != 0 {
			t.Error("ConnectionLost again")
		}
	})
}

func TestHalfClose(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		rec := newRecorder()
		p := l.listen(func(netip.AddrPort) Protocol {
			return &halfCloser{rec, func() { rec.Write([]byte("goodbye")); rec.CloseWrite() }}
		}, nil)
		conn := dial(t, p)
		send(t, conn, "all that I have")
		conn.CloseWrite()
		if got := readAll(t, conn); got != "goodbye" {
			t.Errorf("peer got %q", got)
		}
		if err := rec.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		if got := rec.received(); got != "all that I have" {
			t.Errorf("received %q", got)
		}
	})
}

// The end of the peer's bytes is told once, and a protocol that then does nothing costs no events.
func TestHalfCloseIsQuiet(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		l := start(t, c)
		rec := newRecorder()
		told := make(chan struct{}, 8)
		p := l.listen(func(netip.AddrPort) Protocol { return &halfCloser{rec, func() { told <- struct{}{} }} }, nil)
		conn := dial(t, p)
		conn.CloseWrite()
		receive(t, told, "ReadConnectionLost")
		l.do(func() {})
		before := s.waits.Load() + s.polls.Load()
		for range 10 {
			l.do(func() {})
		}
		if ticks := s.waits.Load() + s.polls.Load() - before; ticks > 30 {
			t.Errorf("%d ticks for 10 calls: the loop spins", ticks)
		}
		if len(told) != 0 {
			t.Error("ReadConnectionLost again")
		}
		l.do(rec.LoseConnection)
		rec.reason(l)
	})
}

// CloseWrite comes behind what is queued, and reading goes on.
func TestCloseWrite(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, nil)
		big := strings.Repeat("x", 4<<20)
		l.do(func() {
			rec.Write([]byte(big))
			rec.CloseWrite()
			rec.Write([]byte("too late"))
		})
		if got := readAll(t, conn); got != big {
			t.Errorf("peer got %d bytes, want %d", len(got), len(big))
		}
		send(t, conn, "still here")
		eventually(t, "data after CloseWrite", func() bool { return rec.received() == "still here" })
	})
}

func TestPauseReading(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, func(p *recorder) { p.onData = func([]byte) { p.PauseReading() } })
		send(t, conn, "one")
		eventually(t, "the first bytes", func() bool { return rec.received() == "one" })
		send(t, conn, "two")
		for range 5 {
			l.do(func() {})
		}
		if got := rec.received(); got != "one" {
			t.Fatalf("received %q while paused", got)
		}
		l.do(rec.ResumeReading)
		eventually(t, "the rest", func() bool { return rec.received() == "onetwo" })
	})
}

// Pausing and resuming within a tick costs no system call.
func TestPauseAndResumeIsFree(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	_, rec := l.connect(nil, nil)
	l.do(func() {})
	before := s.updates.Load()
	l.do(func() { rec.PauseReading(); rec.ResumeReading() })
	l.do(func() {})
	if n := s.updates.Load() - before; n != 0 {
		t.Errorf("%d updates of the poller", n)
	}
}

// LoseConnection and shutdown reach a connection that watches for nothing.
func TestPausedConnectionEnds(t *testing.T) {
	l := start(t, Config{})
	_, first := l.connect(nil, func(p *recorder) { p.onMade = func() { p.PauseReading() } })
	_, second := l.connect(nil, func(p *recorder) { p.onMade = func() { p.PauseReading() } })
	l.do(first.LoseConnection)
	if err := first.reason(l); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
	l.stop()
	if err := receive(t, second.lost, "ConnectionLost"); err != ErrShutdown {
		t.Errorf("lost with %v", err)
	}
}

// What another connection's callback says is heeded within the same tick: no byte is delivered after PauseReading.
func TestPausedByAnother(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		var recs [2]*recorder
		var conns [2]*net.TCPConn
		order := make(chan int, 4)
		for i := range recs {
			conns[i], recs[i] = l.connect(nil, func(p *recorder) {
				p.onData = func([]byte) {
					order <- i
					recs[1-i].PauseReading()
				}
			})
		}
		l.do(func() { // both become readable while the loop is busy
			for _, c := range conns {
				send(t, c, "x")
			}
		})
		first := receive(t, order, "the first of two")
		for range 5 {
			l.do(func() {})
		}
		if len(order) != 0 {
			t.Fatal("data after PauseReading")
		}
		l.do(recs[1-first].ResumeReading)
		if second := receive(t, order, "the other"); second != 1-first {
			t.Errorf("%d was served twice", first)
		}
	})
}

func TestRefusedConnection(t *testing.T) {
	l := start(t, Config{})
	p := l.listen(func(netip.AddrPort) Protocol { return nil }, nil)
	if got := readAll(t, dial(t, p)); got != "" {
		t.Errorf("peer got %q", got)
	}
}

// A greeting leaves at once, also when it is followed by the end.
func TestWriteInConnectionMade(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, func(p *recorder) {
		p.onMade = func() { p.Write([]byte("sorry")); p.LoseConnection() }
	})
	if got := readAll(t, conn); got != "sorry" {
		t.Errorf("peer got %q", got)
	}
	if err := rec.reason(l); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
}

func TestConnectionSize(t *testing.T) {
	var tr transport
	const most = 128 // a size class of the allocator
	if n := unsafe.Sizeof(tr); n > most {
		t.Errorf("a transport has %d bytes, want at most %d", n, most)
	}
}

// pattern is n bytes in which a loss or a repetition shows.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.Write([]byte{byte(i >> 16), byte(i >> 8), byte(i), '.'})
	}
	return b.Bytes()[:n]
}
