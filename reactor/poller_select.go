//go:build unix

package reactor

// select(2), the oldest way to wait and there on every system. Its sets are arrays of bits of a fixed size, so there are
// descriptors that it cannot watch; they are refused, because a bit set beyond the array is other memory. A
// wait costs what the highest descriptor is. It blocks in the ordinary way. It knows of trouble only as what a read or a write
// would say, so a connection that does neither is not watched for Fault.

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fdSetSize is FD_SETSIZE: 1024 almost everywhere.
const fdSetSize = 8 * int(unsafe.Sizeof(unix.FdSet{}))

type selectPoller struct {
	read, write       unix.FdSet // what is watched
	canRead, canWrite unix.FdSet // what select(2) has made of it
	gens              [fdSetSize]uint32
	top               int // the highest descriptor that is watched, and 1
	first             int // where the next report begins, so that the highest is not always the last served
	pipe              wakePipe
}

func newSelectPoller() (Poller, error) {
	p := &selectPoller{}
	if err := p.pipe.open(); err != nil {
		return nil, err
	}
	if err := p.Update(p.pipe.r, 0, 0, Readable); err != nil {
		_ = p.Close() // the first error is the one to tell
		return nil, err
	}
	return p, nil
}

func (p *selectPoller) Update(fd int, gen uint32, _, now Interest) error {
	if fd >= fdSetSize {
		if now == 0 {
			return nil // it was never watched
		}
		return &FDRangeError{FD: fd, Limit: fdSetSize}
	}
	p.gens[fd] = gen
	assign(&p.read, fd, now&Readable != 0)
	assign(&p.write, fd, now&Writable != 0)
	if now&(Readable|Writable) != 0 {
		p.top = max(p.top, fd+1)
	}
	for p.top > 0 && !p.read.IsSet(p.top-1) && !p.write.IsSet(p.top-1) {
		p.top--
	}
	return nil
}

func assign(set *unix.FdSet, fd int, on bool) {
	if on {
		set.Set(fd)
	} else {
		set.Clear(fd)
	}
}

func (p *selectPoller) Forget(fd int, _ Interest) { _ = p.Update(fd, 0, 0, 0) } // watching nothing does not fail

func (p *selectPoller) Poll(events []Event) (int, error) {
	return p.sel(events, &unix.Timeval{})
}

func (p *selectPoller) Wait(events []Event, until time.Time) (int, error) {
	us := timeout(until, time.Microsecond)
	if us < 0 {
		return p.sel(events, nil)
	}
	tv := unix.NsecToTimeval(int64(us * time.Microsecond))
	return p.sel(events, &tv)
}

func (p *selectPoller) sel(events []Event, tv *unix.Timeval) (int, error) {
	p.canRead, p.canWrite = p.read, p.write
	found, err := unix.Select(p.top, &p.canRead, &p.canWrite, nil, tv)
	switch err {
	case nil:
	case unix.EINTR:
		return 0, nil
	case unix.EBADF:
		return p.report(events, p.invalid), nil
	default:
		return 0, os.NewSyscallError("select", err)
	}
	if found > 0 && p.canRead.IsSet(p.pipe.r) {
		p.pipe.drain()
		p.canRead.Clear(p.pipe.r)
		found--
	}
	if found == 0 {
		return 0, nil
	}
	return p.report(events, p.ready), nil
}

// ready is what the last select has found out about a descriptor.
func (p *selectPoller) ready(fd int) Interest {
	var i Interest
	if p.canRead.IsSet(fd) {
		i |= Readable
	}
	if p.canWrite.IsSet(fd) {
		i |= Writable
	}
	return i
}

// invalid asks a descriptor itself whether it is open: one that is not makes select fail for all of them, and does not
// say which it is.
func (p *selectPoller) invalid(fd int) Interest {
	if !p.read.IsSet(fd) && !p.write.IsSet(fd) {
		return 0
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		return 0
	}
	return Invalid
}

// report passes on what of says of each descriptor, going round.
func (p *selectPoller) report(events []Event, of func(fd int) Interest) int {
	n := 0
	for i := 0; i < p.top && n < len(events); i++ {
		fd := (p.first + i) % p.top
		ready := of(fd)
		if ready == 0 {
			continue
		}
		events[n] = Event{FD: int32(fd), Gen: p.gens[fd], Ready: ready}
		n++
		if n == len(events) {
			p.first = fd + 1
		}
	}
	return n
}

func (p *selectPoller) Wake() { p.pipe.wake() }

func (p *selectPoller) Close() error { return p.pipe.close() }
