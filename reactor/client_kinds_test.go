package reactor

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A factory reconnects: from ConnectionFailed, and when the connection is lost.
func TestReconnect(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		port := l.listen(func(netip.AddrPort) Protocol {
			p := newRecorder()
			p.onMade = func() { p.LoseConnection() }
			return p
		}, nil)
		f := newClientFactory()
		const rounds = 20
		var conn *Connector
		n := 0
		lost := make(chan struct{})
		f.build = func(netip.AddrPort) Protocol {
			p := newRecorder()
			p.onLost = func(error) {
				if conn.State() != Disconnected {
					t.Errorf("state %v in ConnectionLost", conn.State())
				}
				if n++; n == rounds {
					close(lost)
				} else if err := conn.Connect(); err != nil {
					t.Error(err)
				}
			}
			return p
		}
		l.do(func() {
			var err error
			if conn, err = l.ConnectTCP(port.Addr().String(), f, nil); err != nil {
				t.Error(err)
			}
		})
		receive(t, lost, "the last connection to be lost")

		g := newClientFactory()
		g.failed = make(chan error, rounds+1)
		n = 0
		g.again = func(c *Connector, reason error) {
			if n++; n < rounds {
				if err := c.Connect(); err != nil {
					t.Error(err)
				}
			}
		}
		l.connectTCP(nobody(t).String(), g, nil)
		for range rounds {
			if err := receive(t, g.failed, "ConnectionFailed"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("failed with %v", err)
			}
		}
	})
}

// The kernel may choose, as our own port, the very port that nobody listens on. That is no connection.
func TestConnectToOneself(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	port := l.echoPort()
	s.localAddr = func(int) netip.AddrPort { return port.Addr() }
	f := newClientFactory()
	l.connectTCP(port.Addr().String(), f, nil)
	if err := f.failure(l); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("failed with %v", err)
	}
}

func TestConnectFrom(t *testing.T) {
	l := start(t, Config{})
	port := l.echoPort()
	f := newClientFactory()
	l.connectTCP(port.Addr().String(), f, &ConnectOptions{From: netip.MustParseAddrPort("127.0.0.9:0")})
	p := f.connection(t, 0)
	l.do(func() {
		if got := p.Info().LocalAddr().Addr().String(); got != "127.0.0.9" {
			t.Errorf("connected from %s", got)
		}
	})
}

// An empty host and a name reach this machine, the name by way of the resolver.
func TestConnectHosts(t *testing.T) {
	l := start(t, Config{})
	port := l.echoPort()
	for i, host := range []string{"", "localhost", "127.0.0.1", "::ffff:127.0.0.1"} {
		f := newClientFactory()
		l.connectTCP(net.JoinHostPort(host, netPort(port)), f, nil)
		p := f.connection(t, 0)
		l.do(p.LoseConnection)
		if err := p.reason(l); err != ErrConnectionDone {
			t.Errorf("%d: %q: %v", i, host, err)
		}
	}
}

// A literal address is not looked up, though its port may be.
func TestConnectLiteralToService(t *testing.T) {
	s := &faultySystem{connect: func(to Address, _ netip.AddrPort) (int, syscall.Errno) { return -1, syscall.ENETUNREACH }}
	l := start(t, Config{System: s})
	for _, tc := range []struct{ addr, want string }{
		{"192.0.2.1:http", "192.0.2.1:80"},
		{"[::ffff:192.0.2.1]:http", "192.0.2.1:80"},
		{"[2001:db8::1]:http", "[2001:db8::1]:80"},
		{":http", "127.0.0.1:80"},
	} {
		f := newClientFactory()
		l.connectTCP(tc.addr, f, &ConnectOptions{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, errors.New("asked for " + host)
		}})
		if err := f.failure(l); !errors.Is(err, syscall.ENETUNREACH) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.addr, err)
		}
	}
}

// An end of our own may be given as package net has it, IPv4 in IPv6.
func TestConnectFromMapped(t *testing.T) {
	l := start(t, Config{})
	port := l.echoPort()
	f := newClientFactory()
	from := (&net.TCPAddr{IP: net.ParseIP("127.0.0.9")}).AddrPort()
	l.connectTCP(port.Addr().String(), f, &ConnectOptions{From: from})
	p := f.connection(t, 0)
	l.do(func() {
		if got := p.Info().LocalAddr().Addr().String(); got != "127.0.0.9" {
			t.Errorf("connected from %s", got)
		}
	})
}

func netPort(p *Port) string {
	_, port, _ := net.SplitHostPort(p.Addr().String())
	return port
}

// The options reach the sockets of both ends.
func TestTCPOptions(t *testing.T) {
	l := start(t, Config{})
	options := func(p *recorder) (nagle bool, keepAlive [4]int) {
		l.do(func() {
			fd := p.Transport.(*transport).FD()
			get := func(level, name int) int {
				n, err := unix.GetsockoptInt(fd, level, name)
				if err != nil {
					t.Error(err)
				}
				return n
			}
			nagle = get(unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0
			if keepAlive[0] = get(unix.SOL_SOCKET, unix.SO_KEEPALIVE); keepAlive[0] == 0 {
				return
			}
			keepAlive[0] = 1
			for i, name := range keepAliveTimes {
				keepAlive[i+1] = get(unix.IPPROTO_TCP, name)
			}
		})
		return nagle, keepAlive
	}
	for _, tc := range []struct {
		o         TransportOptions
		nagle     bool
		keepAlive [4]int
	}{
		{TransportOptions{}, false, [4]int{1, 60, 15, 4}},
		{TransportOptions{Nagle: true}, true, [4]int{1, 60, 15, 4}},
		{TransportOptions{KeepAlive: -1}, false, [4]int{}},
		{
			TransportOptions{KeepAlive: 90 * time.Second, KeepAliveInterval: 1500 * time.Millisecond, KeepAliveCount: 9},
			false,
			[4]int{1, 90, 2, 9},
		},
		{ // more than systems take is the most
			TransportOptions{KeepAlive: math.MaxInt64, KeepAliveInterval: 24 * time.Hour, KeepAliveCount: math.MaxInt},
			false,
			[4]int{1, 32767, 32767, 127},
		},
	} {
		server := newRecorder()
		port := l.listen(server.factory, &TCPOptions{TransportOptions: tc.o})
		f := newClientFactory()
		l.connectTCP(port.Addr().String(), f, &ConnectOptions{TransportOptions: tc.o})
		client := f.connection(t, 0)
		receive(t, server.made, "ConnectionMade")
		for name, p := range map[string]*recorder{"server": server, "client": client} {
			if nagle, keepAlive := options(p); nagle != tc.nagle || keepAlive != tc.keepAlive {
				t.Errorf("%+v: %s has Nagle %v, keep-alive %v", tc.o, name, nagle, keepAlive)
			}
		}
	}
}

func TestConnectUnix(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		path := filepath.Join(t.TempDir(), "s")
		l := start(t, c)
		connect := func(f ClientFactory, o *ConnectOptions) (conn *Connector) {
			l.do(func() {
				var err error
				if conn, err = l.ConnectUnix(path, f, o); err != nil {
					t.Error(err)
				}
			})
			return conn
		}
		f := newClientFactory()
		connect(f, nil)
		if err := f.failure(l); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), path) {
			t.Errorf("failed with %v", err)
		}
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		conn := connect(f, nil)
		p := f.connection(t, 0)
		peer, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		l.do(func() {
			if p.Info().RemoteAddr().IsValid() || p.Info().LocalAddr().IsValid() || conn.Target() != path {
				t.Errorf("addresses %v, %v, target %q", p.Info().RemoteAddr(), p.Info().LocalAddr(), conn.Target())
			}
			p.Write([]byte("hello"))
		})
		if got := readN(t, peer, 5); got != "hello" {
			t.Errorf("peer got %q", got)
		}
	})
}

// A Unix socket whose backlog is full is tried again, in time.
func TestConnectUnixBacklogFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := &faultySystem{}
	times := 0
	s.connect = func(to Address, from netip.AddrPort) (int, syscall.Errno) {
		if times++; times < 3 {
			return -1, syscall.EAGAIN
		}
		return s.kernel.Connect(to, from)
	}
	l := start(t, Config{System: s})
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := newClientFactory()
	l.do(func() { _, err = l.ConnectUnix(path, f, nil) })
	if err != nil {
		t.Fatal(err)
	}
	p := f.connection(t, 0)
	l.do(p.LoseConnection)
	p.reason(l)
	l.do(func() {
		times = -1 << 30
		_, err = l.ConnectUnix(path, f, &ConnectOptions{Timeout: 2 * backlogRetry})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.failure(l); err != ErrTimeout {
		t.Errorf("failed with %v", err)
	}
}
