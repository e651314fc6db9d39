package reactor

// epoll, level triggered. A look is a raw epoll_wait that does not wait. To wait, the goroutine parks on Go's own poller,
// which watches the epoll descriptor as it watches any socket; so an idle loop costs no thread and no wake-up, and the
// rest of the program sees an ordinary goroutine.

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type epoller struct {
	fd      int
	file    *os.File        // fd, known to Go's poller
	conn    syscall.RawConn // file's
	wake    int             // eventfd; edge triggered, so that nobody has to read it
	armed   time.Time       // the read deadline of file; zero is none
	passed  bool            // the deadline has passed, and until there is another every Wait ends at once
	raw     [eventsPerWait]unix.EpollEvent
	found   int                   // what the last look came to
	failure syscall.Errno         // and why it failed
	park    func(fd uintptr) bool // looked, made once so that waiting does not allocate
}

func newEpoller() (Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &epoller{fd: fd, wake: -1}
	p.park = p.looked
	if err := p.open(); err != nil {
		_ = p.Close() // the first error is the one to tell
		return nil, err
	}
	return p, nil
}

func (p *epoller) open() error {
	if err := unix.SetNonblock(p.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // fails if Go's poller did not take it
		return err
	}
	var err error
	if p.conn, err = p.file.SyscallConn(); err != nil {
		return err
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(p.wake)}
	if errno := sysEpollCtl(p.fd, unix.EPOLL_CTL_ADD, p.wake, &ev); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (p *epoller) Update(fd int, gen uint32, old, now Interest) error {
	op := unix.EPOLL_CTL_MOD
	switch {
	case old == now:
		return nil
	case old == 0:
		op = unix.EPOLL_CTL_ADD
	case now == 0:
		op = unix.EPOLL_CTL_DEL
	}
	ev := unix.EpollEvent{Fd: int32(fd), Pad: int32(gen)}
	if now&Readable != 0 {
		ev.Events |= unix.EPOLLIN
	}
	if now&Writable != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	if errno := sysEpollCtl(p.fd, op, fd, &ev); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Forget does nothing: close(2) takes the descriptor out.
func (p *epoller) Forget(int, Interest) {}

func (p *epoller) Poll(events []Event) (int, error) {
	p.look()
	return p.report(events)
}

func (p *epoller) Wait(events []Event, until time.Time) (int, error) {
	if err := p.arm(until); err != nil {
		return 0, err
	}
	switch err := p.conn.Read(p.park); {
	case err == nil:
		return p.report(events)
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.passed = true
		return p.Poll(events) // that time has passed says nothing about the descriptors
	default:
		return 0, err
	}
}

// arm sets the read deadline, which costs more than waking up once too often: one that is armed already and comes
// earlier is left alone.
func (p *epoller) arm(until time.Time) error {
	if !p.passed {
		if until.IsZero() || !p.armed.IsZero() && !until.Before(p.armed) {
			return nil
		}
	}
	p.armed, p.passed = until, false
	return p.file.SetReadDeadline(until)
}

// looked looks, and reports whether there is a reason to stop waiting.
func (p *epoller) looked(uintptr) bool {
	p.look()
	return p.found > 0 || p.failure != 0
}

func (p *epoller) look() { p.found, p.failure = sysEpollLook(p.fd, p.raw[:]) }

// report passes on what the last look has found.
func (p *epoller) report(events []Event) (int, error) {
	if p.failure != 0 && p.failure != syscall.EINTR {
		return 0, os.NewSyscallError("epoll_wait", p.failure)
	}
	n := 0
	for i := range p.raw[:min(p.found, len(events))] {
		ev := &p.raw[i]
		if int(ev.Fd) == p.wake {
			continue
		}
		events[n] = Event{FD: ev.Fd, Gen: uint32(ev.Pad), Ready: ready(ev.Events)}
		n++
	}
	return n, nil
}

// ready is what epoll's bits mean; trouble is for everybody.
func ready(bits uint32) Interest {
	switch bits {
	case unix.EPOLLIN:
		return Readable
	case unix.EPOLLOUT:
		return Writable
	}
	return Readable | Writable
}

// one is what an eventfd is written.
var one = binary.NativeEndian.AppendUint64(nil, 1)

func (p *epoller) Wake() {
	sysWrite(p.wake, one)
}

func (p *epoller) Close() error {
	if p.wake >= 0 {
		sysClose(p.wake)
	}
	if p.file == nil {
		return unix.Close(p.fd)
	}
	return p.file.Close()
}
