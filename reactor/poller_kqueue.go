//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package reactor

// kqueue, level triggered. It has a filter for each interest, and takes changes together with the wait; so Update only
// notes what is wanted, and before each look the difference to what the kernel has becomes the list of changes. Watching
// for a write and thinking better of it within a tick so costs nothing.
//
// Fault is the filter for writing, edge triggered, of which only events with an error count: it tells of a socket that takes
// bytes once, and then of nothing until it is broken.
//
// It blocks in the ordinary way. A pipe wakes it: not every system here has EVFILT_USER.

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var pollers = []pollerKind{{"kqueue", newKqueue}, {"poll", newPollPoller}, {"select", newSelectPoller}}

type kqueuePoller struct {
	fd      int
	pipe    wakePipe
	watched []kwatch // by descriptor
	dirty   []int32  // descriptors whose wants may differ from what the kernel has
	invalid []int32  // descriptors that the kernel has refused, to be reported
	changes []unix.Kevent_t
	raw     []unix.Kevent_t // what the kernel answers: events, and the changes that failed
}

// kwatch is one descriptor. The generation stands here and not in the event's udata, whose type every system chooses
// for itself; that is sound because a filter goes when its descriptor is closed, so an event is always for the last owner.
type kwatch struct {
	gen         uint32
	have, wants Interest
	dirty       bool // is in the list
}

func newKqueue() (Poller, error) {
	fd, err := openKqueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	p := &kqueuePoller{fd: fd}
	if err := p.pipe.open(); err != nil {
		_ = unix.Close(fd) // the first error is the one to tell
		return nil, err
	}
	p.want(p.pipe.r, 0, Readable)
	return p, nil
}

func openKqueue() (int, error) {
	syscall.ForkLock.RLock() // no child may be forked before the descriptor is closed on exec
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// Update refuses what kqueue would watch in a way of its own, as epoll refuses it: of a regular file it reports what is
// left to read, and never the end.
func (p *kqueuePoller) Update(fd int, gen uint32, old, now Interest) error {
	if old == 0 && now != 0 {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK:
			return os.NewSyscallError("kqueue", syscall.EPERM)
		}
	}
	p.want(fd, gen, now)
	return nil
}

func (p *kqueuePoller) want(fd int, gen uint32, now Interest) {
	for fd >= len(p.watched) {
		p.watched = append(p.watched, kwatch{})
	}
	w := &p.watched[fd]
	if w.gen != gen {
		// The number may have changed hands without a Forget, and the filters then went with the descriptor. Adding one
		// that is there does no harm.
		w.gen, w.have = gen, w.have&^now
	}
	w.wants = now
	if !w.dirty {
		w.dirty = true
		p.dirty = append(p.dirty, int32(fd))
	}
}

// Forget takes back what was not yet told; close(2) takes the filters.
func (p *kqueuePoller) Forget(fd int, _ Interest) {
	if fd < len(p.watched) {
		p.watched[fd].have, p.watched[fd].wants = 0, 0
	}
}

func (p *kqueuePoller) Poll(events []Event) (int, error) {
	return p.look(events, &unix.Timespec{})
}

func (p *kqueuePoller) Wait(events []Event, until time.Time) (int, error) {
	ns := timeout(until, time.Nanosecond)
	if ns < 0 {
		return p.look(events, nil)
	}
	ts := unix.NsecToTimespec(int64(ns))
	return p.look(events, &ts)
}

// look tells the kernel what has changed and asks it what is ready.
func (p *kqueuePoller) look(events []Event, ts *unix.Timespec) (int, error) {
	p.derive()
	if len(p.invalid) > 0 {
		ts = &unix.Timespec{} // there is something to report already
	}
	if room := len(p.changes) + len(events); len(p.raw) < room { // without room for its errors, kqueue stops at the first
		p.raw = make([]unix.Kevent_t, room)
	}
	found, err := unix.Kevent(p.fd, p.changes, p.raw, ts)
	if err == unix.EINTR { // the changes have been made: it is the wait that was broken off
		found = 0
	} else if err != nil {
		return 0, os.NewSyscallError("kevent", err)
	}
	return p.report(events, p.raw[:found]), nil
}

// derive makes the list of changes.
func (p *kqueuePoller) derive() {
	p.changes = p.changes[:0]
	for _, fd := range p.dirty {
		w := &p.watched[fd]
		p.change(fd, w.have&Readable, w.wants&Readable, unix.EVFILT_READ)
		p.change(fd, w.have&(Writable|Fault), w.wants&(Writable|Fault), unix.EVFILT_WRITE)
		w.have, w.dirty = w.wants, false
	}
	p.dirty = p.dirty[:0]
}

func (p *kqueuePoller) change(fd int32, have, wants Interest, filter int) {
	if have == wants {
		return
	}
	if have != 0 {
		p.changes = appendChange(p.changes, fd, filter, unix.EV_DELETE)
	}
	switch wants {
	case 0:
	case Fault:
		p.changes = appendChange(p.changes, fd, filter, unix.EV_ADD|unix.EV_CLEAR)
	default:
		p.changes = appendChange(p.changes, fd, filter, unix.EV_ADD)
	}
}

func appendChange(to []unix.Kevent_t, fd int32, filter, flags int) []unix.Kevent_t {
	var k unix.Kevent_t
	unix.SetKevent(&k, int(fd), filter, flags)
	return append(to, k)
}

// report passes on what was found. The end of a stream or an error (EV_EOF) comes with the filter that it concerns, so
// it needs no case of its own: the read or the write will say what it is.
func (p *kqueuePoller) report(events []Event, raw []unix.Kevent_t) int {
	n := 0
	for i := range raw {
		k := &raw[i]
		fd := int32(k.Ident)
		w := &p.watched[fd]
		switch {
		case int(fd) == p.pipe.r:
			p.pipe.drain()
		case k.Flags&unix.EV_ERROR != 0:
			p.failed(fd, int(k.Filter))
		case w.wants == Fault && (k.Flags&unix.EV_EOF == 0 || k.Fflags == 0): // it takes bytes, or we have ended it ourselves
		case n < len(events): // what has no room comes again
			events[n] = Event{FD: fd, Gen: w.gen, Ready: Readable}
			if int(k.Filter) == unix.EVFILT_WRITE {
				events[n].Ready = w.wants & (Writable | Fault)
			}
			n++
		}
	}
	for n < len(events) && len(p.invalid) > 0 {
		last := len(p.invalid) - 1
		fd := p.invalid[last]
		p.invalid = p.invalid[:last]
		if w := &p.watched[fd]; w.wants != 0 {
			events[n] = Event{FD: fd, Gen: w.gen, Ready: Invalid}
			n++
		}
	}
	return n
}

// failed is a change that was refused. To delete a filter that went with its descriptor is no loss; one that could not
// be added leaves its owner waiting for ever, who must be told.
func (p *kqueuePoller) failed(fd int32, filter int) {
	interest := Readable
	if filter == unix.EVFILT_WRITE {
		interest = Writable | Fault
	}
	w := &p.watched[fd]
	w.have &^= interest
	if w.wants&interest != 0 {
		p.invalid = append(p.invalid, fd)
	}
}

func (p *kqueuePoller) Wake() { p.pipe.wake() }

func (p *kqueuePoller) Close() error {
	_ = unix.Close(p.fd) // it has nothing to lose
	return p.pipe.close()
}
