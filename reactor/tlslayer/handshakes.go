package tlslayer

// The handshakes of several loops: how many are under way, and how many compute at a time.

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// HandshakeOptions bound handshakes. The zero value is right for production.
type HandshakeOptions struct {
	// Max is how many handshakes are under way at a time. Beyond it the one that has waited longest
	// for its peer is closed, in favour of the new one. Default 4096.
	Max int

	// Timeout is how long a whole handshake may take. Default 10 s.
	Timeout time.Duration

	// Parallel is how many steps compute at the same time. Default GOMAXPROCS.
	Parallel int
}

const (
	defaultMaxHandshakes    = 4096
	defaultHandshakeTimeout = 10 * time.Second
)

// errCrowded ends the handshake that has waited longest.
var errCrowded = fmt.Errorf("%w: too many are under way, and this one has waited longest for its peer", ErrHandshake)

// Handshakes bounds the handshakes of one or several loops and computes their steps off the loops.
// It owns no goroutine while none computes, and needs no end. Its methods may be called from any
// goroutine.
type Handshakes struct {
	most     int
	parallel int
	timeout  time.Duration

	mu      sync.Mutex
	n       int        // under way
	waiting place      // those that wait for their peers, a ring; the one that has waited longest comes first
	queue   []*shaking // those that are to compute, from head on
	head    int
	running int
	pile    pile
}

// place is a handshake's place among those that wait.
type place struct {
	next, prev *place
	hs         *shaking
	piled      bool // it is one of the pile
}

// NewHandshakes makes the bounds of the connections that share it: a server has one for all its
// loops.
func NewHandshakes(o HandshakeOptions) *Handshakes {
	h := &Handshakes{most: o.Max, parallel: o.Parallel, timeout: o.Timeout}
	if h.most <= 0 {
		h.most = defaultMaxHandshakes
	}
	if h.parallel <= 0 {
		h.parallel = runtime.GOMAXPROCS(0)
	}
	if h.timeout <= 0 {
		h.timeout = defaultHandshakeTimeout
	}
	h.waiting.next, h.waiting.prev = &h.waiting, &h.waiting
	return h
}

// Len returns how many handshakes are under way.
func (h *Handshakes) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// begin counts a handshake, and closes another if there are too many.
func (h *Handshakes) begin(hs *shaking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hs.hs = hs
	h.n++
	if h.n > h.most {
		if p := h.waiting.next; p != &h.waiting {
			h.leave(p.hs)
			p.hs.evict()
		}
	}
	h.join(hs)
}

// evict ends a handshake, from any goroutine.
func (hs *shaking) evict() {
	hs.c.r.CallFromThread(func() {
		if hs.c.hs == hs {
			hs.crowded = true
			hs.c.touch()
		}
	})
}

// wait says that the handshake waits for its peer again, after a step.
func (h *Handshakes) wait(hs *shaking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.join(hs)
	hs.piled = true
	h.pile.add()
}

// resume says that the handshake waits no more.
func (h *Handshakes) resume(hs *shaking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(hs)
}

// join puts hs at the end of those that wait.
func (h *Handshakes) join(hs *shaking) {
	p, last := &hs.place, h.waiting.prev
	p.prev, p.next = last, &h.waiting
	last.next, h.waiting.prev = p, p
}

// leave takes hs out of those that wait, if it is one.
func (h *Handshakes) leave(hs *shaking) {
	if p := &hs.place; p.next != nil {
		p.prev.next, p.next.prev = p.next, p.prev
		p.prev, p.next = nil, nil
		if p.piled {
			p.piled = false
			h.pile.remove()
		}
	}
}

// end counts a handshake off.
func (h *Handshakes) end(hs *shaking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(hs)
	h.n--
}

// submit has a step of hs computed, now or when its turn comes.
func (h *Handshakes) submit(hs *shaking) {
	h.mu.Lock()
	h.leave(hs)
	if h.running == h.parallel {
		h.push(hs)
		hs = nil
	} else {
		h.running++
	}
	h.mu.Unlock()
	h.start(hs)
}

func (h *Handshakes) push(hs *shaking) {
	if len(h.queue) == cap(h.queue) && h.head > 0 {
		n := copy(h.queue, h.queue[h.head:])
		clear(h.queue[n:])
		h.queue, h.head = h.queue[:n], 0
	}
	h.queue = append(h.queue, hs)
}

// pop takes the next step; nil says that there is none, and that one computes less.
func (h *Handshakes) pop() *shaking {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.head == len(h.queue) {
		h.queue, h.head = h.queue[:0], 0
		h.running--
		return nil
	}
	hs := h.queue[h.head]
	h.queue[h.head] = nil
	h.head++
	return hs
}

// start computes hs on a goroutine that the loop of hs waits for at its end. One that has ended
// needs no handshake.
func (h *Handshakes) start(hs *shaking) {
	for hs != nil && hs.c.r.Go(func() { h.run(hs) }) != nil {
		hs.c.e.abandon()
		hs = h.pop()
	}
}

// run computes steps, as long as there are some for the same loop.
func (h *Handshakes) run(hs *shaking) {
	r := hs.c.r
	for hs != nil && hs.c.r == r {
		h.collect()
		h.compute(hs)
		hs = h.pop()
	}
	h.start(hs)
}

// compute computes one step. A function of the tls.Config may end the goroutine: then another goes
// on.
func (h *Handshakes) compute(hs *shaking) {
	returned := false
	defer func() {
		if !hs.c.r.CallFromThread(hs.back) {
			hs.c.e.abandon()
		}
		if !returned {
			h.start(h.pop())
		}
	}()
	hs.compute()
	returned = true
}
