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

// When descriptors run out newcomers are turned away, the server says so once, and it goes on when there are some again.
func TestOutOfDescriptors(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		p := l.listen(func(netip.AddrPort) Protocol {
			rec := newRecorder()
			rec.onData = func(b []byte) { rec.Write(b) }
			return rec
		}, nil)
		connected := dial(t, p)
		send(t, connected, "before")
		readN(t, connected, 6)

		// Newcomers' own descriptors are taken first; then there are no more.
		const n = 10
		var fds [n]int
		for i := range fds {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			fds[i] = fd
		}
		restore := exhaust(t)
		defer restore()
		to, _ := sockaddr(p.Addr())
		for _, fd := range fds {
			if err := unix.Connect(fd, to); err != nil {
				t.Fatal(err)
			}
		}
		for _, fd := range fds {
			if n, err := unix.Read(fd, make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("a newcomer reads %d, %v; want the end", n, err)
			}
		}
		send(t, connected, "during")
		readN(t, connected, 6)
		if got := l.reported(); len(got) != 1 || !errors.Is(got[0], syscall.EMFILE) {
			t.Errorf("reported %v, want EMFILE once", got)
		}
		restore()
		after := dial(t, p)
		send(t, after, "after")
		readN(t, after, 5)
	})
}

// exhaust lowers the limit so that no descriptor can be opened, until the function that it returns is called.
func exhaust(t *testing.T) (restore func()) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(0) // the lowest free number, and all below are taken
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	low := old
	set(&low.Cur, fd)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// set assigns to a number whose type is not the same everywhere.
func set[T int64 | uint64](to *T, n int) { *to = T(n) }

// When there is not even a reserve, or no memory, the port rests instead of spinning, and comes back.
func TestExhaustedPortRests(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		t.Run(errno.Error(), func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				s := &faultySystem{}
				var exhausted atomic.Bool
				var accepts atomic.Int64
				exhausted.Store(true)
				s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
					accepts.Add(1)
					if exhausted.Load() {
						return -1, netip.AddrPort{}, errno
					}
					return s.kernel.Accept(fd)
				}
				c.System = s
				l := start(t, c)
				rec := newRecorder()
				p := l.listen(rec.factory, nil)
				dial(t, p)
				eventually(t, "the port to rest", func() (resting bool) {
					l.do(func() { resting = len(l.Readers()) == 0 })
					return resting
				})
				if n := accepts.Load(); n > 2 {
					t.Errorf("%d accepts before it rested", n)
				}
				exhausted.Store(false)
				receive(t, rec.made, "ConnectionMade after the rest")
			})
		})
	}
}

// Whoever is told that descriptors have run out may close the port, whose number is somebody else's then.
func TestStopListeningWhenTold(t *testing.T) {
	s := &faultySystem{}
	var p *Port
	late := 0 // on the loop
	s.accept = func(int) (int, netip.AddrPort, syscall.Errno) {
		if p.closed {
			late++
		}
		return -1, netip.AddrPort{}, syscall.EMFILE
	}
	reported := make(chan error, 4)
	l := start(t, Config{System: s, ReportError: func(err error) {
		p.StopListening()
		reported <- err
	}})
	l.do(func() {
		var err error
		if p, err = l.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), nil); err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := receive(t, reported, "the report"); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("reported %v", err)
	}
	l.do(func() {
		if late > 0 || len(l.DelayedCalls()) > 0 {
			t.Errorf("%d accepts and %d timers of a port that is closed", late, len(l.DelayedCalls()))
		}
	})
}

// Trouble of one newcomer is no trouble of the port.
func TestAcceptGoesOn(t *testing.T) {
	errnos := []syscall.Errno{
		syscall.ECONNABORTED, syscall.EPERM, syscall.EINTR, syscall.EPROTO, syscall.ENETDOWN, syscall.EHOSTUNREACH,
	}
	s := &faultySystem{}
	s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
		if len(errnos) > 0 {
			errno := errnos[0]
			errnos = errnos[1:]
			return -1, netip.AddrPort{}, errno
		}
		return s.kernel.Accept(fd)
	}
	l := start(t, Config{System: s})
	rec := newRecorder()
	dial(t, l.listen(rec.factory, nil))
	receive(t, rec.made, "ConnectionMade")
	if len(l.reported()) != 0 {
		t.Errorf("reported %v", l.reported())
	}
}

// A port that is broken for good is closed and reported, and does not spin.
func TestBrokenPort(t *testing.T) {
	s := &faultySystem{accept: func(int) (int, netip.AddrPort, syscall.Errno) { return -1, netip.AddrPort{}, syscall.EBADF }}
	l := start(t, Config{System: s})
	if conn, err := net.Dial("tcp", l.listen(newRecorder().factory, nil).Addr().String()); err == nil { // else it is closed already
		defer conn.Close()
	}
	eventually(t, "the report", func() bool { return len(l.reported()) == 1 })
	if n := countPorts(l); n != 0 {
		t.Errorf("%d ports are left", n)
	}
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
