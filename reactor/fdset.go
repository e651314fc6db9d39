package reactor

// The descriptor table, and Twisted's IReactorFDSet on top of it.
//
// The table (table.go) is indexed by descriptor: the kernel hands out the lowest free number, so it stays dense. A slot says
// who reads and who writes; what the poller must be told is derived from that, in one place. The kernel also hands out
// numbers again. An event found before a descriptor was closed must not reach its successor, so each slot counts its
// owners, and an event carries the count that it was asked for under.
//
// Descriptors may be closed behind the reactor's back, and their numbers used again. The owner of a descriptor that turns out to be
// closed learns of it, and no other does. It turns out when poll or select find it, when a number is handed out again to
// a connection of ours, and otherwise when it is next touched: epoll and kqueue forget what is closed without a word.

import (
	"errors"
	"fmt"
	"math"
	"syscall"
)

// A Descriptor is something with a file descriptor that lives on a loop. Its dynamic type must be comparable; a pointer
// is.
type Descriptor interface {
	// FD is the descriptor. It must stay the same while the Descriptor is in the set. One that becomes negative says that
	// the descriptor is closed: then the Descriptor leaves the set at the next event, or at the end of its DoRead or DoWrite.
	FD() int

	// ConnectionLost is called once, at the end of a tick. The Descriptor is in neither set by then. The reason is:
	//   - the error that DoRead or DoWrite returned, or a *PanicError;
	//   - ErrShutdown, when the reactor stops;
	//   - ErrConnectionLost and EBADF, when FD was found to be negative or closed.
	// Closing FD is the Descriptor's own affair, but not after EBADF, when the number may belong to something else.
	ConnectionLost(reason error)
}

// A Reader is called when its descriptor is readable.
type Reader interface {
	Descriptor

	// DoRead must not block. An error ends the descriptor: it leaves both sets and gets ConnectionLost(err).
	DoRead() error
}

// A Writer is called when its descriptor is writable.
type Writer interface {
	Descriptor

	// DoWrite must not block. An error ends the descriptor: it leaves both sets and gets ConnectionLost(err).
	DoWrite() error
}

// FDSet is what a reactor offers to programs that have descriptors of their own. A Reactor is one. All methods are for the
// loop, or before Run.
type FDSet interface {
	AddReader(Reader) error
	AddWriter(Writer) error
	RemoveReader(Reader)
	RemoveWriter(Writer)
	RemoveAll() []Descriptor
	Readers() []Reader
	Writers() []Writer
}

var _ FDSet = (*Reactor)(nil)

// AddReader has DoRead called while the descriptor is readable, until RemoveReader. It replaces an earlier reader of the
// same descriptor, who is not told. What cannot be waited for, such as a regular file, is always ready: DoRead is called
// in each tick and the loop does not sleep, so remove it as soon as it has given what it should.
//
// The error is ErrStopped; EBADF for a descriptor that is not open, unless only the next wait finds that out, which then
// tells ConnectionLost; EBUSY for one that belongs to a connection of this reactor; ErrFDRange for one that select(2)
// cannot watch; or what else the poller says.
func (r *Reactor) AddReader(d Reader) error {
	fd := d.FD()
	if err := r.watchable(fd, d); err != nil {
		return err
	}
	return r.fds.set(fd, d, r.fds.slot(fd).writer())
}

// AddWriter has DoWrite called while the descriptor is writable, until RemoveWriter. Its errors are AddReader's.
func (r *Reactor) AddWriter(d Writer) error {
	fd := d.FD()
	if err := r.watchable(fd, d); err != nil {
		return err
	}
	return r.fds.set(fd, r.fds.slot(fd).reader(), d)
}

func (r *Reactor) watchable(fd int, d Descriptor) error {
	if r.ending {
		return ErrStopped
	}
	if fd < 0 || fd > math.MaxInt32 { // no system has so many, and the table has room for all below
		return syscall.EBADF
	}
	if s := r.fds.lookup(fd); s != nil && s.conn != nil && Descriptor(s.conn) != d {
		return fmt.Errorf("reactor: descriptor %d belongs to a connection: %w", fd, syscall.EBUSY)
	}
	return nil
}

// RemoveReader undoes AddReader. It does nothing for one that is not in the set. One whose FD is negative by now, since it
// was closed first, is looked for.
func (r *Reactor) RemoveReader(d Reader) {
	fd := r.fds.place(d, d.FD() < 0)
	if s := r.fds.lookup(fd); s != nil && s.reader() == d {
		_ = r.fds.set(fd, nil, s.writer()) // watching less does not fail but for a closed descriptor, which is unwatched
	}
}

// RemoveWriter undoes AddWriter, as RemoveReader does AddReader.
func (r *Reactor) RemoveWriter(d Writer) {
	fd := r.fds.place(d, d.FD() < 0)
	if s := r.fds.lookup(fd); s != nil && s.writer() == d {
		_ = r.fds.set(fd, s.reader(), nil)
	}
}

// RemoveAll takes everything out of both sets, ports and connections too, and returns what was in them. No method of theirs is called:
// this is for code that takes the descriptors over. A connection comes back when its Transport is next used.
func (r *Reactor) RemoveAll() []Descriptor {
	var all []Descriptor
	for fd, s := range r.fds.all {
		all = append(all, s.watching()...)
		_ = r.fds.set(fd, nil, nil)
	}
	return all
}

// Readers returns what is in the reader set, in the order of the descriptors.
func (r *Reactor) Readers() []Reader {
	var all []Reader
	for _, s := range r.fds.all {
		if d := s.reader(); d != nil {
			all = append(all, d)
		}
	}
	return all
}

// Writers returns what is in the writer set, in the order of the descriptors.
func (r *Reactor) Writers() []Writer {
	var all []Writer
	for _, s := range r.fds.all {
		if d := s.writer(); d != nil {
			all = append(all, d)
		}
	}
	return all
}

// ErrFDRange is an FDRangeError to errors.Is.
var ErrFDRange = errors.New("reactor: descriptor out of range")

// An FDRangeError says that a poller cannot watch a descriptor because its number is too high.
type FDRangeError struct {
	FD    int // the descriptor
	Limit int // the first one that is too high: FD_SETSIZE for select(2)
}

// Error says both numbers.
func (e *FDRangeError) Error() string {
	return fmt.Sprintf("reactor: descriptor %d cannot be watched: select takes those below %d", e.FD, e.Limit)
}

// Is makes the error an ErrFDRange.
func (e *FDRangeError) Is(target error) bool { return target == ErrFDRange }

type fdset struct {
	table
	poller Poller
	ended  *batch[ending] // where those go whose descriptor turns out to be closed
	always always
	turn   uint16 // the last bits of the tick's number
	strays int    // events that had no receiver; see stray
}

// find returns the slot that an event is for, or nil if it was for an earlier owner.
func (t *fdset) find(ev Event) *slot {
	s := t.lookup(int(ev.FD))
	if s == nil || s.gen != ev.Gen {
		return nil
	}
	return s
}

// place returns where d is, or -1. It asks d itself, and if that is not true and search is, looks for it.
func (t *fdset) place(d Descriptor, search bool) int {
	fd := d.FD()
	if s := t.lookup(fd); s != nil && s.has(d) {
		return fd
	}
	if search {
		for fd, s := range t.all {
			if s.has(d) {
				return fd
			}
		}
	}
	return -1
}

// set says who reads and who writes fd, and tells the poller if that is news.
func (t *fdset) set(fd int, reader Reader, writer Writer) error {
	var now Interest
	if reader != nil {
		now |= Readable
	}
	if writer != nil {
		now |= Writable
	}
	return t.watch(fd, reader, writer, now)
}

// watch is set for a caller that knows what the poller is to watch for: what follows from reader and writer, or Fault if there is
// neither.
func (t *fdset) watch(fd int, reader Reader, writer Writer, now Interest) error {
	s := t.slot(fd)
	if r, w := s.reader(), s.writer(); reader != nil && r != nil && reader != r || writer != nil && w != nil && writer != w {
		// The newcomer may have another descriptor of the same number, and the poller have forgotten the first.
		t.forget(fd, s)
	}
	if now != s.have {
		if err := t.tell(fd, s, now); err != nil && now&^s.have != 0 {
			return err
		}
	}
	s.seat(reader, writer, now)
	if now == 0 && s.conn == nil {
		t.next(s)
	}
	return nil
}

// tell tells the poller what is wanted of fd now.
func (t *fdset) tell(fd int, s *slot, now Interest) error {
	if s.always {
		s.always = now != 0
		return nil
	}
	err := t.poller.Update(fd, s.gen, s.have, now)
	if err != nil && now != 0 && errors.Is(err, syscall.EPERM) {
		s.always = true
		t.always.add(fd)
		return nil
	}
	return err
}

// forget begins with fd anew: what the poller still knows of it is void.
func (t *fdset) forget(fd int, s *slot) {
	t.poller.Forget(fd, s.have)
	s.have, s.always = 0, false
	t.next(s)
}

// next begins another ownership.
func (t *fdset) next(s *slot) {
	s.gen++
	s.turn = t.turn
}

// claim gives a descriptor that was just opened to c. An owner that is still in the slot has closed it unnoticed.
func (t *fdset) claim(fd int, c *transport) {
	t.evict(fd, syscall.EBADF)
	s := t.slot(fd)
	s.conn, s.due = c, 0
}

// A disowner is one of our own, who would close its descriptor at its end. Once disowned it does not: the number may be
// another's by then. Nor does it come to another end before it gets this one.
type disowner interface{ disown() }

func (t *transport) disown() { t.fd = -1; t.flags |= gone }
func (a *attempt) disown()   { a.fd = -1; a.ended = true }
func (p *Port) disown()      { p.fd = -1 }
func (p *UDPPort) disown()   { p.fd = -1; p.closed = true }

// evict empties the slot of a descriptor that is not theirs any more, and has its owners told why.
func (t *fdset) evict(fd int, errno syscall.Errno) {
	s := t.slot(fd)
	for _, who := range s.owners() {
		if ours, ok := who.(disowner); ok {
			ours.disown()
		}
		t.ended.add(ending{who, lost(errno)})
	}
	t.forget(fd, s)
	s.vacate()
}

// inherit gives c the descriptor that another Writer has watched until now. The poller notices nothing.
func (t *fdset) inherit(c *transport) {
	s := t.slot(int(c.fd))
	s.conn, s.others = c, nil
}

// expel takes who out of the table: no event finds it any more. The poller goes on watching for a connection until
// release, for its descriptor is closed within the tick and close(2) would do it for free.
func (t *fdset) expel(who Descriptor) {
	fd := t.place(who, true)
	s := t.lookup(fd)
	if s == nil {
		return
	}
	if c, ok := who.(*transport); ok {
		s.vacate()
		t.next(s)
		c.flags |= gone
		return
	}
	reader, writer := s.reader(), s.writer()
	if reader != nil && Descriptor(reader) == who {
		reader = nil
	}
	if writer != nil && Descriptor(writer) == who {
		writer = nil
	}
	_ = t.set(fd, reader, writer) // watching less does not fail but for a closed descriptor, which is unwatched
}

// release says that fd, expelled before, is closed next.
func (t *fdset) release(fd int) {
	if s := t.lookup(fd); s != nil {
		t.poller.Forget(fd, s.have)
		s.have = 0
	}
}

// straysBearable is how many events may go astray before the poller is renewed. A child that is just being forked, and
// holds what we close until it calls exec, makes a few.
const straysBearable = 64

// A renewer is a poller that may go on reporting what it can no longer be told to forget. Once renewed it watches nothing.
type renewer interface{ renew() error }

// stray is an event that has no receiver. Within the tick in which a descriptor left its slot that is nothing: the event was
// found before. Later it means that the descriptor was closed while something else holds on to what it stood for, a
// duplicate or a child process. epoll then reports the old number for ever, and cannot be told by it to stop.
func (t *fdset) stray(ev Event) {
	if s := t.lookup(int(ev.FD)); s == nil || s.turn == t.turn {
		return
	}
	p, ok := t.poller.(renewer)
	if t.strays++; !ok || t.strays < straysBearable {
		return
	}
	if p.renew() != nil {
		return // there is no descriptor left for it; the next stray tries again
	}
	t.strays = 0
	for fd, s := range t.all {
		if s.have == 0 || s.always {
			continue
		}
		if t.poller.Update(fd, s.gen, 0, s.have) != nil {
			t.evict(fd, syscall.EBADF)
		}
	}
}
