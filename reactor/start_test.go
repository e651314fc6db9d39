package reactor

import (
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A badStart is a factory whose StartFactory does not return, as long as it is bad.
type badStart struct {
	watchful
	bad func()
}

func (f *badStart) StartFactory() {
	if f.watchful.StartFactory(); f.bad != nil {
		f.bad()
	}
}

// contain calls f, which panics or ends its goroutine, and returns when it has.
func contain(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}

// A StartFactory that panics, or ends the goroutine, leaves nothing behind: no port, no connector, no descriptor, and no
// count, so that the factory can be started again.
func TestStartFactoryPanics(t *testing.T) {
	for how, bad := range map[string]func(){"panic": func() { panic("bad") }, "Goexit": runtime.Goexit} {
		for what, begin := range map[string]func(r *Reactor, f ClientFactory) error{
			"ListenTCP":  func(r *Reactor, f ClientFactory) error { _, err := r.ListenTCP("127.0.0.1:0", f, nil); return err },
			"ConnectTCP": func(r *Reactor, f ClientFactory) error { _, err := r.ConnectTCP("127.0.0.1:1", f, nil); return err },
			"ListenUnix": func(r *Reactor, f ClientFactory) error {
				_, err := r.ListenUnix(filepath.Join(t.TempDir(), "s"), f, nil)
				return err
			},
			"ListenFD": func(r *Reactor, f ClientFactory) error {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := unix.Listen(fd, 1); err != nil {
					t.Fatal(err)
				}
				var p *Port
				defer func() {
					if p == nil { // then it is the caller's
						if err := unix.Close(fd); err != nil {
							t.Errorf("the descriptor was closed: %v", err)
						}
					}
				}()
				p, err = r.ListenFD(fd, f, nil)
				return err
			},
			"Group.ListenTCP": func(r *Reactor, f ClientFactory) error {
				other := prepare(t, Config{})
				defer other.Close()
				g := Group{reactors: []*Reactor{other.Reactor, r}}
				defer func() {
					if len(other.ports)+len(other.Readers()) > 0 {
						t.Error("the first loop listens")
					}
				}()
				good := FactoryFunc(func(netip.AddrPort) Protocol { return nil })
				ports, err := g.ListenTCP("127.0.0.1:0", func(of *Reactor) Factory {
					if of == r {
						return f
					}
					return good
				}, nil)
				for _, p := range ports {
					if p.r != r {
						p.StopListening()
					}
				}
				return err
			},
		} {
			t.Run(what+", "+how, func(t *testing.T) {
				l := prepare(t, Config{})
				defer l.Close()
				f := &badStart{watchful: *newWatchful(), bad: bad}
				fds := countFDs(t)
				contain(func() { _ = begin(l.Reactor, f) })
				if n := countFDs(t) - fds; n != 0 {
					t.Errorf("%d descriptors are open", n)
				}
				if n := len(l.Readers()) + len(l.Writers()) + len(l.ports) + len(l.attempts) + len(l.factories); n != 0 {
					t.Errorf("%d readers, %d writers, %d ports, %d attempts, %d factories", len(l.Readers()), len(l.Writers()),
						len(l.ports), len(l.attempts), len(l.factories))
				}
				f.check(t, "after the panic", "start")
				f.bad = nil
				if err := begin(l.Reactor, f); err != nil {
					t.Error(err)
				}
				f.check(t, "the second time", "start")
			})
		}
	}
}

// A badUDP is a DatagramProtocol whose StartProtocol does not return.
type badUDP struct {
	datagramRecorder
	bad func()
}

func (d *badUDP) StartProtocol(p *UDPPort) {
	d.port = p
	for range 2 * sendsPerCall { // so many that some are sent at once
		p.WriteTo([]byte("x"), p.Addr())
	}
	d.bad()
}

// A StartProtocol that panics, or ends the goroutine, leaves no port, and neither a datagram nor the end is told.
func TestStartProtocolPanics(t *testing.T) {
	for how, bad := range map[string]func(){"panic": func() { panic("bad") }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			l := prepare(t, Config{})
			d := &badUDP{*newDatagramRecorder(), bad}
			fds := countFDs(t)
			contain(func() { _, _ = l.ListenUDP("127.0.0.1:0", d, nil) })
			if n := countFDs(t) - fds; n != 0 || len(l.Readers())+len(l.Writers()) != 0 {
				t.Errorf("%d descriptors are open, %d readers, %d writers", n, len(l.Readers()), len(l.Writers()))
			}
			if c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(d.port.Addr())); err != nil {
				t.Error(err)
			} else {
				c.Close()
			}
			l.start()
			l.do(func() { d.port.WriteTo([]byte("too late"), d.port.Addr()); d.port.StopListening() })
			l.stop()
			if len(d.got) > 0 || len(d.stopped) > 0 {
				t.Errorf("%d datagrams, %d ends", len(d.got), len(d.stopped))
			}
		})
	}
}
