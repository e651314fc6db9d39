package reactor

import (
	"errors"
	"math"
	"testing"
	"time"
)

// Timers that are moved: Delay, Reset, and what postponing costs.

// Postponing is O(1): the heap is not touched.
func TestPostponingIsLazy(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var calls int
	var c *DelayedCall
	l.do(func() {
		c = l.CallLater(time.Minute, func() { calls++ })
		key := l.timers.heap[c.index].key
		for range 1000 {
			clock.since.Add(int64(time.Second))
			if err := c.Reset(time.Minute); err != nil {
				t.Error(err)
			}
		}
		if l.timers.heap[c.index].key != key {
			t.Error("the heap was touched")
		}
	})
	clock.advance(l, 59*time.Second)
	l.do(func() {
		if calls != 0 {
			t.Error("early")
		}
	})
	clock.advance(l, time.Second)
	l.do(func() {
		if calls != 1 {
			t.Errorf("called %d times", calls)
		}
	})
}

// A call put off after it was brought forward, beyond the reactor's beginning, comes when it was put off to.
func TestDelayBackAndForth(t *testing.T) {
	l := prepare(t, Config{})
	for _, back := range []time.Duration{-time.Hour, math.MinInt64} {
		c := l.CallLater(0, func() {})
		for range 2 {
			if err := c.Delay(back); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Delay(time.Hour); err != nil {
			t.Fatal(err)
		}
		if d := c.Time().Sub(l.Now()); d > time.Hour {
			t.Errorf("put off by an hour, it is due in %v", d)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Reset counts from a clock that may be old, and is not early for that: neither after a tick that has lasted long, nor by
// the clock of whoever asked.
func TestResetIsNeverEarly(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var called bool
	var c *DelayedCall
	l.do(func() {
		c = l.CallLater(time.Minute, func() { called = true })
		for range 3 { // and is put off once, however often it is called
			if err := c.Reset(time.Minute); err != nil {
				t.Error(err)
			}
			clock.since.Add(int64(time.Hour)) // this very callback takes hours
		}
	})
	l.do(func() {
		if got, want := c.Time().Sub(clock.epoch), 3*time.Hour+time.Minute; got != want {
			t.Errorf("due at %v, want %v", got, want)
		}
	})
	clock.advance(l, 59*time.Second)
	l.do(func() {
		if called {
			t.Error("early")
		}
	})
	clock.advance(l, time.Second)
	l.do(func() {
		if !called {
			t.Error("not called")
		}
	})

	real := start(t, Config{})
	const n = 100
	done := make(chan time.Duration, n)
	real.do(func() {
		for i := range n {
			var asked time.Time
			d := time.Duration(i*37%50) * 100 * time.Microsecond
			c := real.CallLater(time.Hour, func() { done <- time.Since(asked) - d })
			asked = time.Now()
			if err := c.Reset(d); err != nil {
				t.Error(err)
			}
		}
	})
	for range n {
		if late := receive(t, done, "a call"); late < 0 {
			t.Errorf("%v early", -late)
		}
	}
}

// Nor is it early between ticks, where the triggers are called: the clock of the tick before is older than that.
func TestResetInATrigger(t *testing.T) {
	clock := newFakeClock()
	l := prepare(t, Config{System: clock.system()})
	due := func(asked string, c *DelayedCall, since time.Duration) {
		if got := c.Time().Sub(clock.epoch); got < since+time.Minute {
			t.Errorf("%s: due at %v, want %v", asked, got, since+time.Minute)
		}
	}
	var c *DelayedCall
	reset := func() {
		l.Now() // which may be kept
		clock.since.Add(int64(time.Hour))
		if err := c.Reset(time.Minute); err != nil {
			t.Error(err)
		}
	}
	l.AddSystemEventTrigger(Before, Startup, func() {
		c = l.CallLater(time.Minute, func() {})
		reset()
	})
	l.start()
	l.do(func() { due("at startup", c, time.Hour) })
	reached := make(chan func())
	l.do(func() {
		l.AddSystemEventTrigger(Before, Shutdown, func() {
			reset()
			reached <- l.HoldShutdown()
		})
		l.Stop()
		clock.since.Add(int64(time.Hour)) // the last tick lasts
	})
	release := receive(t, reached, "the shutdown")
	l.do(func() { due("at shutdown", c, 3*time.Hour) })
	release()
}

// A call that was reset and made, or cancelled, in the same tick is left as it was.
func TestResetThenDone(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var c, cancelled *DelayedCall
	var at time.Time
	l.do(func() {
		c, cancelled = l.CallLater(time.Hour, func() {}), l.CallLater(time.Hour, func() {})
		l.CallFromThread(func() {
			if err := errors.Join(c.Reset(0), cancelled.Reset(0), cancelled.Cancel()); err != nil {
				t.Error(err)
			}
			at = l.Now()
			clock.since.Add(int64(time.Second))
		})
	})
	l.do(func() {})
	l.do(func() {
		if c.Active() || !c.Time().Equal(at) || !cancelled.Time().Equal(at) {
			t.Errorf("active %v, due %v and %v, want %v", c.Active(), c.Time(), cancelled.Time(), at)
		}
	})
}
