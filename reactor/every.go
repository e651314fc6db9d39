package reactor

// Calls that come again and again: Twisted's task.LoopingCall.

import (
	"fmt"
	"time"
)

// A LoopingCall is a call that CallEvery makes. Its methods are for the loop, or before Run.
type LoopingCall struct {
	r        *Reactor
	f        func()
	step     func()       // run, made once so that a call does not allocate
	call     *DelayedCall // the next one
	interval int64
	base     int64 // the calls are due at base plus whole intervals
	last     int64 // how many intervals the last call was after base
	skipped  int
	inside   bool // f runs
	stopped  bool
}

// CallEvery calls f on the loop again and again: d from now, and then each time that another d has passed, never earlier. The
// calls do not drift: however late one is, the next is due when it would have been. Calls that are missed meanwhile, because
// the loop was busy or f took longer than d, are skipped; see Skipped. To call f at once, too, call it.
//
// It goes on until Stop, or until the reactor ends. A panic of f is reported and does not end it, as it ends Twisted's
// LoopingCall. CallEvery panics if d is not positive or f is nil. It is for the loop, or before Run. On a reactor that has
// stopped, f is never called.
func (r *Reactor) CallEvery(d time.Duration, f func()) *LoopingCall {
	if f == nil {
		panic("reactor: CallEvery of nil")
	}
	c := &LoopingCall{r: r, f: f}
	c.step = c.run
	c.setInterval(d)
	c.call = r.CallLater(d, c.step)
	c.base = c.call.when - c.interval
	return c
}

func (c *LoopingCall) setInterval(d time.Duration) {
	if d <= 0 {
		panic("reactor: an interval must be positive, not " + d.String())
	}
	c.interval = int64(d)
}

// run makes a call that is due.
func (c *LoopingCall) run() {
	passed := c.passed(c.r.clock())
	c.skipped, c.last = int(max(passed-c.last-1, 0)), passed // a call that was brought forward is one too many
	c.inside = true
	defer c.returned()
	c.r.watch.begin(servingTimer, nil, -1, c.f) // and not run, whose name says nothing
	c.f()
}

// passed is how many whole intervals are between base and now.
func (c *LoopingCall) passed(now int64) int64 { return (now - c.base) / c.interval }

// returned has the next call made at the first due time that is still to come.
func (c *LoopingCall) returned() {
	c.inside = false
	if !c.stopped {
		now := c.r.reading()
		c.call.again(later(now, time.Duration(c.interval-(now-c.base)%c.interval)), c.step)
	}
}

// Stop ends the calls. It may be called in f, and again.
func (c *LoopingCall) Stop() {
	c.stopped = true
	_ = c.call.Cancel() // it may just have been called
}

// Reset has the calls come every d from now on, the first of them d from now. It panics if d is not positive. After Stop it
// does nothing.
func (c *LoopingCall) Reset(d time.Duration) {
	c.setInterval(d)
	c.base, c.last = c.r.reading(), 0
	if !c.inside && c.Running() {
		_ = c.call.Cancel()
		c.call.again(later(c.base, d), c.step)
	}
}

// Running reports whether there are calls to come.
func (c *LoopingCall) Running() bool { return !c.stopped && (c.inside || c.call.Active()) }

// Skipped is how many calls were missed between the last one and the one before it. f may ask it to make up for them.
func (c *LoopingCall) Skipped() int { return c.skipped }

// String names the call by its function and interval, as "call of main.tidy every 1m0s, the next in 12s", or with
// ", stopped".
func (c *LoopingCall) String() string {
	name := fmt.Sprintf("call of %s every %v", functionName(c.f), time.Duration(c.interval))
	switch {
	case !c.Running():
		return name + ", stopped"
	case c.inside:
		return name
	}
	return fmt.Sprintf("%s, the next in %v", name, time.Duration(c.call.when-c.r.reading()).Round(time.Microsecond))
}

// again has a call that was made or cancelled made once more.
func (c *DelayedCall) again(when int64, f func()) {
	t := &c.r.timers
	if c.r.ending {
		c.state, c.f = callCancelled, nil
		return
	}
	c.state, c.f, c.when, c.seq = callPending, f, when, t.seq
	t.seq++
	t.heap.push(c, when)
}
