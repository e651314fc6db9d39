package reactor

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Ports that cannot accept, for want of descriptors or for another reason, and go on when they can.

// When descriptors run out newcomers are turned away, the server reports it once a second, and it goes on when there are some
// again.
func TestOutOfDescriptors(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		p := l.listen(func(netip.AddrPort) Protocol {
			rec := newRecorder()
			rec.onData = func(b []byte) { rec.Write(b) }
			return rec
		}, nil)
		connected := dial(t, p)
		send(t, connected, "before")
		readN(t, connected, 6)

		// Newcomers' own descriptors are taken first; then there are no more.
		const n = 10
		var fds [n]int
		for i := range fds {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			fds[i] = fd
		}
		restore := exhaust(t)
		defer restore()
		begun := time.Now()
		to, _ := sockaddr(p.Addr())
		for _, fd := range fds {
			if err := unix.Connect(fd, to); err != nil {
				t.Fatal(err)
			}
		}
		for _, fd := range fds {
			if n, err := unix.Read(fd, make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("a newcomer reads %d, %v; want the end", n, err)
			}
		}
		send(t, connected, "during")
		readN(t, connected, 6)
		if got, most := l.reported(), 1+int(time.Since(begun)/acceptReportInterval); len(got) < 1 || len(got) > most {
			t.Errorf("reported %v, want at least 1 and at most %d", got, most)
		} else if !errors.Is(got[0], syscall.EMFILE) {
			t.Errorf("reported %v, want EMFILE", got)
		}
		restore()
		after := dial(t, p)
		send(t, after, "after")
		readN(t, after, 5)
	})
}

// exhaust lowers the limit so that no descriptor can be opened, until the function that it returns is called.
func exhaust(t *testing.T) (restore func()) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(0) // the lowest free number, and all below are taken
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	low := old
	set(&low.Cur, fd)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// set assigns to a number whose type is not the same everywhere.
func set[T int64 | uint64](to *T, n int) { *to = T(n) }

// When there is not even a reserve, or no memory, the port rests instead of spinning, and comes back.
func TestExhaustedPortRests(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		t.Run(errno.Error(), func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				s := &faultySystem{}
				var exhausted atomic.Bool
				var accepts atomic.Int64
				exhausted.Store(true)
				s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
					accepts.Add(1)
					if exhausted.Load() {
						return -1, netip.AddrPort{}, errno
					}
					return s.kernel.Accept(fd)
				}
				c.System = s
				l := start(t, c)
				rec := newRecorder()
				p := l.listen(rec.factory, nil)
				begun := time.Now()
				dial(t, p)
				eventually(t, "the port to rest", func() (resting bool) {
					l.do(func() { resting = len(l.Readers()) == 0 })
					return resting
				})
				// A test that looks late has missed a few rests, with two accepts before each.
				if n, most := accepts.Load(), 2+2*int64(time.Since(begun)/acceptRestMin); n > most {
					t.Errorf("%d accepts before it rested, want at most %d", n, most)
				}
				exhausted.Store(false)
				receive(t, rec.made, "ConnectionMade after the rest")
			})
		})
	}
}

// Whoever is told that descriptors have run out may close the port, whose number is somebody else's then.
func TestStopListeningWhenTold(t *testing.T) {
	s := &faultySystem{}
	var p *Port
	late := 0 // on the loop
	s.accept = func(int) (int, netip.AddrPort, syscall.Errno) {
		if p.closed {
			late++
		}
		return -1, netip.AddrPort{}, syscall.EMFILE
	}
	reported := make(chan error, 4)
	l := start(t, Config{System: s, ReportError: func(err error) {
		p.StopListening()
		reported <- err
	}})
	l.do(func() {
		var err error
		if p, err = l.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), nil); err != nil {
			t.Error(err)
		}
	})
	if conn, err := net.Dial("tcp", p.Addr().String()); err == nil { // else it was closed already
		defer conn.Close()
	}
	if err := receive(t, reported, "the report"); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("reported %v", err)
	}
	l.do(func() {
		if late > 0 || len(l.DelayedCalls()) > 0 {
			t.Errorf("%d accepts and %d timers of a port that is closed", late, len(l.DelayedCalls()))
		}
	})
}
