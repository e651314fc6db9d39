package reactor

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A port survives every errno that accept(2) may give, and reports it by name.
func TestAcceptSurvives(t *testing.T) {
	var next syscall.Errno // on the loop
	s := &faultySystem{}
	s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
		if errno := next; errno != 0 {
			next = 0
			return -1, netip.AddrPort{}, errno
		}
		return s.kernel.Accept(fd)
	}
	l := start(t, Config{System: s})
	rec := newRecorder()
	p := l.listen(rec.factory, nil)
	for errno := syscall.Errno(1); errno < 256; errno++ {
		if acceptErrors[errno] == acceptBroken {
			continue
		}
		l.do(func() { next = errno })
		before := len(l.reported())
		if acceptErrors[errno] == acceptShed {
			readAll(t, dial(t, p)) // this one is turned away, and the next is let in
		}
		dial(t, p).Close()
		receive(t, rec.made, "ConnectionMade after "+errno.Error())
		receive(t, rec.lost, "ConnectionLost after "+errno.Error())
		reports := l.reported()[before:]
		if silent := errno == syscall.EAGAIN || errno == syscall.EINTR; silent && len(reports) > 0 {
			t.Errorf("%v, which is no trouble, was reported as %v", errno, reports)
		} else if !silent && (len(reports) != 1 || !errors.Is(reports[0], errno)) {
			t.Errorf("%v was reported as %v", errno, reports)
		}
	}
}

// A port ends when its socket is none, and says so with the errno. It does not close a number that may be another's by then.
func TestAcceptOnNoSocket(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EBADF, syscall.ENOTSOCK, syscall.EINVAL} {
		for _, how := range []string{"DoRead", "StopListening"} {
			t.Run(how+": "+errno.Error(), func(t *testing.T) {
				s := &faultySystem{accept: func(int) (int, netip.AddrPort, syscall.Errno) {
					return -1, netip.AddrPort{}, errno
				}}
				l := start(t, Config{System: s})
				p := l.listen(newRecorder().factory, nil)
				var fd int
				l.do(func() { fd = p.FD() })
				if how == "StopListening" {
					l.do(p.StopListening)
				} else {
					if conn, err := net.Dial("tcp", p.Addr().String()); err == nil { // else it was closed already
						defer conn.Close()
					}
					eventually(t, "the report", func() bool { return len(l.reported()) > 0 })
					if got := l.reported(); len(got) != 1 || !errors.Is(got[0], errno) {
						t.Errorf("reported %v", got)
					}
				}
				l.do(func() {
					if !p.closed || len(l.Readers()) > 0 || len(l.ports) > 0 {
						t.Error("the port is open")
					}
				})
				_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				if open := err == nil; open != (errno != syscall.EINVAL) {
					t.Errorf("the descriptor is open: %v", open)
				}
				if err == nil {
					unix.Close(fd)
				}
			})
		}
	}
}

// unhurried has the clock of a system stand still, but for waits, which end as soon as they begin. It returns the clock, for
// the loop.
func (s *faultySystem) unhurried() (now func() time.Time) {
	clock := time.Now()
	s.now = func() time.Time { return clock }
	s.wait = func(p Poller, events []Event, until time.Time) (int, error) {
		if until.IsZero() {
			return p.Wait(events, until)
		}
		if until.After(clock) {
			clock = until
		}
		return p.Poll(events)
	}
	return s.now
}

// A port that cannot accept rests, each time for twice as long, up to a second; and when it could, it begins anew.
func TestRestsGrow(t *testing.T) {
	for _, tc := range []struct {
		errno  syscall.Errno
		before int // how many accepts in a row there are without a rest
	}{
		{syscall.ENOMEM, 1},
		{syscall.ENOBUFS, 1},
		{syscall.EACCES, acceptFailures}, // it may be the newcomer's alone
		{syscall.EPROTONOSUPPORT, acceptFailures},
	} {
		t.Run(tc.errno.Error(), func(t *testing.T) {
			s := &faultySystem{}
			now := s.unhurried()
			var at []time.Time // on the loop: when accept was called
			left := 20 + tc.before
			reports := 0
			s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
				if at = append(at, now()); left == 0 {
					return s.kernel.Accept(fd)
				}
				left--
				return -1, netip.AddrPort{}, tc.errno
			}
			l := start(t, Config{System: s, ReportError: func(error) { reports++ }})
			rec := newRecorder()
			p := l.listen(rec.factory, nil)
			for range 2 {
				dial(t, p)
				receive(t, rec.made, "ConnectionMade after the rests")
				l.do(func() {
					var gaps []time.Duration
					for i := range at[1:] {
						if d := at[i+1].Sub(at[i]); i >= tc.before-1 && len(gaps) < 20 {
							gaps = append(gaps, d)
						} else if d != 0 && len(gaps) < 20 {
							t.Errorf("a rest of %v after %d failures", d, i+1)
						}
					}
					want := acceptRestMin
					for i, d := range gaps {
						if d != want {
							t.Errorf("rest %d of %v took %v, want %v", i, tc.errno, d, want)
						}
						want = min(2*want, acceptRestMax)
					}
					if len(gaps) != 20 {
						t.Errorf("%d rests", len(gaps))
					}
					if seconds := int(at[len(at)-1].Sub(at[0]) / time.Second); reports < 10 || reports > seconds+1 {
						t.Errorf("%d reports in %d s", reports, seconds)
					}
					at, left, reports = nil, 20+tc.before, 0
				})
			}
		})
	}
}

// Newcomers that are gone do not keep others waiting, however many they are, and neither do a few that may not come in.
func TestAcceptGoesOn(t *testing.T) {
	errnos := slices.Repeat([]syscall.Errno{syscall.ECONNABORTED, syscall.EPROTO, syscall.EINTR, syscall.EHOSTUNREACH}, 1000)
	errnos = append(errnos, slices.Repeat([]syscall.Errno{syscall.EPERM}, acceptFailures-1)...)
	s := &faultySystem{}
	now := s.unhurried()
	begun := now()
	s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
		if len(errnos) > 0 {
			errno := errnos[0]
			errnos = errnos[1:]
			return -1, netip.AddrPort{}, errno
		}
		return s.kernel.Accept(fd)
	}
	l := start(t, Config{System: s})
	rec := newRecorder()
	dial(t, l.listen(rec.factory, nil))
	receive(t, rec.made, "ConnectionMade")
	l.do(func() {
		if d := now().Sub(begun); d > 0 {
			t.Errorf("the port has rested for %v", d)
		}
	})
	if n := len(l.reported()); n != 4 {
		t.Errorf("reported %v, want each errno but EINTR once", l.reported())
	}
}

// A port comes back from its rest although the poller has no memory for it at first.
func TestRestEndsLate(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOMEM, syscall.ENOSPC} {
		s := &faultySystem{}
		s.unhurried()
		exhausted, failures := true, 3 // on the loop
		s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
			if exhausted {
				exhausted = false
				return -1, netip.AddrPort{}, syscall.ENOBUFS
			}
			return s.kernel.Accept(fd)
		}
		var p *Port
		s.update = func(fd int, _, now Interest) error {
			if p != nil && fd == p.FD() && now != 0 && failures > 0 {
				failures--
				return errno
			}
			return nil
		}
		l := start(t, Config{System: s})
		rec := newRecorder()
		open := l.listen(rec.factory, nil)
		l.do(func() { p = open })
		dial(t, open)
		receive(t, rec.made, "ConnectionMade after the rests")
		l.do(func() {
			if failures > 0 {
				t.Errorf("%d failures of the poller are left", failures)
			}
		})
		if got := l.reported(); len(got) != 2 || !errors.Is(got[0], syscall.ENOBUFS) || !errors.Is(got[1], errno) {
			t.Errorf("reported %v", got)
		}
	}
}

// Ports that share a socket's address share the bound of the reports too, whatever loop they live on. An errno that has not
// been reported yet is never held back, and what was held back is counted.
func TestAcceptReports(t *testing.T) {
	var a acceptTrouble
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		errno syscall.Errno
		n     int // 0 is no report
	}{
		{0, syscall.EMFILE, 1},
		{0, syscall.EMFILE, 0},
		{0, syscall.ENOMEM, 1},
		{acceptReportInterval - 1, syscall.EMFILE, 0},
		{1, syscall.EMFILE, 3},
		{1, syscall.EMFILE, 0},
		{time.Hour, syscall.EMFILE, 2},
	} {
		now = now.Add(step.after)
		if n, due := a.count(step.errno, now); n != step.n || due != (step.n > 0) {
			t.Errorf("%v is reported: %v, %d times; want %d", step.errno, due, n, step.n)
		}
	}
	l1, l2 := prepare(t, Config{}), prepare(t, Config{})
	p1, err := l1.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), &TCPOptions{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	p2, err := p1.Share(l2.Reactor, FactoryFunc(newRecorder().factory))
	if err != nil {
		t.Fatal(err)
	}
	p1.reportAccept(syscall.EMFILE)
	p2.reportAccept(syscall.EMFILE)
	if len(l1.reported()) != 1 || len(l2.reported()) != 0 {
		t.Errorf("reported %v and %v", l1.reported(), l2.reported())
	}
	for _, l := range []*loop{l1, l2} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
