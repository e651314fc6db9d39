package reactor

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A fakeClock stands still until it is told to go on. The descriptors below it are real.
type fakeClock struct {
	epoch time.Time
	since atomic.Int64
}

func newFakeClock() *fakeClock {
	return &fakeClock{epoch: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// system is the kernel with this clock. A wait with a deadline ends when there is an event: advance makes one.
func (c *fakeClock) system() *faultySystem {
	s := &faultySystem{now: func() time.Time { return c.epoch.Add(time.Duration(c.since.Load())) }}
	s.wait = func(p Poller, events []Event, until time.Time) (int, error) {
		return p.Wait(events, time.Time{})
	}
	return s
}

// advance moves the time, once the tick is over that the test was in last, and has the loop look at it.
func (c *fakeClock) advance(l *loop, d time.Duration) {
	l.t.Helper()
	l.do(func() {})
	c.since.Add(int64(d))
	l.do(func() {})
	l.do(func() {})
}

// Never early, by the clock of whoever asked.
func TestCallLaterIsNeverEarly(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		const n = 200
		done := make(chan time.Duration, n)
		l.do(func() {
			for i := range n {
				d := time.Duration(i*37%50) * 100 * time.Microsecond
				asked := time.Now()
				l.CallLater(d, func() { done <- time.Since(asked) - d })
			}
		})
		for range n {
			if late := receive(t, done, "a call"); late < 0 {
				t.Errorf("%v early", -late)
			}
		}
	})
}

// A tick that takes long makes no later call early.
func TestCallLaterUsesAFreshClock(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var called bool
	l.do(func() {
		l.Now()
		clock.since.Add(int64(time.Hour)) // this very callback takes an hour
		l.CallLater(time.Minute, func() { called = true })
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
}

// Whatever is done to timers, the order of calls is that of a sorted list.
func TestTimersAgainstAList(t *testing.T) {
	const seed = 11
	rnd := rand.New(rand.NewPCG(seed, seed))
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	type model struct {
		id   int
		when time.Duration
		call *DelayedCall
	}
	var pending []model
	var got []int
	random := func() time.Duration { return time.Duration(rnd.IntN(100)) * time.Second }
	for round := range 300 {
		now := time.Duration(clock.since.Load())
		l.do(func() {
			for i := range rnd.IntN(4) {
				id, d := round*10+i, random()
				pending = append(pending, model{id, now + d, l.CallLater(d, func() { got = append(got, id) })})
			}
			if len(pending) == 0 {
				return
			}
			i := rnd.IntN(len(pending))
			m, d := &pending[i], random()
			var err error
			switch rnd.IntN(4) {
			case 0:
				err = m.call.Reset(d)
				m.when = now + d
			case 1:
				d -= 50 * time.Second
				err = m.call.Delay(d)
				m.when += d
			case 2:
				err = m.call.Cancel()
				pending = slices.Delete(pending, i, i+1)
			}
			if err != nil {
				t.Errorf("%v (seed %d)", err, seed)
			}
		})
		clock.advance(l, random()/4)
		now = time.Duration(clock.since.Load())
		var want []model
		pending = slices.DeleteFunc(pending, func(m model) bool {
			if m.when > now {
				return false
			}
			want = append(want, m)
			return true
		})
		l.do(func() {
			var ids []int
			for _, m := range want {
				ids = append(ids, m.id)
				if m.call.Active() {
					t.Errorf("%d is active", m.id)
				}
			}
			for _, m := range pending {
				if !m.call.Active() || m.call.Time().Sub(clock.epoch) != m.when {
					t.Errorf("%d: active %v, time %v", m.id, m.call.Active(), m.call.Time())
				}
			}
			slices.Sort(ids)
			slices.Sort(got) // the order has a test of its own
			if fmt.Sprint(got) != fmt.Sprint(ids) {
				t.Fatalf("round %d: called %v, want %v (seed %d)", round, got, ids, seed)
			}
			got = nil
		})
	}
}

func TestTimersInOrder(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var got []string
	add := func(d time.Duration, name string) *DelayedCall {
		return l.CallLater(d, func() { got = append(got, name) })
	}
	l.do(func() {
		add(2*time.Second, "c")
		add(time.Second, "a")
		add(time.Second, "b")
		late := add(time.Second, "e")
		if err := late.Delay(2 * time.Second); err != nil {
			t.Error(err)
		}
		early := add(time.Hour, "d")
		if err := early.Reset(2 * time.Second); err != nil {
			t.Error(err)
		}
	})
	clock.advance(l, time.Minute)
	l.do(func() {
		if fmt.Sprint(got) != "[a b c d e]" {
			t.Errorf("called in order %v", got)
		}
	})
}

func TestDelayedCallErrors(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	var called, cancelled *DelayedCall
	l.do(func() {
		called = l.CallLater(0, func() {
			if called.Active() {
				t.Error("active while it is called")
			}
		})
		cancelled = l.CallLater(0, func() { t.Error("a cancelled call is made") })
		if err := cancelled.Cancel(); err != nil {
			t.Error(err)
		}
	})
	clock.advance(l, time.Second)
	l.do(func() {
		for _, tc := range []struct {
			call *DelayedCall
			want error
		}{{called, ErrAlreadyCalled}, {cancelled, ErrAlreadyCancelled}} {
			for _, err := range []error{tc.call.Cancel(), tc.call.Reset(0), tc.call.Delay(0)} {
				if err != tc.want {
					t.Errorf("%v, want %v", err, tc.want)
				}
			}
		}
		forever := l.CallLater(math.MaxInt64, func() { t.Error("for ever has passed") })
		if err := forever.Delay(math.MaxInt64); err != nil || !forever.Active() {
			t.Errorf("a call in 292 years: %v", err)
		}
	})
	clock.advance(l, time.Second)
}

// A call that asks for another at once does not keep the loop from its descriptors.
func TestCallLaterZeroDoesNotStarve(t *testing.T) {
	clock := newFakeClock() // stands still, so that each such call is due at once
	l := start(t, Config{System: clock.system()})
	conn, rec := l.connect(nil, nil)
	stop := false
	var again func()
	again = func() {
		if !stop {
			l.CallLater(0, again)
		}
	}
	l.do(again)
	send(t, conn, "hello")
	eventually(t, "data", func() bool { return rec.received() == "hello" })
	l.do(func() { stop = true })
}

// Now stands still within a tick and never goes back.
func TestNow(t *testing.T) {
	l := start(t, Config{})
	var first, second time.Time
	l.do(func() {
		first = l.Now()
		for end := time.Now(); !time.Now().After(end); {
		}
		if !l.Now().Equal(first) {
			t.Error("the clock moved within a tick")
		}
	})
	l.do(func() { second = l.Now() })
	if !second.After(first) {
		t.Error("the clock stands still")
	}
}

// DelayedCalls is what is pending, in the order in which it will be called.
func TestDelayedCalls(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	l.do(func() {
		if got := l.DelayedCalls(); len(got) != 0 {
			t.Errorf("%d calls, want none", len(got))
		}
		var calls []*DelayedCall
		for i := range 50 {
			calls = append(calls, l.CallLater(time.Duration(i*31%50/2)*time.Second, func() {}))
		}
		if err := errors.Join(calls[7].Cancel(), calls[8].Delay(time.Minute), calls[9].Reset(0)); err != nil {
			t.Error(err)
		}
		want := slices.Clone(calls)
		want = slices.Delete(want, 7, 8)
		slices.SortStableFunc(want, func(a, b *DelayedCall) int { return a.Time().Compare(b.Time()) })
		if got := l.DelayedCalls(); !slices.Equal(got, want) {
			t.Errorf("%d calls, want %d in another order", len(got), len(want))
		}
	})
	clock.advance(l, time.Hour)
	l.do(func() {
		if got := l.DelayedCalls(); len(got) != 0 {
			t.Errorf("%d calls are left", len(got))
		}
	})
}

// A call that is cancelled leaves nothing behind, and a crowd that has gone does not keep its place.
func TestCancelledTimersDoNotPileUp(t *testing.T) {
	l := prepare(t, Config{})
	defer l.Close()
	hour := l.CallLater(time.Hour, func() {})
	for range 20_000 {
		if err := l.CallLater(time.Minute, func() {}).Cancel(); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(l.timers.heap); n > 8 {
		t.Errorf("room for %d calls is kept for one", n)
	}
	var calls []*DelayedCall
	for range 20_000 {
		calls = append(calls, l.CallLater(time.Minute, func() {}))
	}
	for _, c := range calls {
		if err := c.Cancel(); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(l.timers.heap); n > 2*timersKeep {
		t.Errorf("room for %d calls is kept for one", n)
	}
	if !hour.Active() || !slices.Equal(l.DelayedCalls(), []*DelayedCall{hour}) {
		t.Error("the one that is left is not the one that was")
	}
}

// Arming costs the DelayedCall, and all else nothing.
func TestTimerAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := prepare(t, Config{})
	defer l.Close()
	l.stage.Store(stageRunning) // the test is the loop
	defer l.stage.Store(stageNew)
	f := func() {}
	c := l.CallLater(time.Hour, f)
	for _, tc := range []struct {
		what string
		do   func()
		want float64
	}{
		{"CallLater and Cancel", func() { _ = l.CallLater(time.Minute, f).Cancel() }, 1},
		{"CallLater and the call", func() {
			l.CallLater(0, f)
			l.timers.newTick()
			l.fresh = false
			l.runTimers()
		}, 1},
		{"Reset", func() { _ = c.Reset(time.Hour); l.timers.endTick(1) }, 0},
		{"Delay", func() { _ = c.Delay(time.Second) }, 0},
		{"Delay to an earlier time", func() { _ = c.Delay(-time.Second) }, 0},
	} {
		if n := testing.AllocsPerRun(200, tc.do); n != tc.want {
			t.Errorf("%s: %v allocations, want %v", tc.what, n, tc.want)
		}
	}
}
