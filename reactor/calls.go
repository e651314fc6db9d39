package reactor

// Calls from other goroutines. They queue behind a mutex, and the loop takes the whole queue at once. A wake-up costs a
// system call, so it is given only by the first who finds the loop asleep: the loop first says that it sleeps and then
// looks at the queue, a caller first queues and then looks whether the loop sleeps, so one of them sees the other.

import (
	"sync"
	"sync/atomic"
)

type calls struct {
	mu     sync.Mutex
	turns  batch[func()] // the side that is added to is guarded by mu
	closed bool          // guarded by mu

	pending atomic.Bool // there is a reason not to sleep
	asleep  atomic.Bool // and it was not woken yet
}

// CallFromThread has f called on the loop, in the next tick. It may be called from any goroutine, the loop's included,
// and never blocks; calls from one goroutine are made in their order, and many calls cost one wake-up. It returns false,
// and drops f, once the reactor has ended; an accepted call is made, also when the reactor is stopping.
//
// The queue has no bound of its own: callers are the program's own goroutines, and bounding those bounds it.
func (r *Reactor) CallFromThread(f func()) bool {
	c := &r.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.turns.add(f)
	c.rouse(r.poller)
	return true
}

// interrupt has the loop look around without a call.
func (c *calls) interrupt(p Poller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.rouse(p)
	}
}

// rouse keeps the loop from sleeping. It is called with mu held, so that the poller is not closed meanwhile.
func (c *calls) rouse(p Poller) {
	c.pending.Store(true)
	if c.asleep.Load() && c.asleep.CompareAndSwap(true, false) {
		p.Wake()
	}
}

// fallAsleep says that the loop is about to sleep; false says that it must not.
func (c *calls) fallAsleep() bool {
	c.asleep.Store(true) // before the question, or a call between the two would wake no loop
	if c.pending.Load() {
		c.awake()
		return false
	}
	return true
}

func (c *calls) awake() { c.asleep.Store(false) }

// close refuses calls from now on.
func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
}

// runCalls makes the calls that are queued. Those that they queue wait for the next tick.
func (r *Reactor) runCalls() {
	c := &r.calls
	if !c.turns.broken() {
		if !c.pending.Load() {
			return
		}
		c.mu.Lock()
		c.pending.Store(false)
		c.turns.begin()
		c.mu.Unlock()
	}
	for {
		f, ok := c.turns.take()
		if !ok {
			return
		}
		r.watch.begin(servingCall, nil, -1, f)
		f()
	}
}
