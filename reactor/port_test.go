package reactor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenErrors(t *testing.T) {
	l := start(t, Config{})
	p := l.listen(newRecorder().factory, nil)
	for _, tc := range []struct {
		addr string
		want error
	}{
		{p.Addr().String(), syscall.EADDRINUSE},
		{"192.0.2.1:0", syscall.EADDRNOTAVAIL}, // RFC 5737: nobody's address
		{"127.0.0.1:http-or-so", nil},
		{"no port", nil},
	} {
		l.do(func() {
			_, err := l.ListenTCP(tc.addr, FactoryFunc(newRecorder().factory), nil)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", tc.addr, err, tc.want)
			}
			if tc.want != nil && !strings.Contains(err.Error(), tc.addr) {
				t.Errorf("%v does not name %s", err, tc.addr)
			}
			_, udp := l.ListenUDP(tc.addr, newDatagramRecorder(), nil)
			for _, err := range []error{err, udp} {
				if _, ok := errors.AsType[*net.OpError](err); err != nil && !ok {
					t.Errorf("%s: %T", tc.addr, err)
				}
			}
		})
	}
	if n := countPorts(l); n != 1 {
		t.Errorf("%d ports, want 1", n)
	}
}

func countPorts(l *loop) (n int) {
	l.do(func() { n = len(l.ports) })
	return n
}

// A port that loops share is closed to everybody else.
func TestSharedPortIsExclusive(t *testing.T) {
	l := start(t, Config{})
	p := l.listen(newRecorder().factory, &TCPOptions{Shared: true})
	for _, shared := range []bool{false, true} {
		l.do(func() {
			_, err := l.ListenTCP(p.Addr().String(), FactoryFunc(newRecorder().factory), &TCPOptions{Shared: shared})
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second listener (shared: %v): %v", shared, err)
			}
		})
	}
	if _, err := net.Listen("tcp", p.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a listener of package net: %v", err)
	}
}

// Connections to a shared port reach all loops, and each one exactly one of them.
func TestShare(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		var served [2]atomic.Int64
		factory := func(i int) FactoryFunc {
			return func(netip.AddrPort) Protocol {
				rec := newRecorder()
				rec.onMade = func() {
					served[i].Add(1)
					fmt.Fprint(writer{rec}, i)
					rec.CloseWrite()
				}
				return rec
			}
		}
		first, second := prepare(t, c), prepare(t, c)
		p, err := first.ListenTCP("127.0.0.1:0", factory(0), &TCPOptions{Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		p2, err := p.Share(second.Reactor, factory(1))
		if err != nil {
			t.Fatal(err)
		}
		if p.Addr() != p2.Addr() {
			t.Errorf("ports at %v and %v", p.Addr(), p2.Addr())
		}
		first.start()
		second.start()
		const n = 200
		var got [2]int64
		for range n {
			conn := dial(t, p)
			got[readAll(t, conn)[0]-'0']++
			conn.Close()
		}
		for i := range got {
			if got[i] == 0 || got[i] != served[i].Load() {
				t.Errorf("loop %d served %d, clients met it %d times", i, served[i].Load(), got[i])
			}
		}
	})
}

func TestShareErrors(t *testing.T) {
	other := prepare(t, Config{})
	l := start(t, Config{})
	lone, shared := l.listen(newRecorder().factory, nil), l.listen(newRecorder().factory, &TCPOptions{Shared: true})
	l.do(func() {
		if _, err := lone.Share(other.Reactor, FactoryFunc(newRecorder().factory)); err == nil {
			t.Error("a port that was not made Shared was shared")
		}
		shared.StopListening()
		if _, err := shared.Share(other.Reactor, FactoryFunc(newRecorder().factory)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed port: %v", err)
		}
	})
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// Who has connected is served, though nobody had accepted when the port was closed.
func TestStopListeningAcceptsWhatIsQueued(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		const n = 50
		var p *Port
		p = l.listen(func(netip.AddrPort) Protocol {
			rec := newRecorder()
			rec.onMade = func() { p.StopListening() } // again, and from inside
			rec.onData = func(b []byte) { rec.Write(b) }
			return rec
		}, nil)
		var conns [n]*net.TCPConn
		l.do(func() { // the loop is busy: the kernel queues
			for i := range conns {
				conns[i] = dial(t, p)
			}
			p.StopListening()
			p.StopListening()
		})
		if _, err := net.Dial("tcp", p.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a closed port: %v", err)
		}
		for i, conn := range conns {
			send(t, conn, "hello")
			if got := readN(t, conn, 5); got != "hello" {
				t.Errorf("connection %d got %q", i, got)
			}
		}
		if n := countPorts(l); n != 0 {
			t.Errorf("%d ports are left", n)
		}
	})
}

// A burst is taken in bounded portions, and all of it.
func TestAcceptBurst(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		var inTick, most int
		s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
			inTick++
			most = max(most, inTick)
			return s.kernel.Accept(fd)
		}
		c.System = s
		l := start(t, c)
		var made atomic.Int64
		p := l.listen(func(netip.AddrPort) Protocol {
			made.Add(1)
			return newRecorder()
		}, nil)
		const n = 5 * acceptsPerTick
		l.do(func() {
			for range n {
				dial(t, p)
			}
			var count func()
			count = func() { // once a tick
				inTick = 0
				if made.Load() < n {
					l.CallFromThread(count)
				}
			}
			count()
		})
		eventually(t, "all connections", func() bool { return made.Load() == n })
		l.do(func() {
			if most > acceptsPerTick {
				t.Errorf("%d accepts in a tick", most)
			}
		})
	})
}

// A panic in BuildProtocol or ConnectionMade costs that connection and neither the port nor a descriptor.
func TestPanicWhileAccepting(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		n := 0
		rec := newRecorder()
		rec.onMade = func() { panic("in ConnectionMade") }
		last := newRecorder()
		p := l.listen(func(netip.AddrPort) Protocol {
			switch n++; n {
			case 1:
				panic("in BuildProtocol")
			case 2:
				return rec
			}
			return last
		}, nil)
		for range 2 {
			conn, err := net.Dial("tcp", p.Addr().String())
			if err == nil { // else it was reset already
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset", err)
			}
		}
		if _, ok := rec.reason(l).(*PanicError); !ok {
			t.Error("not lost by the panic")
		}
		dial(t, p)
		receive(t, last.made, "the third connection")
		if len(l.reported()) != 2 {
			t.Errorf("reported %v", l.reported())
		}
	})
}

// A port closed inside another connection's callback hands over what is queued; nobody's bytes or panics go astray.
func TestStopListeningInCallback(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		n := 0
		var port *Port
		port = l.listen(func(netip.AddrPort) Protocol {
			n++
			rec := newRecorder()
			switch n {
			case 1:
				rec.onData = func([]byte) {
					rec.Write([]byte("mine "))
					port.StopListening()
					rec.Write([]byte("and mine"))
				}
			case 2:
				rec.onMade = func() { rec.Write([]byte("theirs")) }
			case 3:
				rec.onMade = func() { panic("a newcomer's") }
			}
			return rec
		}, nil)
		first := dial(t, port)
		eventually(t, "the first connection", func() (made bool) {
			l.do(func() { made = n == 1 })
			return made
		})
		var second, third *net.TCPConn
		l.do(func() { // the events are of one tick; epoll has them in this order
			send(t, first, "x")
			second, third = dial(t, port), dial(t, port)
		})
		if got := readN(t, first, 13); got != "mine and mine" {
			t.Errorf("the first got %q", got)
		}
		if got := readN(t, second, 6); got != "theirs" {
			t.Errorf("the second got %q", got)
		}
		if _, err := third.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the third got %v", err)
		}
		if len(l.reported()) != 1 {
			t.Errorf("reported %v", l.reported())
		}
	})
}

// A connection that is taken from the queue when a port stops may stop it too; then nobody asks the closed socket.
func TestStopListeningTwiceAtOnce(t *testing.T) {
	s := &faultySystem{}
	s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
		conn, remote, errno := s.kernel.Accept(fd)
		if errno == syscall.EBADF {
			t.Error("accept from a socket that is closed")
		}
		return conn, remote, errno
	}
	l := start(t, Config{System: s})
	var port *Port
	made := 0
	l.do(func() {
		var err error
		port, err = l.ListenTCP("127.0.0.1:0", FactoryFunc(func(netip.AddrPort) Protocol {
			rec := newRecorder()
			rec.onMade = func() { made++; port.StopListening() }
			return rec
		}), nil)
		if err != nil {
			t.Error(err)
			return
		}
		dial(t, port)
		dial(t, port)
		port.StopListening()
	})
	if made != 2 {
		t.Errorf("%d connections", made)
	}
}

// Accepted sockets do not wait for more to send.
func TestNoDelayIsInherited(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, nil)
	l.do(func() {
		v, err := unix.GetsockoptInt(rec.Transport.(*transport).FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if v == 0 || err != nil {
			t.Errorf("TCP_NODELAY is %d, %v", v, err)
		}
	})
}
