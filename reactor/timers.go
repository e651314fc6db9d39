package reactor

// Timers are a heap that is lazy about postponing: a call that is put off keeps its place, and is moved only when that
// place comes up. A timeout that is pushed back a thousand times and never expires so costs a thousand stores and one
// move. All times are nanoseconds since the reactor was made.
//
// A call is never early, by any clock. CallLater reads the clock. Reset does not: that would cost more than all else that
// it does. It counts from the tick's clock, and when the tick is over its calls are put off by as long as that took.

import (
	"math"
	"slices"
	"time"
)

const (
	// never is a time that does not come.
	never = math.MaxInt64

	// timersKeep is for how many calls memory is kept when most of them are gone.
	timersKeep = 4096
)

// A DelayedCall is a call that CallLater has promised. Its methods are for the loop, or before Run.
type DelayedCall struct {
	r     *Reactor
	f     func()
	when  int64  // when to call
	seq   uint64 // the order of equals
	index int32  // the place in the heap
	state callState
	reset bool // in this tick: its end moves when
}

type callState uint8

const (
	callPending callState = iota
	callDone
	callCancelled
)

// refusals says why a call that is not pending cannot be changed.
var refusals = [...]error{callPending: nil, callDone: ErrAlreadyCalled, callCancelled: ErrAlreadyCancelled}

// CallLater calls f on the loop once d has passed, never earlier; calls due at the same time are made in the order they
// were asked for. It is for the loop, or before Run: other goroutines come in through CallFromThread. On a reactor that
// has stopped, the call is cancelled from the start.
func (r *Reactor) CallLater(d time.Duration, f func()) *DelayedCall {
	t := &r.timers
	c := &DelayedCall{r: r, f: f, when: r.after(d), seq: t.seq}
	if r.ending {
		c.state, c.f = callCancelled, nil
		return c
	}
	t.seq++
	t.heap.push(c, c.when)
	return c
}

// DelayedCalls returns the calls that are still to be made, the next one first. It is Twisted's getDelayedCalls, for the
// loop, or before Run.
func (r *Reactor) DelayedCalls() []*DelayedCall {
	all := make([]*DelayedCall, len(r.timers.heap))
	for i, e := range r.timers.heap {
		all[i] = e.call
	}
	slices.SortFunc(all, func(a, b *DelayedCall) int {
		if a.when < b.when || a.when == b.when && a.seq < b.seq {
			return -1
		}
		return 1
	})
	return all
}

// after is d from now; from now and not from the tick's clock, which is a little old, and the call would be early.
func (r *Reactor) after(d time.Duration) int64 { return later(r.reading(), d) }

// later is t+d without overflow.
func later(t int64, d time.Duration) int64 {
	if d <= 0 {
		return t
	}
	if int64(d) > never-1-t {
		return never - 1
	}
	return t + int64(d)
}

// Cancel takes the call back. The error is ErrAlreadyCalled or ErrAlreadyCancelled.
func (c *DelayedCall) Cancel() error {
	if c.state != callPending {
		return refusals[c.state]
	}
	c.state, c.f = callCancelled, nil
	c.r.timers.heap.remove(int(c.index))
	return nil
}

// Reset has the call made d from now instead, never earlier, and at most the rest of this tick later; it costs a few
// nanoseconds and may be called for each sign of life. The errors are Cancel's.
func (c *DelayedCall) Reset(d time.Duration) error {
	if c.state == callPending {
		r := c.r
		c.move(later(r.clock(), d))
		if r.fresh && !c.reset { // else the clock was read just now
			c.reset = true
			r.timers.resets = append(r.timers.resets, c)
		}
	}
	return refusals[c.state]
}

// Delay has the call made d later than it would be; d may be negative. The errors are Cancel's.
func (c *DelayedCall) Delay(d time.Duration) error {
	if c.state == callPending {
		if d < 0 {
			c.move(max(c.when+int64(d), 0)) // a time before the reactor's is of no use, and could overflow later
		} else {
			c.move(later(c.when, d))
		}
	}
	return refusals[c.state]
}

// move changes the time. Only one earlier than the key in the heap moves the call there, and one that is put off is not
// even looked for: among many, its entry is far away in memory.
func (c *DelayedCall) move(when int64) {
	postponed := when >= c.when
	c.when = when
	if postponed {
		return
	}
	if h := &c.r.timers.heap; when < (*h)[c.index].key {
		h.up(int(c.index), timerEntry{when, c})
	}
}

// Active reports whether the call is still to be made.
func (c *DelayedCall) Active() bool { return c.state == callPending }

// Time returns when the call will be made, or was to be made.
func (c *DelayedCall) Time() time.Time { return c.r.epoch.Add(time.Duration(c.when)) }

type timers struct {
	heap   timerHeap
	resets []*DelayedCall // in this tick
	seq    uint64
	limit  uint64 // calls that were asked for in this tick wait for the next
}

func (t *timers) newTick() { t.limit = t.seq }

// endTick puts off what Reset has set by the tick's clock, which is by now so much behind.
func (t *timers) endTick(behind int64) {
	for _, c := range t.resets {
		c.reset = false
		if c.state == callPending {
			c.when = later(c.when, time.Duration(behind))
		}
	}
	clear(t.resets)
	t.resets = t.resets[:0]
	if cap(t.resets) > timersKeep {
		t.resets = nil
	}
}

// first is when the heap wants to be looked at.
func (t *timers) first() int64 {
	if len(t.heap) == 0 {
		return never
	}
	return t.heap[0].key
}

// clear cancels everything.
func (t *timers) clear() {
	for _, e := range t.heap {
		e.call.state, e.call.f = callCancelled, nil
	}
	t.heap, t.resets = nil, nil
}

// runTimers makes the calls that are due. A call due at once that asks for another such call would never end, so calls
// as young as this tick wait; they stand behind all older ones that are due.
func (r *Reactor) runTimers() {
	for t := &r.timers; len(t.heap) > 0; {
		e := t.heap[0]
		c := e.call
		if e.key > r.clock() || c.seq >= t.limit {
			return
		}
		if e.key != c.when {
			t.heap.down(0, timerEntry{c.when, c})
			continue
		}
		t.heap.remove(0)
		f := c.f
		c.state, c.f = callDone, nil
		r.watch.begin(servingTimer, nil, -1, f)
		f()
	}
}
