package reactor

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// What is set is what is read back, and what the kernel has.
func TestSocketOptions(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		_, rec := l.connect(nil, nil)
		l.do(func() {
			s := rec.Info().Socket()
			if s.FD() != rec.Transport.(*transport).FD() {
				t.Errorf("descriptor %d", s.FD())
			}
			if on, err := s.NoDelay(); !on || err != nil {
				t.Errorf("no-delay is %v by default, %v", on, err)
			}
			want := KeepAlive{defaultKeepAliveIdle, defaultKeepAliveInterval, defaultKeepAliveCount}
			if k, err := s.KeepAlive(); k != want || err != nil {
				t.Errorf("keep-alive is %+v by default, %v", k, err)
			}
			for name, err := range map[string]error{
				"no-delay":     s.SetNoDelay(false),
				"keep-alive":   s.SetKeepAlive(KeepAlive{Idle: 90*time.Second - 1, Count: 7}),
				"TTL":          s.SetTTL(33),
				"TOS":          s.SetTOS(0x20),
				"read buffer":  s.SetReadBuffer(20_000),
				"write buffer": s.SetWriteBuffer(30_000),
			} {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if on, err := s.NoDelay(); on || err != nil {
				t.Errorf("no-delay is %v, %v", on, err)
			}
			want = KeepAlive{90 * time.Second, defaultKeepAliveInterval, 7}
			if k, err := s.KeepAlive(); k != want || err != nil {
				t.Errorf("keep-alive is %+v, want %+v; %v", k, want, err)
			}
			if n, err := s.TTL(); n != 33 || err != nil {
				t.Errorf("TTL is %d, %v", n, err)
			}
			if n, err := s.TOS(); n != 0x20 || err != nil {
				t.Errorf("TOS is %d, %v", n, err)
			}
			if n, err := s.ReadBuffer(); n < 20_000 || n > 60_000 || err != nil {
				t.Errorf("the read buffer is %d, %v", n, err)
			}
			if n, err := s.WriteBuffer(); n < 30_000 || n > 80_000 || err != nil {
				t.Errorf("the write buffer is %d, %v", n, err)
			}
			if err := s.SetKeepAlive(KeepAlive{}); err != nil {
				t.Error(err)
			}
			if k, err := s.KeepAlive(); k != (KeepAlive{}) || err != nil {
				t.Errorf("keep-alive is %+v, and was switched off, %v", k, err)
			}
			if err := s.SetTTL(300); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("a TTL of 300: %v", err)
			}
			rec.AbortConnection()
		})
		rec.reason(l)
		l.do(func() {
			if _, err := rec.Info().Socket().TTL(); err != net.ErrClosed {
				t.Errorf("of a lost connection: %v", err)
			}
			if fd := rec.Info().Socket().FD(); fd != -1 {
				t.Errorf("a lost connection has descriptor %d", fd)
			}
		})
	})
}

// What SetRemoteAddr says replaces the address of the peer, also in the name of the connection.
func TestSetRemoteAddr(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		_, rec := l.connect(nil, nil)
		client := netip.MustParseAddrPort("192.0.2.1:4711")
		l.do(func() {
			s := rec.Info().Socket()
			if err := s.SetRemoteAddr(netip.AddrPort{}); err == nil {
				t.Error("the zero address was taken")
			}
			if err := s.SetRemoteAddr(client); err != nil {
				t.Error(err)
			}
			if rec.Info().RemoteAddr() != client || rec.String() != "tcp 192.0.2.1:4711" {
				t.Errorf("the peer is %v, the connection %v", rec.Info().RemoteAddr(), rec)
			}
			rec.AbortConnection()
		})
		rec.reason(l)
		l.do(func() {
			if err := rec.Info().Socket().SetRemoteAddr(client); err != net.ErrClosed {
				t.Errorf("of a lost connection: %v", err)
			}
		})
	})
}

// A connection without a socket says so.
func TestNoSocket(t *testing.T) {
	var s Socket
	if s.FD() != -1 {
		t.Errorf("descriptor %d", s.FD())
	}
	_, noDelay := s.NoDelay()
	_, keepAlive := s.KeepAlive()
	_, peer := s.UnixPeer()
	for _, err := range []error{s.SetTTL(1), s.SetKeepAlive(KeepAlive{}), noDelay, keepAlive, peer} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
}

// To ask for an address of the peer allocates nothing.
func TestInfoAllocatesNothing(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, nil)
	l.do(func() {
		valid := true
		if n := testing.AllocsPerRun(100, func() { valid = valid && rec.Info().RemoteAddr().IsValid() }); n > 0 || !valid {
			t.Errorf("%v allocations, valid: %v", n, valid)
		}
	})
}
