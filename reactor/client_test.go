package reactor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A clientFactory makes recorders and records failures.
type clientFactory struct {
	build  func(remote netip.AddrPort) Protocol // nil makes a new recorder
	failed chan error                           // capacity for more than one
	again  func(c *Connector, reason error)     // called by ConnectionFailed

	mu   sync.Mutex
	made []*recorder
}

func newClientFactory() *clientFactory { return &clientFactory{failed: make(chan error, 4)} }

func (f *clientFactory) BuildProtocol(remote netip.AddrPort) Protocol {
	if f.build != nil {
		return f.build(remote)
	}
	p := newRecorder()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = append(f.made, p)
	return p
}

func (f *clientFactory) ConnectionFailed(c *Connector, reason error) {
	f.failed <- reason
	if f.again != nil {
		f.again(c, reason)
	}
}

// connection waits for the n-th connection.
func (f *clientFactory) connection(t testing.TB, n int) *recorder {
	t.Helper()
	var p *recorder
	eventually(t, "BuildProtocol", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.made) <= n {
			return false
		}
		p = f.made[n]
		return true
	})
	receive(t, p.made, "ConnectionMade")
	return p
}

// connectTCP connects on the loop.
func (l *loop) connectTCP(addr string, f ClientFactory, o *ConnectOptions) *Connector {
	l.t.Helper()
	var c *Connector
	var err error
	l.do(func() { c, err = l.ConnectTCP(addr, f, o) })
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *loop) state(c *Connector) (s ConnectorState) {
	l.do(func() { s = c.State() })
	return s
}

// failure waits for ConnectionFailed and checks, with the loop, that it stays the only one and that nothing is left.
func (f *clientFactory) failure(l *loop) error {
	l.t.Helper()
	err := receive(l.t, f.failed, "ConnectionFailed")
	l.do(func() {})
	l.do(func() {
		if len(f.failed) > 0 {
			l.t.Errorf("ConnectionFailed twice: %v, then %v", err, <-f.failed)
		}
		if len(l.attempts) > 0 {
			l.t.Errorf("%d attempts are left", len(l.attempts))
		}
		if len(l.timers.heap) > 0 {
			l.t.Errorf("%d timers are left", len(l.timers.heap))
		}
	})
	return err
}

// nobody is an address of loopback where nobody listens.
func nobody(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) }) // bound until then, so that nobody else gets it
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return kernel{}.LocalAddr(fd)
}

// echoPort is a port that echoes.
func (l *loop) echoPort() *Port {
	l.t.Helper()
	return l.listen(func(netip.AddrPort) Protocol {
		p := newRecorder()
		p.onData = func(b []byte) { p.Write(b) }
		return p
	}, nil)
}

func TestConnectTCP(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		port := l.echoPort()
		f := newClientFactory()
		conn := l.connectTCP(port.Addr().String(), f, nil)
		p := f.connection(t, 0)
		if s := l.state(conn); s != Connected {
			t.Errorf("state %v", s)
		}
		long := strings.Repeat("0123456789", 100_000) // more than the sockets take
		l.do(func() {
			if p.Info().RemoteAddr() != port.Addr() {
				t.Errorf("RemoteAddr = %v, want %v", p.Info().RemoteAddr(), port.Addr())
			}
			p.Write([]byte(long))
		})
		eventually(t, "the echo", func() bool { return len(p.received()) == len(long) })
		if p.received() != long {
			t.Error("the echo differs")
		}
		l.do(func() {
			if err := conn.Connect(); err != ErrConnectorBusy {
				t.Errorf("Connect of one that is connected: %v", err)
			}
			conn.Cancel() // too late, and harmless
			p.LoseConnection()
		})
		if err := p.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		if s := l.state(conn); s != Disconnected {
			t.Errorf("state %v", s)
		}
		if len(f.failed) > 0 {
			t.Errorf("a connection that was made has failed: %v", <-f.failed)
		}
	})
}

// What ConnectionMade writes and asks for is done, though the poller watches for something else at that time.
func TestConnectThenWriteAtOnce(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		l := start(t, c)
		port := l.echoPort()
		f := newClientFactory()
		p := newRecorder()
		all := strings.Repeat("0123456789", 400_000) // more than the sockets take
		var echoed atomic.Int64
		p.onData = func(b []byte) { echoed.Add(int64(len(b))) }
		p.onMade = func() { p.PauseReading(); p.Write([]byte(all)) }
		f.build = func(netip.AddrPort) Protocol { return p }
		l.connectTCP(port.Addr().String(), f, nil)
		receive(t, p.made, "ConnectionMade")
		l.do(p.ResumeReading)
		eventually(t, "the echo", func() bool { return int(echoed.Load()) == len(all) })
		if p.received() != all {
			t.Error("the echo differs")
		}
	})
}

func TestConnectFailures(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name    string
		addr    string // empty: where nobody listens
		listens bool
		o       *ConnectOptions
		build   func(netip.AddrPort) Protocol
		want    error
	}{
		{name: "nobody listens", want: syscall.ECONNREFUSED},
		{name: "no port", addr: "127.0.0.1:no-such-service", want: ErrConnectFailed},
		{name: "no such host", addr: "somebody:1", o: &ConnectOptions{
			Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, boom },
		}, want: boom},
		{name: "a host without addresses", addr: "somebody:1", o: &ConnectOptions{
			Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
		}, want: ErrConnectFailed},
		{name: "the look-up panics", addr: "somebody:1", o: &ConnectOptions{
			Lookup: func(context.Context, string) ([]netip.Addr, error) { panic(boom) },
		}, want: ErrConnectFailed},
		{name: "from another family", o: &ConnectOptions{From: netip.MustParseAddrPort("[::1]:0")}, want: syscall.EADDRNOTAVAIL},
		{name: "from somebody else's address", o: &ConnectOptions{From: netip.MustParseAddrPort("192.0.2.1:0")}, want: syscall.EADDRNOTAVAIL},
		{name: "refused", listens: true, build: func(netip.AddrPort) Protocol { return nil }, want: ErrRefused},
		{name: "panic", listens: true, build: func(netip.AddrPort) Protocol { panic(boom) }, want: boom},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				l := start(t, c)
				addr := tc.addr
				switch {
				case tc.listens:
					addr = l.echoPort().Addr().String()
				case addr == "":
					addr = nobody(t).String()
				}
				f := newClientFactory()
				f.build = tc.build
				var state ConnectorState
				f.again = func(c *Connector, _ error) { state = c.State() }
				conn := l.connectTCP(addr, f, tc.o)
				err := f.failure(l)
				if !errors.Is(err, tc.want) {
					t.Errorf("failed with %v, want %v", err, tc.want)
				}
				if _, ok := tc.want.(syscall.Errno); ok && !errors.Is(err, ErrConnectFailed) {
					t.Errorf("%v is not ErrConnectFailed", err)
				}
				if tc.addr == "" && tc.want == syscall.ECONNREFUSED && !strings.Contains(err.Error(), addr) {
					t.Errorf("%q does not name %s", err, addr)
				}
				if state != Disconnected || conn.Target() != addr {
					t.Errorf("state %v, target %q", state, conn.Target())
				}
			})
		})
	}
}

func TestConnectErrors(t *testing.T) {
	l := start(t, Config{})
	l.do(func() {
		if _, err := l.ConnectTCP("no port", newClientFactory(), nil); err == nil {
			t.Error("an address without a port")
		}
	})
	l.stop()
	if _, err := l.ConnectTCP("127.0.0.1:1", newClientFactory(), nil); err != ErrStopped {
		t.Errorf("after the end: %v", err)
	}
}

// stuck is a System whose connections are neither made nor refused.
func stuck(t testing.TB) *faultySystem {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	return &faultySystem{connect: func(Address, netip.AddrPort) (int, syscall.Errno) {
		fd, err := unix.FcntlInt(out.Fd(), unix.F_DUPFD_CLOEXEC, 0) // never writable
		if err != nil {
			return -1, errnoOf(err)
		}
		return fd, syscall.EINPROGRESS
	}}
}

func TestConnectTimeout(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		c.System = stuck(t)
		l := start(t, c)
		f := newClientFactory()
		begun := time.Now()
		l.connectTCP("127.0.0.1:1", f, &ConnectOptions{Timeout: 20 * time.Millisecond})
		if err := f.failure(l); err != ErrTimeout {
			t.Errorf("failed with %v", err)
		}
		if d := time.Since(begun); d < 20*time.Millisecond {
			t.Errorf("after %v", d)
		}
	})
}

// The time runs while the name is looked up too, and the look-up is told that nobody waits for it any more.
func TestLookupTimeout(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(l *loop, c *Connector)
		want error
	}{
		{"timeout", func(*loop, *Connector) {}, ErrTimeout},
		{"cancel", func(l *loop, c *Connector) { l.do(c.Cancel) }, ErrCancelled},
		{"stop", func(l *loop, c *Connector) { l.stop() }, ErrShutdown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := start(t, Config{})
			f := newClientFactory()
			timeout := time.Hour
			if tc.want == ErrTimeout {
				timeout = 10 * time.Millisecond
			}
			begun := make(chan struct{})
			conn := l.connectTCP("somebody:1", f, &ConnectOptions{
				Timeout: timeout,
				Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
					close(begun)
					<-ctx.Done()
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil // nobody wants it now
				},
			})
			receive(t, begun, "the look-up")
			tc.end(l, conn)
			if err := receive(t, f.failed, "ConnectionFailed"); err != tc.want {
				t.Errorf("failed with %v, want %v", err, tc.want)
			}
			l.stop()
			if len(f.failed) > 0 || len(l.attempts) > 0 {
				t.Error("something is left")
			}
		})
	}
}

func TestConnectCancel(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		c.System = stuck(t)
		l := start(t, c)
		f := newClientFactory()
		conn := l.connectTCP("127.0.0.1:1", f, nil)
		if s := l.state(conn); s != Connecting {
			t.Errorf("state %v", s)
		}
		l.do(func() {
			if err := conn.Connect(); err != ErrConnectorBusy {
				t.Errorf("Connect of one that connects: %v", err)
			}
			conn.Cancel()
			conn.Cancel()
			if len(f.failed) > 0 {
				t.Error("ConnectionFailed from inside Cancel")
			}
		})
		if err := f.failure(l); err != ErrCancelled {
			t.Errorf("failed with %v", err)
		}
	})
}

// A reactor that stops tells those who are connecting, and nothing is left; also one that never ran.
func TestConnectShutdown(t *testing.T) {
	for _, run := range []bool{true, false} {
		eachPoller(t, func(t *testing.T, c Config) {
			c.System = stuck(t)
			l := prepare(t, c)
			f := newClientFactory()
			f.again = func(c *Connector, _ error) {
				if err := c.Connect(); err != ErrStopped {
					t.Errorf("Connect of a reactor that ends: %v", err)
				}
			}
			var conns [3]*Connector
			for i := range conns {
				var err error
				if conns[i], err = l.ConnectTCP("127.0.0.1:1", f, nil); err != nil {
					t.Fatal(err)
				}
			}
			conns[0].Cancel()
			if run {
				l.Stop() // before the first tick, which would tell the one that was cancelled
				l.start().stop()
			} else if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			var got []error
			for range conns {
				got = append(got, receive(t, f.failed, "ConnectionFailed"))
			}
			if n := len(slices.DeleteFunc(got, func(err error) bool { return err == ErrShutdown })); n != 1 || len(f.failed) > 0 {
				t.Errorf("%d of 3 failed with something else, %d more failures", n, len(f.failed))
			}
		})
	}
}

// A name with several addresses: each is tried, in turn, and the first that answers is taken; an address that is silent
// does not use up the time of the others.
func TestConnectTriesAddressesInTurn(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := stuck(t)
		silent := s.connect
		var tried []string // on the loop
		s.connect = func(to Address, from netip.AddrPort) (int, syscall.Errno) {
			ip := to.IP.Addr().String()
			tried = append(tried, ip)
			switch ip {
			case "192.0.2.1":
				return -1, syscall.ENETUNREACH
			case "192.0.2.2":
				return silent(to, from)
			}
			return s.kernel.Connect(to, from)
		}
		c.System = s
		l := start(t, c)
		port := l.echoPort()
		ips := []netip.Addr{
			netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
			netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("192.0.2.3"),
		}
		addr := net.JoinHostPort("somebody", strings.TrimPrefix(port.Addr().String(), "127.0.0.1:"))
		lookup := func(context.Context, string) ([]netip.Addr, error) { return ips, nil }

		f := newClientFactory()
		conn := l.connectTCP(addr, f, &ConnectOptions{Lookup: lookup})
		eventually(t, "the silent address", func() (yes bool) {
			l.do(func() { yes = len(tried) == 2 })
			return yes
		})
		l.do(func() {
			if left := time.Until(conn.attempt.timer.Time()); left > defaultConnectTimeout/2 || left < addressMin {
				t.Errorf("the second of four has %v", left)
			}
			if err := conn.attempt.timer.Reset(0); err != nil { // the time passes
				t.Error(err)
			}
		})
		p := f.connection(t, 0)
		l.do(func() {
			if want := []string{"192.0.2.1", "192.0.2.2", "127.0.0.1"}; !slices.Equal(tried, want) {
				t.Errorf("tried %v, want %v", tried, want)
			}
			p.LoseConnection()
		})
		p.reason(l)

		// All fail: each is named.
		ips = ips[:2]
		ips[1] = netip.MustParseAddr("192.0.2.1")
		l.do(func() {
			if err := conn.Connect(); err != nil {
				t.Error(err)
			}
		})
		if err := f.failure(l); !errors.Is(err, syscall.ENETUNREACH) || strings.Count(err.Error(), "192.0.2.1") != 2 {
			t.Errorf("failed with %v", err)
		}
	})
}

// What an address that fails early has not used of its time the last one has.
func TestConnectLastAddressHasTheRest(t *testing.T) {
	s := stuck(t)
	silent, refuses := s.connect, Address{IP: nobody(t)}
	s.connect = func(to Address, from netip.AddrPort) (int, syscall.Errno) {
		if to.IP.Addr().String() == "192.0.2.2" {
			return silent(to, from)
		}
		return s.kernel.Connect(refuses, from)
	}
	l := start(t, Config{System: s})
	f := newClientFactory()
	conn := l.connectTCP("somebody:1", f, &ConnectOptions{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, nil
		},
	})
	eventually(t, "the last address", func() (yes bool) {
		l.do(func() { yes = conn.attempt != nil && conn.attempt.to.IP.Addr().String() == "192.0.2.2" })
		return yes
	})
	l.do(func() {
		if left := time.Until(conn.attempt.timer.Time()); left < defaultConnectTimeout*9/10 {
			t.Errorf("the last address has %v", left)
		}
		conn.Cancel()
	})
	f.failure(l)
}
