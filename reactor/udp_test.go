package reactor

import (
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A datagramRecorder is a DatagramProtocol that keeps account of what it is told.
type datagramRecorder struct {
	port    *UDPPort
	got     chan string // each datagram
	errs    chan error  // what ErrorReceived was told
	stopped chan error  // capacity for more than one, so that a second is seen
	onData  func(p []byte, from netip.AddrPort)
	onError func()
}

func newDatagramRecorder() *datagramRecorder {
	return &datagramRecorder{got: make(chan string, 1000), errs: make(chan error, 100), stopped: make(chan error, 4)}
}

func (d *datagramRecorder) StartProtocol(p *UDPPort) { d.port = p }

func (d *datagramRecorder) DatagramReceived(p []byte, from netip.AddrPort) {
	d.got <- string(p)
	if d.onData != nil {
		d.onData(p, from)
	}
}

func (d *datagramRecorder) ErrorReceived(_ netip.AddrPort, err error) {
	d.errs <- err
	if d.onError != nil {
		d.onError()
	}
}

func (d *datagramRecorder) StopProtocol(reason error) { d.stopped <- reason }

// listenUDP binds a port of loopback.
func (l *loop) listenUDP(addr string, d DatagramProtocol, o *UDPOptions) *UDPPort {
	l.t.Helper()
	var p *UDPPort
	var err error
	l.do(func() { p, err = l.ListenUDP(addr, d, o) })
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// talk makes a socket of package net that is connected to p.
func talk(t *testing.T, p *UDPPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUDPEchoesInBatches(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
			l := start(t, c)
			d := newDatagramRecorder()
			d.onData = func(p []byte, from netip.AddrPort) { d.port.WriteTo(p, from) }
			p := l.listenUDP(addr, d, nil)
			to := p.Addr()
			if addr == ":0" { // both families
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
			}
			peer, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range 150 { // more than a batch, and an empty one
				want = append(want, strings.Repeat("x", i))
				send(t, peer, want[i])
			}
			buf := make([]byte, 200)
			for i := range want {
				n, err := peer.Read(buf)
				if err != nil || string(buf[:n]) != want[i] {
					t.Fatalf("%s: echo %d is %q, %v", addr, i, buf[:n], err)
				}
			}
			peer.Close()
			l.do(func() {
				if s := p.Stats(); s.Received != 150 || s.Sent != 150 || s.Dropped+s.Failed+s.Truncated != 0 {
					t.Errorf("%s: %+v", addr, s)
				}
				p.StopListening()
				p.StopListening()
				p.WriteTo([]byte("too late"), to)
			})
			if reason := receive(t, d.stopped, "StopProtocol"); reason != ErrConnectionDone {
				t.Errorf("stopped for %v", reason)
			}
			l.stop()
			if len(d.stopped) != 0 {
				t.Error("StopProtocol was called twice")
			}
		}
	})
}

func TestUDPDropsWhatIsTruncated(t *testing.T) {
	l := start(t, Config{})
	d := newDatagramRecorder()
	p := l.listenUDP("127.0.0.1:0", d, &UDPOptions{MaxDatagram: 10})
	peer := talk(t, p)
	send(t, peer, "01234567890")
	send(t, peer, "0123456789")
	if got := receive(t, d.got, "a datagram"); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	if err := receive(t, d.errs, "an error"); err != ErrTruncated {
		t.Errorf("told %v", err)
	}
}

// A socket that takes nothing leaves no more queued than SendBuffer, and what waited goes out in order when it does.
func TestUDPQueueIsBounded(t *testing.T) {
	s := &fullSystem{}
	l := start(t, Config{System: s})
	d := newDatagramRecorder()
	p := l.listenUDP("127.0.0.1:0", d, &UDPOptions{SendBuffer: 1000})
	echo := newDatagramRecorder()
	to := l.listenUDP("127.0.0.1:0", echo, nil).Addr()
	l.do(func() {
		s.full = true
		for i := range 100 {
			p.WriteTo([]byte{byte(i)}, to)
			p.WriteTo(nil, to)
		}
	})
	l.do(func() {
		stats, n := p.Stats(), len(p.queue)
		if n == 0 || n*datagramOverhead+len(p.out) > 1000 || stats.Dropped != uint64(200-n) {
			t.Errorf("%d wait, of %d bytes: %+v", n, len(p.out), stats)
		}
		s.full = false
	})
	for i := range 3 {
		if got := receive(t, echo.got, "a datagram"); got != string([]byte{byte(i)}) {
			t.Errorf("datagram %d is %q", i, got)
		}
		if got := receive(t, echo.got, "a datagram"); got != "" {
			t.Errorf("an empty datagram is %q", got)
		}
	}
}

// A fullSystem is the kernel with UDP sockets that can be full. Only the loop sets it.
type fullSystem struct {
	kernel
	full bool
}

func (s *fullSystem) Send(fd int, batch []Datagram) (int, syscall.Errno) {
	if s.full {
		return 0, syscall.EAGAIN
	}
	return s.kernel.Send(fd, batch)
}

// Batches cost no allocation once their buffers have grown.
func TestUDPAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's path allocates")
	}
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e := &udpEcho{}
	if _, err := r.ListenUDP("127.0.0.1:0", e, nil); err != nil {
		t.Fatal(err)
	}
	peer := talk(t, e.p)
	msg, buf := []byte("hello"), make([]byte, 10)
	turn := func() {
		for range 3 {
			if _, err := peer.Write(msg); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.tick(never); err != nil {
			t.Fatal(err)
		}
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for range 3 {
		if _, err := peer.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
}

type udpEcho struct{ p *UDPPort }

func (e *udpEcho) StartProtocol(p *UDPPort)                       { e.p = p }
func (e *udpEcho) DatagramReceived(p []byte, from netip.AddrPort) { e.p.WriteTo(p, from) }
func (e *udpEcho) StopProtocol(error)                             {}

// An IPv4 address may come in IPv6, as package net has it.
func TestUDPMappedAddresses(t *testing.T) {
	l := start(t, Config{})
	for _, bind := range []string{"127.0.0.1:0", ":0"} {
		d, echo := newDatagramRecorder(), newDatagramRecorder()
		p, to := l.listenUDP(bind, d, nil), l.listenUDP("127.0.0.1:0", echo, nil).Addr()
		mapped := netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
		var joined, connected error
		l.do(func() {
			p.WriteTo([]byte("to"), mapped)
			if _, err := net.InterfaceByName("lo"); err == nil {
				joined = p.JoinGroup(netip.MustParseAddr("::ffff:239.255.77.2"), "lo")
			}
			connected = p.Connect(mapped)
			p.Write([]byte("connected"))
			p.WriteTo([]byte("both"), mapped)
		})
		for _, want := range []string{"to", "connected", "both"} {
			if len(d.errs) > 0 {
				t.Fatalf("%s: told %v", bind, <-d.errs)
			}
			if got := receive(t, echo.got, "a datagram"); got != want {
				t.Errorf("%s: got %q, want %q", bind, got, want)
			}
		}
		if joined != nil || connected != nil {
			t.Errorf("%s: JoinGroup %v, Connect %v", bind, joined, connected)
		}
	}
}

// Addr may be asked from anywhere, also while the port is connected.
func TestUDPAddrFromAnywhere(t *testing.T) {
	l := start(t, Config{})
	p := l.listenUDP("0.0.0.0:0", newDatagramRecorder(), nil)
	to := l.listenUDP("127.0.0.1:0", newDatagramRecorder(), nil).Addr()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for !p.Addr().Addr().IsLoopback() {
			runtime.Gosched()
		}
	}()
	l.do(func() {
		if err := p.Connect(to); err != nil {
			t.Error(err)
		}
	})
	receive(t, asked, "the address")
}
