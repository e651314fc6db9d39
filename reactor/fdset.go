package reactor

// The descriptor table, and Twisted's IReactorFDSet on top of it.
//
// The table is a slice indexed by descriptor: the kernel hands out the lowest free number, so it stays dense. A slot says
// who reads and who writes; what the poller must be told is derived from that, in one place. The kernel also hands out
// numbers again. An event found before a descriptor was closed must not reach its successor, so each slot counts its
// owners, and an event carries the count that it was asked for under.

import "syscall"

// A Descriptor is something with a file descriptor that lives on a loop. Its dynamic type must be comparable; a pointer
// is.
type Descriptor interface {
	// FD is the descriptor. It must stay the same while the Descriptor is in the set.
	FD() int

	// ConnectionLost is called once, at the end of the tick in which DoRead or DoWrite returned an error or panicked, or
	// with ErrShutdown when the reactor stops. The Descriptor is in neither set by then; closing FD is its own affair.
	ConnectionLost(reason error)
}

// A Reader is told when its descriptor is readable.
type Reader interface {
	Descriptor

	// DoRead must not block. An error ends the descriptor: it leaves both sets and is told ConnectionLost(err).
	DoRead() error
}

// A Writer is told when its descriptor is writable.
type Writer interface {
	Descriptor

	// DoWrite must not block. An error ends the descriptor: it leaves both sets and is told ConnectionLost(err).
	DoWrite() error
}

// FDSet is what a reactor offers to whoever has descriptors of their own. A Reactor is one. All methods are for the
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
// same descriptor. The error is ErrStopped, EBADF for a negative descriptor, or the poller's: a regular file, for one,
// cannot be watched (EPERM).
func (r *Reactor) AddReader(d Reader) error {
	fd := d.FD()
	if err := r.watchable(fd); err != nil {
		return err
	}
	return r.fds.set(fd, d, r.fds.slot(fd).writer)
}

// AddWriter has DoWrite called while the descriptor is writable, until RemoveWriter. Its errors are AddReader's.
func (r *Reactor) AddWriter(d Writer) error {
	fd := d.FD()
	if err := r.watchable(fd); err != nil {
		return err
	}
	return r.fds.set(fd, r.fds.slot(fd).reader, d)
}

func (r *Reactor) watchable(fd int) error {
	if r.ending {
		return ErrStopped
	}
	if fd < 0 {
		return syscall.EBADF
	}
	return nil
}

// RemoveReader undoes AddReader. It does nothing for one that is not in the set.
func (r *Reactor) RemoveReader(d Reader) {
	if s := r.fds.lookup(d.FD()); s != nil && s.reader == d {
		_ = r.fds.set(d.FD(), nil, s.writer) // watching less does not fail but for a closed descriptor, which is unwatched
	}
}

// RemoveWriter undoes AddWriter. It does nothing for one that is not in the set.
func (r *Reactor) RemoveWriter(d Writer) {
	if s := r.fds.lookup(d.FD()); s != nil && s.writer == d {
		_ = r.fds.set(d.FD(), s.reader, nil)
	}
}

// RemoveAll takes everything out of both sets, ports and connections too, and returns what was in them. Nobody is told:
// this is for whoever takes the descriptors over. A connection comes back when its Transport is next used.
func (r *Reactor) RemoveAll() []Descriptor {
	var all []Descriptor
	for fd := range r.fds.slots {
		s := &r.fds.slots[fd]
		if s.reader != nil {
			all = append(all, s.reader)
		}
		if s.writer != nil && Descriptor(s.writer) != Descriptor(s.reader) {
			all = append(all, s.writer)
		}
		_ = r.fds.set(fd, nil, nil)
	}
	return all
}

// Readers returns what is in the reader set, in the order of the descriptors.
func (r *Reactor) Readers() []Reader {
	var all []Reader
	for i := range r.fds.slots {
		if d := r.fds.slots[i].reader; d != nil {
			all = append(all, d)
		}
	}
	return all
}

// Writers returns what is in the writer set, in the order of the descriptors.
func (r *Reactor) Writers() []Writer {
	var all []Writer
	for i := range r.fds.slots {
		if d := r.fds.slots[i].writer; d != nil {
			all = append(all, d)
		}
	}
	return all
}

// A slot is one descriptor number.
type slot struct {
	reader Reader
	writer Writer
	conn   *transport // owns the descriptor even while it watches for nothing
	gen    uint32     // counts the owners
	have   Interest   // what the poller was told
}

// owners lists who would be told of a loss, each once.
func (s *slot) owners() []Descriptor {
	var all []Descriptor
	if s.conn != nil {
		return append(all, s.conn)
	}
	if s.reader != nil {
		all = append(all, s.reader)
	}
	if s.writer != nil && Descriptor(s.writer) != Descriptor(s.reader) {
		all = append(all, s.writer)
	}
	return all
}

type fdset struct {
	poller Poller
	slots  []slot
}

// slot returns the slot of fd, growing the table if need be. It is valid until the next call.
func (t *fdset) slot(fd int) *slot {
	for fd >= len(t.slots) {
		t.slots = append(t.slots, slot{})
		t.slots = t.slots[:cap(t.slots)]
	}
	return &t.slots[fd]
}

// lookup returns the slot of fd, or nil if there never was one.
func (t *fdset) lookup(fd int) *slot {
	if uint(fd) >= uint(len(t.slots)) {
		return nil
	}
	return &t.slots[fd]
}

// find returns the slot that an event is for, or nil if it was for an earlier owner.
func (t *fdset) find(ev Event) *slot {
	s := t.lookup(int(ev.FD))
	if s == nil || s.gen != ev.Gen {
		return nil
	}
	return s
}

// set says who reads and who writes fd, and tells the poller if that is news.
func (t *fdset) set(fd int, reader Reader, writer Writer) error {
	s := t.slot(fd)
	var now Interest
	if reader != nil {
		now |= Readable
	}
	if writer != nil {
		now |= Writable
	}
	if now != s.have {
		if err := t.poller.Update(fd, s.gen, s.have, now); err != nil && now&^s.have != 0 {
			return err
		}
	}
	s.reader, s.writer, s.have = reader, writer, now
	if now == 0 && s.conn == nil {
		s.gen++
	}
	return nil
}

// claim gives a descriptor that was just opened to c. Whoever is still in the slot has closed it without saying so.
func (t *fdset) claim(fd int, c *transport) {
	s := t.slot(fd)
	t.poller.Forget(fd, s.have)
	*s = slot{conn: c, gen: s.gen + 1}
}

// inherit gives c the descriptor that another Writer has watched until now. The poller notices nothing.
func (t *fdset) inherit(c *transport) {
	s := t.slot(int(c.fd))
	*s = slot{writer: c, conn: c, gen: s.gen, have: s.have}
}

// expel takes who out of the table: no event finds it any more. The poller goes on watching for a connection until
// release, for its descriptor is closed within the tick and close(2) would do it for free.
func (t *fdset) expel(who Descriptor) {
	fd := who.FD()
	s := t.lookup(fd)
	if s == nil {
		return
	}
	if c, ok := who.(*transport); ok {
		*s = slot{gen: s.gen + 1, have: s.have}
		c.flags |= gone
		return
	}
	reader, writer := s.reader, s.writer
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
	s := t.slot(fd)
	t.poller.Forget(fd, s.have)
	s.have = 0
}
