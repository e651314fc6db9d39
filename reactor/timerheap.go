package reactor

// The heap of delayed calls: a 4-ary one, whose entries carry their keys. Four children lie in one or two cache lines and
// are compared without looking at the calls themselves, which among 100,000 are anywhere in memory; the tree is half as
// deep as a binary one. A call knows its place, so that one that is cancelled leaves nothing behind.

// timerArity is how many children an entry has.
const timerArity = 4

type timerHeap []timerEntry

// A timerEntry is a call and its key: never later than when the call is due.
type timerEntry struct {
	key  int64
	call *DelayedCall
}

// before is the order of the heap: by key, and as asked for among equals.
func (e timerEntry) before(f timerEntry) bool {
	return e.key < f.key || e.key == f.key && e.call.seq < f.call.seq
}

// push adds a call with the key that it has.
func (h *timerHeap) push(c *DelayedCall, key int64) {
	*h = append(*h, timerEntry{})
	(*h).up(len(*h)-1, timerEntry{key, c})
}

// remove takes the entry at i out.
func (h *timerHeap) remove(i int) {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = timerEntry{}
	*h = old[:last]
	if i < last {
		(*h).fix(i, e)
	}
	if cap(old) > timersKeep && last < cap(old)/4 {
		*h = append(make(timerHeap, 0, cap(old)/2), *h...)
	}
}

// fix puts e in the place i, or where it belongs from there.
func (h timerHeap) fix(i int, e timerEntry) {
	if i > 0 && e.before(h[(i-1)/timerArity]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

// up puts e in the place i, or above.
func (h timerHeap) up(i int, e timerEntry) {
	for i > 0 {
		parent := (i - 1) / timerArity
		if !e.before(h[parent]) {
			break
		}
		h.put(i, h[parent])
		i = parent
	}
	h.put(i, e)
}

// down puts e in the place i, or below.
func (h timerHeap) down(i int, e timerEntry) {
	for {
		first := i*timerArity + 1
		if first >= len(h) {
			break
		}
		children := h[first:min(first+timerArity, len(h))]
		least := 0
		for j := 1; j < len(children); j++ {
			if children[j].before(children[least]) {
				least = j
			}
		}
		if !children[least].before(e) {
			break
		}
		h.put(i, children[least])
		i = first + least
	}
	h.put(i, e)
}

func (h timerHeap) put(i int, e timerEntry) {
	h[i] = e
	e.call.index = int32(i)
}
