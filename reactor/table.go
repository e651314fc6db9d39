package reactor

// The table of descriptors: a slot for each number, in pages that are made when the first of their numbers is used. A table
// that grew by moving would cost a connection three times its slot, in room that it left and in room for more; and a slot
// that stays where it is can be held on to.

// pageSlots is how many slots a page has: as many as fill 14 KiB, which is a size of the allocator's.
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
