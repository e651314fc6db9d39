package reactor

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
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

func TestUDPTellsErrors(t *testing.T) {
	l := start(t, Config{})
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	d := newDatagramRecorder()
	p := l.listenUDP("127.0.0.1:0", d, nil)
	l.do(func() {
		p.WriteTo(make([]byte, largestDatagram+1), nobody)
		if err := p.Connect(nobody); err != nil {
			t.Error(err)
		}
		p.Write([]byte("hello?"))
	})
	if err := receive(t, d.errs, "an error"); err != syscall.EMSGSIZE {
		t.Errorf("too long: told %v", err)
	}
	if err := receive(t, d.errs, "an error"); err != syscall.ECONNREFUSED {
		t.Errorf("nobody there: told %v", err)
	}
	if _, err := l.ListenUDP("127.0.0.1:http:x", d, nil); err == nil {
		t.Error("a bad address was taken")
	}
	l.do(func() {
		_, err = l.ListenUDP(p.Addr().String(), d, nil)
	})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the second bind: %v", err)
	}
}

// An address that the kernel does not take costs the datagrams to it, whoever has asked for them.
func TestUDPBadAddress(t *testing.T) {
	l := start(t, Config{})
	d, echo := newDatagramRecorder(), newDatagramRecorder()
	p, to := l.listenUDP("127.0.0.1:0", d, nil), l.listenUDP("127.0.0.1:0", echo, nil).Addr()
	bad := []string{"127.0.0.1:0", "240.0.0.1:9", "192.0.2.1:9", "255.255.255.255:9"}
	l.do(func() {
		for _, addr := range bad {
			p.WriteTo([]byte("bad"), netip.MustParseAddrPort(addr))
		}
		p.WriteTo([]byte("good"), to)
	})
	if got := receive(t, echo.got, "the good datagram"); got != "good" {
		t.Errorf("got %q", got)
	}
	l.do(func() {
		if s := p.Stats(); s.Failed != 4 || s.Sent != 1 || len(d.errs) != 4 || len(d.stopped) != 0 {
			t.Errorf("%+v, %d errors, stopped %d times", s, len(d.errs), len(d.stopped))
		}
	})
}

// However a port comes to its end, it is told so once, and leaves the loop.
func TestUDPStopsOnce(t *testing.T) {
	always := func(errno syscall.Errno) func(int, []Datagram) (int, syscall.Errno) {
		return func(int, []Datagram) (int, syscall.Errno) { return 0, errno }
	}
	for _, tc := range []struct {
		name string
		send func(int, []Datagram) (int, syscall.Errno)
		act  func(d *datagramRecorder, to netip.AddrPort)
		want error
	}{
		{"StopListening that sends to a bad address", always(syscall.EPERM), func(d *datagramRecorder, to netip.AddrPort) {
			d.port.Write([]byte("x"))
			d.port.StopListening()
		}, ErrConnectionDone},
		{"a bad address, and then the socket is full", func() func(int, []Datagram) (int, syscall.Errno) {
			calls := 0
			return func(int, []Datagram) (int, syscall.Errno) {
				if calls++; calls == 1 {
					return 0, syscall.EPERM
				}
				return 0, syscall.EAGAIN
			}
		}(), func(d *datagramRecorder, to netip.AddrPort) {
			d.port.Write([]byte("x"))
			d.port.Write([]byte("y"))
		}, ErrConnectionDone},
		{"Stop, and then the socket is full", always(syscall.EAGAIN), func(d *datagramRecorder, to netip.AddrPort) {
			r := d.port.Reactor()
			r.Stop()
			r.CallFromThread(func() { r.CallFromThread(func() { d.port.Write([]byte("x")) }) }) // when all is being ended
		}, ErrShutdown},
		{"broken", always(syscall.EBADF), func(d *datagramRecorder, to netip.AddrPort) {
			d.port.Write([]byte("x"))
		}, syscall.EBADF},
		{"broken in WriteTo", always(syscall.EBADF), func(d *datagramRecorder, to netip.AddrPort) {
			for range 2 * sendsPerCall {
				d.port.Write([]byte("x"))
			}
		}, syscall.EBADF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := start(t, Config{System: &faultySystem{send: tc.send}})
			d := newDatagramRecorder()
			d.onError = func() { d.port.StopListening() }
			p := l.listenUDP("127.0.0.1:0", d, nil)
			l.do(func() { tc.act(d, p.Addr()) })
			if err := receive(t, d.stopped, "StopProtocol"); !errors.Is(err, tc.want) {
				t.Errorf("stopped for %v", err)
			}
			l.CallFromThread(func() {
				if n := len(l.Readers()) + len(l.Writers()); n != 0 {
					t.Errorf("%d descriptors are watched", n)
				}
			})
			l.stop()
			if len(d.stopped) != 0 {
				t.Error("StopProtocol was called twice")
			}
		})
	}
}

// Who sends again at once what has failed, and more, does not hold the loop up.
func TestUDPSendsAgainInErrorReceived(t *testing.T) {
	l := start(t, Config{System: &faultySystem{send: func(int, []Datagram) (int, syscall.Errno) { return 0, syscall.ENETUNREACH }}})
	d := newDatagramRecorder()
	rounds, ending := 0, false // on the loop
	d.onError = func() {
		<-d.errs
		if rounds++; !ending {
			d.port.Write([]byte("again"))
			d.port.Write([]byte("and again"))
		}
	}
	p := l.listenUDP("127.0.0.1:0", d, nil)
	l.do(func() { p.Write([]byte("x")) })
	eventually(t, "a queue that is full", func() (yes bool) {
		l.do(func() { yes = p.Stats().Dropped > 0 && rounds > sendsPerCall })
		return yes
	})
	l.do(func() { ending = true })
	l.do(func() {
		if len(p.queue) != 0 {
			t.Errorf("%d datagrams wait", len(p.queue))
		}
	})
}

// A datagram's panic costs that datagram, and the others of its batch arrive.
func TestUDPPanicCostsOneDatagram(t *testing.T) {
	l := start(t, Config{})
	d := newDatagramRecorder()
	d.onData = func(p []byte, _ netip.AddrPort) {
		if string(p) == "bad" {
			panic("bad datagram")
		}
	}
	peer := talk(t, l.listenUDP("127.0.0.1:0", d, nil))
	for _, s := range []string{"a", "bad", "b"} {
		send(t, peer, s)
	}
	for _, want := range []string{"a", "bad", "b"} {
		if got := receive(t, d.got, "a datagram"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	l.do(func() {})
	if r := l.reported(); len(r) != 1 || !strings.Contains(r[0].Error(), "bad datagram") {
		t.Errorf("reported %v", r)
	}
	l.stop()
	if reason := receive(t, d.stopped, "StopProtocol"); reason != ErrShutdown {
		t.Errorf("stopped for %v", reason)
	}
}

// Nor does a panic of ErrorReceived cost whoever writes.
func TestUDPPanicInErrorReceived(t *testing.T) {
	l := start(t, Config{})
	d := newDatagramRecorder()
	d.onError = func() { panic("bad error") }
	p := l.listenUDP("127.0.0.1:0", d, nil)
	_, rec := l.connect(nil, func(rec *recorder) {
		rec.onMade = func() { p.WriteTo(make([]byte, largestDatagram+1), p.Addr()) }
	})
	l.do(func() {
		if r := l.reported(); len(r) != 1 || !strings.Contains(r[0].Error(), "bad error") {
			t.Errorf("reported %v", r)
		}
		if len(rec.lost) > 0 {
			t.Errorf("the writer was lost with %v", <-rec.lost)
		}
	})
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

// Two members of a group both receive what is sent to it, until one leaves.
func TestMulticast(t *testing.T) {
	for _, family := range []struct {
		bind, group, iface string
		routed             bool // loopback carries groups of IPv4 only: for IPv6 the kernel's word is all there is
	}{
		{"0.0.0.0:0", "239.255.77.1", "lo", true},
		{"[::]:0", "ff11::77:1", "lo", false},
	} {
		l := start(t, Config{})
		a, b := newDatagramRecorder(), newDatagramRecorder()
		pa := l.listenUDP(family.bind, a, &UDPOptions{Shared: true})
		bind := netip.AddrPortFrom(pa.Addr().Addr(), pa.Addr().Port()).String()
		pb := l.listenUDP(bind, b, &UDPOptions{Shared: true})
		group := netip.MustParseAddr(family.group)
		to := netip.AddrPortFrom(group, pa.Addr().Port())
		var errs []error
		l.do(func() {
			errs = []error{
				pa.JoinGroup(group, family.iface), pb.JoinGroup(group, family.iface),
				pa.SetMulticastInterface(family.iface), pa.SetMulticastTTL(1), pa.SetMulticastLoopback(true),
			}
			if family.routed {
				pa.WriteTo([]byte("one"), to)
			}
		})
		if err := errors.Join(errs...); err != nil {
			t.Skipf("no multicast on %s here: %v", family.iface, err)
		}
		if !family.routed {
			l.do(func() { errs = []error{pa.JoinGroup(group, family.iface), pa.LeaveGroup(group, family.iface)} })
			if !errors.Is(errs[0], syscall.EADDRINUSE) || errs[1] != nil {
				t.Errorf("joined twice: %v; left: %v", errs[0], errs[1])
			}
			continue
		}
		for _, d := range []*datagramRecorder{a, b} {
			if got := receive(t, d.got, "a datagram of the group"); got != "one" {
				t.Errorf("got %q", got)
			}
		}
		l.do(func() {
			if err := pa.JoinGroup(group, family.iface); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("joined twice: %v", err)
			}
			errs = []error{pb.LeaveGroup(group, family.iface)}
			pa.WriteTo([]byte("two"), to)
			errs = append(errs, pa.JoinGroup(group, "no such interface"), pa.SetMulticastTTL(256))
		})
		if got := receive(t, a.got, "a datagram of the group"); got != "two" {
			t.Errorf("got %q", got)
		}
		l.do(func() { // the loopback device brings everything back, so the option is all that can be seen
			errs = append(errs, pa.SetMulticastLoopback(false))
			if on, err := unix.GetsockoptInt(pa.FD(), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP); on != 0 || err != nil {
				t.Errorf("loopback is %d, %v", on, err)
			}
			if len(b.got) != 0 {
				t.Error("a datagram came after LeaveGroup")
			}
		})
		if errs[0] != nil || errs[1] == nil || errs[2] == nil || errs[3] != nil {
			t.Errorf("errors: %v", errs)
		}
		l.stop()
	}
}

// What is said of groups holds for both families when the port is of both.
func TestMulticastOfBothFamilies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere IPv6 sockets may not have options of IPv4")
	}
	l := start(t, Config{})
	p := l.listenUDP(":0", newDatagramRecorder(), nil)
	if !p.Addr().Addr().Is6() {
		t.Skip("no IPv6 here")
	}
	l.do(func() {
		if err := errors.Join(p.SetMulticastTTL(7), p.SetMulticastLoopback(false)); err != nil {
			t.Error(err)
		}
		for _, o := range []struct{ level, name, want int }{
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 7},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 7},
			{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		} {
			if got, err := unix.GetsockoptInt(p.FD(), o.level, o.name); got != o.want || err != nil {
				t.Errorf("option %d of %d is %d, %v", o.name, o.level, got, err)
			}
		}
	})
}
