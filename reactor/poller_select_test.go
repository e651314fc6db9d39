package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// select refuses what is beyond its set, says what and why, and goes on.
func TestSelectRange(t *testing.T) {
	raiseLimit(t, fdSetSize+100)
	high := func(fd int) int { // fd again, beyond the set
		t.Helper()
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, fdSetSize)
		if err != nil {
			t.Error(err)
		}
		return high
	}
	check := func(err error, fd int) {
		t.Helper()
		var e *FDRangeError
		if !errors.Is(err, ErrFDRange) || !errors.As(err, &e) || e.FD != fd || e.Limit != fdSetSize {
			t.Errorf("descriptor %d: %v", fd, err)
			return
		}
		for _, n := range []int{fd, fdSetSize} {
			if !strings.Contains(err.Error(), fmt.Sprint(n)) {
				t.Errorf("%v does not name %d", err, n)
			}
		}
	}
	s := &faultySystem{}
	l := start(t, Config{Poller: "select", System: s})
	b := newBystander(t, l)
	r, _ := newPipe(t)
	fd := high(r.fd)
	defer unix.Close(fd)
	d := &pipeEnd{fd: fd, lost: make(chan error, 1)}
	l.do(func() {
		check(l.AddReader(d), fd)
		check(l.AddWriter(d), fd)
		l.RemoveReader(d)
		if n := len(l.RemoveAll()); n != 1 {
			t.Errorf("%d in the sets, want the bystander", n)
		}
		if err := l.AddReader(b.r); err != nil {
			t.Error(err)
		}
	})
	b.check()

	// So do newcomers whose descriptor is too high.
	var accepted int
	l.do(func() {
		s.accept = func(fd int) (int, netip.AddrPort, syscall.Errno) {
			conn, from, errno := s.kernel.Accept(fd)
			if errno == 0 && accepted == 0 {
				accepted = high(conn)
				unix.Close(conn)
				return accepted, from, 0
			}
			return conn, from, errno
		}
	})
	recs := []*recorder{newRecorder(), newRecorder()}
	next := 0
	p := l.listen(func(netip.AddrPort) Protocol { next++; return recs[next-1] }, nil)
	dial(t, p)
	err := recs[0].reason(l)
	check(err, accepted)
	if !errors.Is(err, ErrConnectionLost) {
		t.Errorf("lost with %v", err)
	}
	dial(t, p)
	receive(t, recs[1].made, "a newcomer with a lower one")
	b.check()
}

// raiseLimit lets the test have n descriptors.
func raiseLimit(t *testing.T, n int) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if uint64(old.Cur) >= uint64(n) {
		return
	}
	higher := old
	set(&higher.Cur, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &higher); err != nil {
		t.Skip("not so many descriptors here:", err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
}
