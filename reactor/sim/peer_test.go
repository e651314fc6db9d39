package sim_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// peer is a script: it connects and does as it likes, and checks what it reads.
func (s *stage) peer(key uint32) {
	w := s.w
	rnd := w.Rand()
	w.Sleep(time.Duration(rnd.Int64N(int64(100 * time.Millisecond))))
	from := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(1000+key))
	l := s.link(from)
	conn, err := w.DialFrom(from, s.loops[0].port.Addr())
	if err != nil {
		if !s.faulty && !s.closed && (l.a == nil || !l.a.lost && !l.a.aborted && !l.a.panicked) {
			w.Errorf("dial: %v", err)
		}
		return
	}
	s.playOn(l, conn)
}

// playOn has a script play on its end of a connection.
func (s *stage) playOn(l *link, conn *sim.Conn) {
	rnd := s.w.Rand()
	p := &player{s, l, conn, rnd.IntN(2) == 0, make([]byte, 8<<10)}
	for range rnd.IntN(20) {
		if !p.play() {
			return
		}
	}
	p.leave()
}

// link is the connection with the far end at an address.
func (s *stage) link(at netip.AddrPort) *link {
	l := s.links[at]
	if l == nil {
		l = &link{key: uint32(len(s.links))}
		s.links[at] = l
	}
	return l
}

// answer is a script: it takes calls from actors.
func (s *stage) answer() {
	for n := 0; ; n++ {
		c, err := s.far.Accept()
		if err != nil {
			return
		}
		conn := c.(*sim.Conn)
		l := s.link(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
		l.called = true
		s.peers++
		s.w.Go(fmt.Sprint("far", n), func() {
			defer func() { s.peers-- }()
			s.playOn(l, conn)
		})
	}
}

type player struct {
	s     *stage
	l     *link
	conn  *sim.Conn
	quick bool
	buf   []byte
}

// play does one thing; false ends the game.
func (p *player) play() bool {
	w := p.s.w
	rnd := w.Rand()
	switch rnd.IntN(8) {
	case 0, 1:
		return p.write(1 + rnd.IntN(200))
	case 2:
		return p.write(1 + rnd.IntN(20_000))
	case 3, 4, 5:
		return p.read(time.Duration(rnd.Int64N(int64(50 * time.Millisecond))))
	case 6:
		if !p.quick {
			w.Sleep(time.Duration(rnd.Int64N(int64(2 * time.Second))))
		}
	case 7:
		if rnd.IntN(4) == 0 && !p.l.shut {
			return p.halfClose()
		}
	}
	return true
}

// write writes for a while at the most. What is written is counted first: it may arrive before the call returns.
func (p *player) write(n int) bool {
	if p.l.shut {
		return true
	}
	b := fill(p.buf[:0], p.l.key+fromPeer, p.l.sent, n)
	_ = p.conn.SetWriteDeadline(p.s.w.Now().Add(time.Second))
	p.l.sent += n
	done, err := p.conn.Write(b)
	p.l.sent -= n - done
	return p.excused(err)
}

// read reads once.
func (p *player) read(d time.Duration) bool {
	_ = p.conn.SetReadDeadline(p.s.w.Now().Add(d))
	n, err := p.conn.Read(p.buf)
	if i := matches(p.buf[:n], p.l.key+fromActor, p.l.received); i >= 0 {
		p.s.w.Errorf("byte %d to connection %d is wrong", p.l.received+i, p.l.key)
	}
	p.l.received += n
	if a := p.l.a; a != nil && p.l.received > a.written {
		p.s.w.Errorf("got %d bytes of %d", p.l.received, a.written)
	}
	if err == io.EOF {
		p.whole()
		if p.s.w.Rand().IntN(2) == 0 {
			p.close()
			return false
		}
		p.leave()
		return false
	}
	return p.excused(err)
}

// whole is called at the end of what the actor has sent: nothing of it may be missing.
func (p *player) whole() {
	a := p.l.a
	switch {
	case a == nil && (p.s.faulty || p.l.called): // turned away for lack of a descriptor; or the caller has given up
	case a == nil:
		p.s.w.Errorf("an end from nobody")
	case a.made && a.promised < 0 && !a.done():
		p.s.w.Errorf("an end that nobody asked for")
	case p.l.received < a.sure:
		p.s.w.Errorf("a clean end of connection %d after %d bytes, of %d that were accepted", p.l.key, p.l.received, a.sure)
	case (!a.losing || a.late) && a.endsWithPeer(): // its end came with ours, whatever it has written since
	case a.promised >= 0 && p.l.received != a.promised:
		p.s.w.Errorf("the end of connection %d after %d bytes of %d", p.l.key, p.l.received, a.promised)
	}
}

// done reports whether the actor's end came by itself and is an orderly one: the peer's own end brought it about, or
// Stop did.
func (a *actor) done() bool {
	return a.lost && (errors.Is(a.reason, reactor.ErrConnectionDone) || errors.Is(a.reason, reactor.ErrShutdown) ||
		errors.Is(a.reason, reactor.ErrConnectionLost))
}

// excused looks whether an error has a reason; then, and if there is none, the game is over.
func (p *player) excused(err error) bool {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	a := p.l.a
	reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case !reset:
		p.s.w.Errorf("%v", err)
	case p.s.faulty || p.s.closed || a == nil: // the network, or the port's end
	case a.aborted || a.panicked || a.s.over:
	case a.lost && errors.Is(a.reason, reactor.ErrTimeout):
	case a.lost && p.l.sent > a.received: // it closed with our bytes unread
	case a.lost && errors.Is(err, syscall.EPIPE):
	case a.lost && a.cutShort():
	default:
		p.s.w.Errorf("reset for no reason: %v", err)
	}
	p.l.harsh = true
	p.conn.Close()
	return false
}

func (p *player) halfClose() bool {
	p.l.shut = true
	return p.excused(notConnected(p.conn.CloseWrite()))
}

// notConnected forgives that one cannot half-close what was reset.
func notConnected(err error) error {
	if errors.Is(err, syscall.ENOTCONN) {
		return &net.OpError{Op: "close", Err: syscall.ECONNRESET}
	}
	return err
}

// leave ends the connection one way or the other.
func (p *player) leave() {
	switch p.s.w.Rand().IntN(4) {
	case 0:
		p.l.harsh = true
		p.conn.Abort()
	case 1:
		p.close()
	default: // politely: says its end, and reads the other's
		if !p.l.shut && !p.halfClose() {
			return
		}
		for range 50 {
			if !p.read(100 * time.Millisecond) {
				return
			}
		}
		p.close()
	}
}

// close is Close; with something unread it is a reset, and so it is if something comes later.
func (p *player) close() {
	p.l.harsh = true
	p.l.shut = true
	p.conn.Close()
}
