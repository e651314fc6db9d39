package reactor

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

// What goes wrong with datagrams, and what it costs.

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
