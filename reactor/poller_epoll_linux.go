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
	wake    int             // eventfd; edge triggered, so that it need not be read
	armed   time.Time       // the read deadline of file; zero is none
	passed  bool            // the deadline has passed, and until there is another every Wait ends at once
	raw     [eventsPerWait]unix.EpollEvent
	found   int                   // what the last look came to
	failure syscall.Errno         // and why it failed
	park    func(fd uintptr) bool // looked, made once so that waiting does not allocate
}

func newEpoller() (Poller, error) {
	p := &epoller{fd: -1}
	p.park = p.looked
	var err error
	if p.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := p.renew(); err != nil {
		sysClose(p.wake)
		return nil, err
	}
	return p, nil
}

// renew replaces the epoll descriptor, if there is one, by one that watches nothing but the eventfd. That stays, because
// other goroutines may be writing to it.
func (p *epoller) renew() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.NewFile would not ask Go's poller to watch it
		sysClose(fd)
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	conn, err := watchedByGo(file)
	if err == nil {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(p.wake)}
		if errno := sysEpollCtl(fd, unix.EPOLL_CTL_ADD, p.wake, &ev); errno != 0 {
			err = os.NewSyscallError("epoll_ctl", errno)
		}
	}
	if err != nil {
		_ = file.Close() // the first error is the one to tell
		return err
	}
	if p.file != nil {
		_ = p.file.Close() // it has nothing to lose
	}
	p.fd, p.file, p.conn = fd, file, conn
	p.armed, p.passed = time.Time{}, false
	return nil
}

// watchedByGo makes sure that Go's own poller watches the file, and returns how to wait for it.
func watchedByGo(file *os.File) (syscall.RawConn, error) {
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return file.SyscallConn()
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
	errno := sysEpollCtl(p.fd, op, fd, &ev)
	switch {
	case errno == unix.EEXIST && op == unix.EPOLL_CTL_ADD: // the number has a new owner, the descriptor is the old one
		errno = sysEpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev)
	case errno == unix.ENOENT && op == unix.EPOLL_CTL_MOD: // the number is that of another descriptor by now
		errno = sysEpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
	if errno != 0 {
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

// ready is what epoll's bits mean; trouble is for everybody. epoll tells of it whatever it was asked for, and so also when
// that was nothing: Fault has no bit.
func ready(bits uint32) Interest {
	switch bits {
	case unix.EPOLLIN:
		return Readable
	case unix.EPOLLOUT:
		return Writable
	}
	if bits&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		return Readable | Writable | Fault
	}
	return Readable | Writable
}

// one is what an eventfd is written.
var one = binary.NativeEndian.AppendUint64(nil, 1)

func (p *epoller) Wake() {
	sysWrite(p.wake, one)
}

func (p *epoller) Close() error {
	sysClose(p.wake)
	return p.file.Close()
}
