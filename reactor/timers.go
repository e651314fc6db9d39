package reactor

// Timers are a heap that is lazy about postponing: a call that is put off keeps its place, and is moved only when that
// place comes up. A timeout that is pushed back a thousand times and never expires so costs a thousand stores and one
// move. All times are nanoseconds since the reactor was made.

import (
	"container/heap"
	"math"
	"time"
)

// never is a time that does not come.
const never = math.MaxInt64

// A DelayedCall is a call that CallLater has promised. Its methods are for the loop, or before Run.
type DelayedCall struct {
	r     *Reactor
	f     func()
	when  int64  // when to call
	key   int64  // the place in the heap: never later than when
	seq   uint64 // the order of equals
	index int
	state callState
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
	c := &DelayedCall{r: r, f: f, when: r.after(d), seq: r.timers.seq}
	if r.ending {
		c.state, c.f = callCancelled, nil
		return c
	}
	c.key = c.when
	r.timers.seq++
	heap.Push(&r.timers.heap, c)
	return c
}

// after is d from now; from now and not from the tick's clock, which is a little old, and the call would be early.
func (r *Reactor) after(d time.Duration) int64 {
	now := int64(r.sys.Now().Sub(r.epoch))
	return later(now, d)
}

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
	heap.Remove(&c.r.timers.heap, c.index)
	return nil
}

// Reset has the call made d from now instead. The errors are Cancel's.
func (c *DelayedCall) Reset(d time.Duration) error {
	if c.state == callPending {
		c.move(c.r.after(d))
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

// move changes the time. Only an earlier one moves the call in the heap.
func (c *DelayedCall) move(when int64) {
	c.when = when
	if when < c.key {
		c.key = when
		heap.Fix(&c.r.timers.heap, c.index)
	}
}

// Active reports whether the call is still to be made.
func (c *DelayedCall) Active() bool { return c.state == callPending }

// Time returns when the call will be made, or was to be made.
func (c *DelayedCall) Time() time.Time { return c.r.epoch.Add(time.Duration(c.when)) }

type timers struct {
	heap  timerHeap
	seq   uint64
	limit uint64 // calls that were asked for in this tick wait for the next
}

func (t *timers) newTick() { t.limit = t.seq }

// first is when the heap wants to be looked at.
func (t *timers) first() int64 {
	if len(t.heap) == 0 {
		return never
	}
	return t.heap[0].key
}

// clear cancels everything.
func (t *timers) clear() {
	for _, c := range t.heap {
		c.state, c.f = callCancelled, nil
	}
	t.heap = nil
}

// runTimers makes the calls that are due. A call due at once that asks for another such call would never end, so calls
// as young as this tick wait; they stand behind all older ones that are due.
func (r *Reactor) runTimers() {
	for t := &r.timers; len(t.heap) > 0; {
		c := t.heap[0]
		if c.key > r.clock() || c.seq >= t.limit {
			return
		}
		if c.key != c.when {
			c.key = c.when
			heap.Fix(&t.heap, 0)
			continue
		}
		heap.Pop(&t.heap)
		f := c.f
		c.state, c.f = callDone, nil
		f()
	}
}

// timerHeap is container/heap's view of the calls.
type timerHeap []*DelayedCall

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	return h[i].key < h[j].key || h[i].key == h[j].key && h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *timerHeap) Push(x any) {
	c := x.(*DelayedCall)
	c.index = len(*h)
	*h = append(*h, c)
}

// Pop is heap.Interface's.
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
