package reactortest

import (
	"net/netip"
	"testing"
	"time"

	"microhttp/reactor"
)

var datagrams = []promise{
	scripted("ThereAndBack", func(s *script) {
		a, b := s.listenUDP(nil), s.listenUDP(nil)
		b.onData = func(p []byte, from netip.AddrPort) {
			if from != a.port.Addr() {
				s.Errorf("from %v, not from %v", from, a.port.Addr())
			}
			b.port.WriteTo(p, from)
		}
		for _, want := range []string{"hello", "", string(pattern(4000))} {
			a.asks(want, b.port.Addr(), func() bool { return len(a.got) > 0 })
			if a.got[0] != want {
				s.Errorf("%d bytes came back as %d", len(want), len(a.got[0]))
			}
			s.pass(20 * time.Millisecond) // what was repeated comes too
			a.got = nil
		}
	}),
	scripted("OneThatIsTooLongIsDropped", func(s *script) {
		a, b := s.listenUDP(nil), s.listenUDP(&reactor.UDPOptions{MaxDatagram: 100})
		a.asks(string(pattern(101)), b.port.Addr(), func() bool { return len(b.errs) > 0 })
		if b.errs[0] != reactor.ErrTruncated || len(b.got) > 0 {
			s.Errorf("told %v, got %q", b.errs[0], b.got)
		}
		a.asks(string(pattern(100)), b.port.Addr(), func() bool { return len(b.got) > 0 })
	}),
	scripted("AConnectedPortHearsItsPeerOnly", func(s *script) {
		a, peer, other := s.listenUDP(nil), s.listenUDP(nil), s.listenUDP(nil)
		if err := a.port.Connect(peer.port.Addr()); err != nil {
			s.Fatal(err)
		}
		other.port.WriteTo([]byte("from another"), a.port.Addr())
		peer.asks("hello", a.port.Addr(), func() bool { return len(a.got) > 0 })
		for _, got := range a.got {
			if got != "hello" {
				s.Errorf("got %q", got)
			}
		}
	}),
	scripted("StoppedOnceAndLast", func(s *script) {
		a, b := s.listenUDP(nil), s.listenUDP(nil)
		a.port.StopListening()
		a.port.StopListening()
		if a.stops > 0 {
			s.Error("told inside the call")
		}
		s.until("StopProtocol", func() bool { return a.stops > 0 })
		if a.reason != reactor.ErrConnectionDone {
			s.Errorf("stopped with %v", a.reason)
		}
		a.port.WriteTo([]byte("too late"), b.port.Addr())
		s.pass(20 * time.Millisecond)
		if len(b.got) > 0 {
			s.Errorf("a closed port has sent %q", b.got)
		}
	}),
	scripted("APanicInStartProtocolLeavesNothing", func(s *script) {
		p := &badParty{party{s: s}}
		if v := recovered(func() { _, _ = s.r.ListenUDP("127.0.0.1:0", p, nil) }); v != "in StartProtocol" {
			s.Errorf("ListenUDP: %v", v)
		}
		s.pass(20 * time.Millisecond)
		if n := len(s.r.Readers()) + len(s.r.Writers()); n != 0 || len(p.got)+p.stops != 0 {
			s.Errorf("%d descriptors are watched, %d datagrams, %d ends", n, len(p.got), p.stops)
		}
	}),
	{"StopTellsThem", func(t *testing.T, c Setup) {
		var p *party
		play(t, c, func(s *script) { p = s.listenUDP(nil) })
		if p.stops != 1 || p.reason != reactor.ErrShutdown {
			t.Errorf("stopped %d times, with %v", p.stops, p.reason)
		}
	}},
}

// A party is a DatagramProtocol that keeps account of what it is told.
type party struct {
	s      *script
	port   *reactor.UDPPort
	got    []string
	errs   []error
	stops  int
	reason error
	onData func(p []byte, from netip.AddrPort)
}

func (p *party) StartProtocol(port *reactor.UDPPort) { p.port = port }

func (p *party) DatagramReceived(b []byte, from netip.AddrPort) {
	if p.stops > 0 {
		p.s.Error("DatagramReceived after StopProtocol")
	}
	p.got = append(p.got, string(b))
	if p.onData != nil {
		p.onData(b, from)
	}
}

func (p *party) ErrorReceived(_ netip.AddrPort, err error) { p.errs = append(p.errs, err) }

func (p *party) StopProtocol(reason error) {
	p.stops++
	p.reason = reason
}

// A badParty is one that does not start.
type badParty struct{ party }

func (p *badParty) StartProtocol(port *reactor.UDPPort) {
	port.WriteTo([]byte("x"), port.Addr())
	panic("in StartProtocol")
}

func (s *script) listenUDP(o *reactor.UDPOptions) *party {
	s.Helper()
	p := &party{s: s}
	must(s.r.ListenUDP("127.0.0.1:0", p, o))(s)
	return p
}

// asks sends a datagram, and again now and then, until it is answered: that is what datagrams are like.
func (p *party) asks(what string, of netip.AddrPort, answered func() bool) {
	p.s.Helper()
	for range 20 {
		p.port.WriteTo([]byte(what), of)
		for range 20 {
			if answered() {
				return
			}
			p.s.pass(10 * time.Millisecond)
		}
	}
	p.s.Fatalf("no answer to %d bytes", len(what))
}
