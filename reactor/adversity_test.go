package reactor

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What happens to descriptors behind the reactor's back: they are closed, and their numbers used again. Whoever does that
// to himself gets what he can be given; all others notice nothing, which is what a bystander is here for.

// A bystander is a pipe that goes on working.
type bystander struct {
	l    *loop
	r, w *pipeEnd
	got  chan struct{}
}

func newBystander(t *testing.T, l *loop) *bystander {
	t.Helper()
	b := &bystander{l: l, got: make(chan struct{}, 100)}
	b.r, b.w = newPipe(t)
	b.r.read = func() error {
		n, err := unix.Read(b.r.fd, make([]byte, 1))
		if n == 0 {
			return io.EOF // the test is over
		}
		b.got <- struct{}{}
		return err
	}
	b.l.do(func() {
		if err := l.AddReader(b.r); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bystander) check() {
	b.l.t.Helper()
	unix.Write(b.w.fd, []byte("x"))
	receive(b.l.t, b.got, "the bystander")
	if len(b.r.lost) != 0 {
		b.l.t.Error("the bystander was lost")
	}
}

// tells reports whether the poller finds out by itself that a descriptor is closed.
func tells(c Config) bool { return c.Poller == "poll" || c.Poller == "select" }

// badf checks the reason of one whose descriptor was closed.
func badf(t *testing.T, d *pipeEnd) {
	t.Helper()
	if err := receive(t, d.lost, "ConnectionLost"); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, syscall.EBADF) {
		t.Errorf("lost with %v", err)
	}
}

// One closes a descriptor and does not say so.
func TestClosedBehindTheBack(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		l := start(t, c)
		b := newBystander(t, l)
		r, w := newPipe(t)
		r.read = func() error { t.Error("told that it is readable"); return nil }
		var victims []*pipeEnd
		l.do(func() {
			for range 3 { // a set of descriptors, one of which is bad, and then more
				fd, err := unix.Dup(r.fd)
				if err != nil {
					t.Error(err)
					return
				}
				v := &pipeEnd{fd: fd, read: r.read, lost: make(chan error, 4)}
				v.write = v.read
				victims = append(victims, v)
				if err := l.AddReader(v); err != nil {
					t.Error(err)
				}
			}
			unix.Close(victims[1].fd)
		})
		b.check()
		l.do(func() { unix.Close(victims[0].fd); unix.Close(victims[2].fd) })
		b.check()
		for _, v := range victims {
			if tells(c) {
				badf(t, v)
			} else {
				l.do(func() { l.RemoveReader(v) }) // which is no trouble
			}
		}
		l.do(func() {
			if n := len(l.Readers()); n != 1 {
				t.Errorf("%d readers", n)
			}
			if err := l.AddWriter(victims[0]); err != nil && !errors.Is(err, syscall.EBADF) || err == nil && !tells(c) {
				t.Errorf("AddWriter: %v", err)
			}
		})
		if tells(c) {
			badf(t, victims[0])
		}
		rests(t, l, s)
		b.check()
		for _, v := range victims {
			if len(v.lost) != 0 {
				t.Errorf("%d was told again", v.fd)
			}
		}
		unix.Write(w.fd, []byte("nobody reads this"))
	})
}

// The number belongs to another descriptor by now, whose owner adds it: it works as if nothing had happened before.
func TestNumberReusedAndAdded(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		b := newBystander(t, l)
		old, _ := newPipe(t)
		fresh, freshW := newPipe(t)
		old.read = func() error { t.Error("the former owner is served"); l.RemoveAll(); return nil }
		old.write = old.read
		got := make(chan struct{}, 10)
		heir := &pipeEnd{fd: old.fd, lost: make(chan error, 4)}
		heir.read = func() error {
			got <- struct{}{}
			_, err := unix.Read(heir.fd, make([]byte, 1))
			return err
		}
		l.do(func() {
			if err := l.AddReader(old); err != nil {
				t.Error(err)
			}
			unix.Dup2(fresh.fd, old.fd) // closes it and takes its number
			if err := l.AddReader(heir); err != nil {
				t.Error(err)
			}
		})
		for range 2 {
			unix.Write(freshW.fd, []byte("x"))
			receive(t, got, "the heir")
		}
		l.do(func() {
			l.RemoveReader(old) // who is late, and takes nothing from the heir
			if n := len(l.Readers()); n != 2 {
				t.Errorf("%d readers", n)
			}
		})
		unix.Write(freshW.fd, []byte("x"))
		receive(t, got, "the heir")
		b.check()
		if len(heir.lost)+len(old.lost) != 0 {
			t.Error("somebody was lost")
		}
		l.do(func() { l.RemoveAll() })
	})
}

// The number belongs to another descriptor by now, of which the reactor is never told: that one keeps its descriptor
// whatever the former owner does, and all others are served.
func TestNumberReusedByAStranger(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, end := range []string{"remove", "error", "more"} {
			t.Run(end, func(t *testing.T) {
				l := start(t, c)
				b := newBystander(t, l)
				old, _ := newPipe(t)
				stranger, strangerW := newPipe(t)
				reads := make(chan struct{}, 100)
				old.read = func() error { // poll and select cannot know better
					reads <- struct{}{}
					l.RemoveReader(old)
					if end == "error" {
						return syscall.EIO
					}
					return nil
				}
				old.write = func() error { l.RemoveWriter(old); return nil }
				l.do(func() {
					if err := l.AddReader(old); err != nil {
						t.Error(err)
					}
					unix.Dup2(stranger.fd, old.fd)
				})
				unix.Write(strangerW.fd, []byte("for the stranger"))
				b.check()
				if tells(c) {
					receive(t, reads, "a look")
				} else if len(reads) != 0 {
					t.Error("epoll has told of a closed descriptor")
				}
				l.do(func() {
					if end == "more" {
						if err := l.AddWriter(old); err != nil {
							t.Error(err)
						}
					}
					l.RemoveReader(old)
					l.RemoveWriter(old)
				})
				b.check()
				p := make([]byte, 100)
				if n, err := unix.Read(old.fd, p); string(p[:max(n, 0)]) != "for the stranger" {
					t.Errorf("the stranger reads %q, %v", p[:max(n, 0)], err)
				}
			})
		}
	})
}

// A connection's socket is closed behind its back, and the next connection gets the number. The first is told, once; the
// second lives.
func TestNumberReusedByAConnection(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		b := newBystander(t, l)
		recs := []*recorder{newRecorder(), newRecorder()}
		next := 0
		p := l.listen(func(netip.AddrPort) Protocol {
			next++
			recs[next-1].onData = func(p []byte) { recs[next-1].Write(p) }
			return recs[next-1]
		}, nil)
		dial(t, p)
		receive(t, recs[0].made, "the first connection")
		second := make(chan *pipeEnd, 1)
		var fd int
		l.do(func() {
			// The second connects, and gets the number of the first in the accept that follows, in this tick.
			fd = recs[0].Transport.(*transport).FD()
			conn := dial(t, p)
			send(t, conn, "hello")
			t.Cleanup(func() {
				if got := readN(t, conn, 5); got != "hello" {
					t.Errorf("the second got %q", got)
				}
			})
			unix.Close(fd)
			for range 20 { // the lowest free number is what accept gives
				if err := p.DoRead(); err != nil {
					t.Error(err)
				}
				if next == 2 {
					break
				}
			}
			second <- nil
		})
		receive(t, second, "the second connection")
		err := recs[0].reason(l)
		if !errors.Is(err, ErrConnectionLost) || !errors.Is(err, syscall.EBADF) {
			t.Errorf("the first was lost with %v", err)
		}
		receive(t, recs[1].made, "the second connection")
		l.do(func() {
			if got := recs[1].Transport.(*transport).FD(); got != fd {
				t.Errorf("the second has descriptor %d, not %d: this test tests nothing", got, fd)
			}
		})
		eventually(t, "what the second sent", func() bool { return recs[1].received() == "hello" })
		b.check()
		if len(recs[1].lost) != 0 {
			t.Errorf("the second was lost with %v", <-recs[1].lost)
		}
		if next != 2 {
			t.Errorf("%d connections", next)
		}
	})
}

// A connection's socket is closed behind its back, and a UDP port gets the number: it is told, and the port lives. Then the
// port's is, and it is told once, though it is written to in the same tick.
func TestNumberReusedByDatagrams(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		_, rec := l.connect(nil, nil)
		d, echo := newDatagramRecorder(), newDatagramRecorder()
		to := l.listenUDP("127.0.0.1:0", echo, nil).Addr()
		l.do(func() {
			fd := rec.Transport.(*transport).FD()
			unix.Close(fd)
			p, err := l.ListenUDP("127.0.0.1:0", d, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if p.FD() != fd { // somebody else has just taken it, or a lower one is free
				t.Logf("the port has descriptor %d, not %d: this test tests nothing", p.FD(), fd)
			}
			p.WriteTo([]byte("x"), to)
		})
		if err := rec.reason(l); !errors.Is(err, syscall.EBADF) {
			t.Errorf("the connection was lost with %v", err)
		}
		receive(t, echo.got, "a datagram")
		l.do(func() {
			fd := d.port.FD()
			unix.Close(fd)
			l.fds.evict(fd, syscall.EBADF) // as dispatch does
			d.port.WriteTo([]byte("x"), to)
			d.port.StopListening()
		})
		if err := receive(t, d.stopped, "StopProtocol"); !errors.Is(err, syscall.EBADF) {
			t.Errorf("the port was stopped for %v", err)
		}
		l.do(func() {
			if len(d.stopped) > 0 {
				t.Errorf("and then for %v", <-d.stopped)
			}
		})
	})
}

// A connection or a port whose socket somebody else has closed does not close it again: the number may be another's.
func TestTheClosedIsNotClosedAgain(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		if !tells(c) {
			t.Skip("nobody finds out")
		}
		l := start(t, c)
		b := newBystander(t, l)
		rec := newRecorder()
		p := l.listen(rec.factory, nil)
		dial(t, p)
		receive(t, rec.made, "ConnectionMade")
		other, otherW := newPipe(t)
		datagrams := newDatagramRecorder()
		udp := l.listenUDP("127.0.0.1:0", datagrams, nil)
		var fds [3]int
		rec.onLost = func(err error) {
			if !errors.Is(err, syscall.EBADF) {
				t.Errorf("lost with %v", err)
			}
		}
		l.do(func() {
			fds = [3]int{rec.Transport.(*transport).FD(), p.FD(), udp.FD()}
			for _, fd := range fds {
				unix.Close(fd)
			}
			l.CallFromThread(func() { // in the tick that finds out, behind its I/O
				for _, fd := range fds {
					unix.Dup2(other.fd, fd)
				}
			})
		})
		rec.reason(l)
		if err := receive(t, datagrams.stopped, "StopProtocol"); !errors.Is(err, syscall.EBADF) {
			t.Errorf("the UDP port stopped with %v", err)
		}
		eventually(t, "the port to be reported", func() bool { return len(l.reported()) == 1 })
		if err := l.reported()[0]; !errors.Is(err, syscall.EBADF) || !strings.Contains(err.Error(), p.Addr().String()) {
			t.Errorf("reported %v", err)
		}
		unix.Write(otherW.fd, []byte("xxx"))
		for _, fd := range fds {
			if n, err := unix.Read(fd, make([]byte, 1)); n != 1 {
				t.Errorf("descriptor %d, another's by now: read %d, %v", fd, n, err)
			}
			unix.Close(fd)
		}
		b.check()
	})
}

// A descriptor is closed while a duplicate keeps alive what it stood for. epoll then reports the number for ever and
// cannot be told to stop; the loop does not spin on that for long.
func TestClosedButDuplicated(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		b := newBystander(t, l)
		var stuck [2]*pipeEnd
		l.do(func() {
			for i := range stuck {
				r, w := newPipe(t)
				stuck[i] = w // writable, and so always reported
				dup, err := unix.Dup(w.fd)
				if err != nil {
					t.Error(err)
				}
				t.Cleanup(func() { unix.Close(dup) })
				w.write = func() error { l.RemoveWriter(w); return nil }
				if err := l.AddWriter(w); err != nil {
					t.Error(err)
				}
				_ = r
				unix.Dup2(0, w.fd) // something else by now
			}
		})
		quiet := func() (yes bool) {
			before := b.ticks()
			<-time.After(20 * time.Millisecond) // there is nothing to wait for: that is what is tested
			return b.ticks()-before < 4
		}
		eventually(t, "the loop to rest", quiet)
		b.check()
		conn, rec := l.connect(nil, func(p *recorder) { p.onData = func(b []byte) { p.Write(b) } })
		send(t, conn, "hello")
		readN(t, conn, 5)
		if len(rec.lost)+len(stuck[0].lost)+len(stuck[1].lost) != 0 {
			t.Error("somebody was lost")
		}
	})
}

// ticks is how many ticks there were, in its last bits.
func (b *bystander) ticks() (n uint16) {
	b.l.do(func() { n = b.l.fds.turn })
	return n
}

// A descriptor that has closed itself, and no longer says which it was, leaves the set all the same.
func TestDescriptorThatForgetsItsNumber(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		b := newBystander(t, l)
		for _, end := range []string{"remove", "error"} {
			r, w := newPipe(t)
			fd := r.fd
			r.read = func() error {
				unix.Dup2(0, fd)
				r.fd = -1
				if end == "error" {
					return syscall.EIO
				}
				l.RemoveReader(r)
				l.RemoveWriter(r)
				return nil
			}
			l.do(func() {
				if err := errors.Join(l.AddReader(r)); err != nil {
					t.Error(err)
				}
			})
			unix.Write(w.fd, []byte("x"))
			eventually(t, "it to leave", func() (gone bool) {
				l.do(func() { gone = len(l.Readers()) == 1 })
				return gone
			})
			l.do(func() {})
			if n := len(r.lost); n != map[string]int{"remove": 0, "error": 1}[end] {
				t.Errorf("%s: ConnectionLost %d times", end, n)
			}
			b.check()
		}
	})
}

// A connection's descriptor is its own.
func TestDescriptorOfAConnection(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, func(p *recorder) { p.onData = func(b []byte) { p.Write(b) } })
	l.do(func() {
		d := &pipeEnd{fd: rec.Transport.(*transport).FD()}
		for _, err := range []error{l.AddReader(d), l.AddWriter(d)} {
			if !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), fmt.Sprint(d.fd)) {
				t.Errorf("taken by another: %v", err)
			}
		}
		all := l.RemoveAll()
		for _, d := range all { // and back
			if err := l.AddReader(d.(Reader)); err != nil {
				t.Error(err)
			}
		}
	})
	send(t, conn, "hello")
	readN(t, conn, 5)
}
