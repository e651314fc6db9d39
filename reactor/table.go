package reactor

// The table of descriptors: a slot for each number, in pages that are made when the first of their numbers is used. A table
// that grew by moving would cost a connection three times its slot, in room that it left and in room for more; and a slot
// that stays where it is can be held on to.

// A slot is one descriptor number. Most are connections, which read and write for themselves: they need no more to be found
// than conn and have.
type slot struct {
	conn   *transport // owns the descriptor even while it watches for nothing
	others *watchers  // who watch a descriptor that is no connection's; nil if there are none
	due    int64      // when conn's deadlines are looked at; 0 is never
	gen    uint32     // counts the owners
	turn   uint16     // the tick, or its last bits, in which gen was last counted up
	have   Interest   // what the poller was told
	always bool       // and that it could not: the descriptor is always ready
}

type watchers struct {
	reader Reader
	writer Writer
}

// reader is who reads, or nil.
func (s *slot) reader() Reader {
	switch {
	case s.conn == nil && s.others != nil:
		return s.others.reader
	case s.conn != nil && s.have&Readable != 0:
		return s.conn
	}
	return nil
}

// writer is who writes, or nil.
func (s *slot) writer() Writer {
	switch {
	case s.conn == nil && s.others != nil:
		return s.others.writer
	case s.conn != nil && s.have&Writable != 0:
		return s.conn
	}
	return nil
}

// seat says who watches from now on, and what the poller was told.
func (s *slot) seat(reader Reader, writer Writer, have Interest) {
	s.have = have
	switch {
	case s.conn != nil:
	case s.others != nil:
		*s.others = watchers{reader, writer}
	case have != 0:
		s.others = &watchers{reader, writer}
	}
}

// vacate leaves the slot empty. What the poller watches for stays.
func (s *slot) vacate() { s.conn, s.others = nil, nil }

// watching lists who reads and writes, each once.
func (s *slot) watching() []Descriptor {
	var all []Descriptor
	reader, writer := s.reader(), s.writer()
	if reader != nil {
		all = append(all, reader)
	}
	if writer != nil && Descriptor(writer) != Descriptor(reader) {
		all = append(all, writer)
	}
	return all
}

// owners lists who would be told of a loss, each once.
func (s *slot) owners() []Descriptor {
	if s.conn != nil {
		return []Descriptor{s.conn}
	}
	return s.watching()
}

// has reports whether d is in the slot.
func (s *slot) has(d Descriptor) bool {
	if s.conn != nil {
		return Descriptor(s.conn) == d
	}
	return s.others != nil && (s.others.reader != nil && Descriptor(s.others.reader) == d ||
		s.others.writer != nil && Descriptor(s.others.writer) == d)
}

// pageSlots is how many slots a page has: as many as fill 8 KiB, which is a page of the allocator's.
const pageSlots = 256

type page [pageSlots]slot

type table struct {
	pages []*page
}

// slot returns the slot of fd, making it if need be.
func (t *table) slot(fd int) *slot {
	at := fd / pageSlots
	for at >= len(t.pages) {
		t.pages = append(t.pages, nil)
	}
	if t.pages[at] == nil {
		t.pages[at] = new(page)
	}
	return &t.pages[at][fd%pageSlots]
}

// lookup returns the slot of fd, or nil if there never was one.
func (t *table) lookup(fd int) *slot {
	at := uint(fd) / pageSlots
	if at >= uint(len(t.pages)) || t.pages[at] == nil {
		return nil
	}
	return &t.pages[at][uint(fd)%pageSlots]
}

// end is behind the last descriptor that has a slot.
func (t *table) end() int { return len(t.pages) * pageSlots }

// all iterates over the slots, in the order of their descriptors.
func (t *table) all(yield func(fd int, s *slot) bool) {
	for at, p := range t.pages {
		if p == nil {
			continue
		}
		for i := range p {
			if !yield(at*pageSlots+i, &p[i]) {
				return
			}
		}
	}
}
