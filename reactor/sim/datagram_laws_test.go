package sim_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// The laws of UDP ports, checked together: protocols that send, connect and stop wherever they are called.
func TestDatagramLaws(t *testing.T) {
	spread(t, seeds()/20, sim.Config{}, func(w *sim.World) {
		r := w.Reactor("udp", reactor.Config{})
		var all []*talker
		words := 1000 // or they would talk for ever
		for range 1 + w.Rand().IntN(4) {
			d := &talker{w: w, all: &all, words: &words}
			addr := [...]string{"127.0.0.1:0", ":0", "[::1]:0"}[w.Rand().IntN(3)]
			if _, err := r.ListenUDP(addr, d, &reactor.UDPOptions{MaxDatagram: 1000, SendBuffer: 1 + w.Rand().IntN(20_000)}); err != nil {
				w.Errorf("%v", err)
			}
			all = append(all, d)
		}
		w.Go("time", func() {
			for range w.Rand().IntN(50) {
				w.Sleep(time.Duration(w.Rand().IntN(100)) * time.Millisecond)
				r.CallFromThread(func() { all[w.Rand().IntN(len(all))].act() })
			}
			if w.Rand().IntN(2) == 0 {
				r.CallFromThread(func() { r.CallFromThread(func() { all[0].act() }) }) // when all is being ended
				r.Stop()
			}
		})
		w.Go("judge", func() {
			w.Sleep(time.Hour)
			for _, d := range all {
				if s := d.p.Stats(); d.p.FD() < 0 && s.Sent+s.Dropped+s.Failed != d.sent {
					w.Errorf("%d datagrams were given to the port, and it says %+v", d.sent, s)
				}
				if d.stopped != (d.p.FD() < 0) {
					w.Errorf("stopped %v, and the descriptor is %d", d.stopped, d.p.FD())
				}
			}
		})
	})
}

// A talker is a datagram protocol that does what comes to its mind.
type talker struct {
	w       *sim.World
	all     *[]*talker
	words   *int // that are left to all
	p       *reactor.UDPPort
	sent    uint64
	depth   int // of its own callbacks
	stopped bool
}

func (d *talker) StartProtocol(p *reactor.UDPPort) {
	d.p = p
	d.act()
}

func (d *talker) StopProtocol(error) {
	if d.stopped {
		d.w.Errorf("StopProtocol twice")
	}
	d.stopped = true
	d.act()
}

// DatagramReceived is brought what was sent: its length, and that byte so often.
func (d *talker) DatagramReceived(p []byte, from netip.AddrPort) {
	if d.stopped {
		d.w.Errorf("a datagram after StopProtocol")
	}
	if len(p) >= 8 && binary.BigEndian.Uint64(p) != uint64(len(p)) {
		d.w.Errorf("a datagram of %d bytes says that it has %d", len(p), binary.BigEndian.Uint64(p))
	}
	for _, b := range p[min(len(p), 8):] {
		if b != byte(len(p)) {
			d.w.Errorf("a datagram of %d bytes has %d in it", len(p), b)
			break
		}
	}
	d.act()
	if d.w.Rand().IntN(3) == 0 {
		d.write(from)
	}
}

func (d *talker) ErrorReceived(peer netip.AddrPort, err error) {
	if d.stopped {
		d.w.Errorf("an error after StopProtocol")
	}
	var errno syscall.Errno
	if err != reactor.ErrTruncated && !errors.As(err, &errno) {
		d.w.Errorf("told %v", err)
	}
	if d.depth++; d.depth < 10 {
		d.act()
		if d.w.Rand().IntN(2) == 0 {
			d.write(peer) // once more
		}
	}
	d.depth--
}

func (d *talker) write(to netip.AddrPort) {
	if *d.words--; *d.words < 0 {
		return
	}
	n := [...]int{0, 10, 100, 1000, 1001, 70_000}[d.w.Rand().IntN(6)]
	b := make([]byte, n)
	if n >= 8 {
		for i := range b {
			b[i] = byte(n)
		}
		binary.BigEndian.PutUint64(b, uint64(n))
	}
	if !d.over() {
		d.sent++
	}
	d.p.WriteTo(b, to)
	clear(b) // it was copied
}

// over reports whether the port takes no more: it was stopped, or the reactor is ending.
func (d *talker) over() bool {
	return d.stopped || errors.Is(d.p.JoinGroup(netip.Addr{}, ""), net.ErrClosed)
}

func (d *talker) act() {
	rnd := d.w.Rand()
	for range rnd.IntN(4) {
		switch rnd.IntN(12) {
		case 0:
			if rnd.IntN(10) == 0 {
				d.p.StopListening()
			}
		case 1:
			if rnd.IntN(4) == 0 {
				_ = d.p.Connect(d.someone()) // a port of one family cannot be connected to one of the other
			}
		case 2:
			d.write(netip.MustParseAddrPort("127.0.0.1:0"))
		case 3:
			d.write(netip.AddrPort{})
		case 4:
			for range 100 {
				d.write(netip.MustParseAddrPort("127.0.0.1:9"))
			}
		default:
			d.write(d.someone())
		}
	}
}

// someone is where a datagram may go.
func (d *talker) someone() netip.AddrPort {
	if n := len(*d.all); n > 0 {
		return (*d.all)[d.w.Rand().IntN(n)].p.Addr()
	}
	return d.p.Addr()
}
