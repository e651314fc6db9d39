package reactor

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Any number of calls that find the loop asleep wake it once.
func TestOneWakeUp(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		asleep := make(chan struct{})
		var hold atomic.Bool
		posted := make(chan struct{})
		s.wait = func(p Poller, events []Event, _ time.Time) (int, error) {
			if hold.Swap(false) {
				asleep <- struct{}{}
				<-posted
			}
			return p.Wait(events, time.Time{})
		}
		l := start(t, c)
		l.do(func() { hold.Store(true) })
		receive(t, asleep, "the loop to fall asleep")
		before := s.wakes.Load()
		var made atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 100 {
					l.CallFromThread(func() { made.Add(1) })
				}
			})
		}
		wg.Wait()
		if n := s.wakes.Load() - before; n != 1 {
			t.Errorf("%d wake-ups for 1000 calls", n)
		}
		close(posted)
		eventually(t, "the calls", func() bool { return made.Load() == 1000 })
	})
}

// A call made on the loop itself needs no wake-up, and waits for the next tick.
func TestCallFromLoop(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	done := make(chan struct{})
	l.do(func() {
		before := s.wakes.Load()
		waited := false
		l.CallFromThread(func() {
			if !waited {
				t.Error("called at once")
			}
			if n := s.wakes.Load() - before; n != 0 {
				t.Errorf("%d wake-ups", n)
			}
			close(done)
		})
		waited = true
	})
	receive(t, done, "the call")
}

// A call that posts itself again for ever does not keep the loop from its descriptors.
func TestCallsDoNotStarve(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, nil)
		stop := false
		var again func()
		again = func() {
			if !stop {
				l.CallFromThread(again)
			}
		}
		l.CallFromThread(again)
		send(t, conn, "hello")
		eventually(t, "data", func() bool { return rec.received() == "hello" })
		l.do(func() { stop = true })
	})
}

func TestBatch(t *testing.T) {
	var b batch[int]
	turn := func() (got []int) {
		for b.begin(); ; {
			x, ok := b.take()
			if !ok {
				return got
			}
			got = append(got, x)
			if x > 0 {
				b.add(x - 1)
			}
		}
	}
	b.add(2)
	b.add(0)
	for i, want := range [][]int{{2, 0}, {1}, {0}, nil} {
		if got := turn(); !slices.Equal(got, want) {
			t.Errorf("turn %d: %v, want %v", i, got, want)
		}
	}
	// A broken turn goes on where it broke.
	b.add(7)
	b.add(8)
	b.begin()
	b.take()
	b.add(9)
	b.begin()
	if x, _ := b.take(); x != 8 {
		t.Errorf("took %d, want 8", x)
	}
	if _, ok := b.take(); ok {
		t.Error("the turn goes on with what came during it")
	}
	// Memory for a burst is not kept.
	for range batchKeep * 2 {
		b.add(0)
	}
	turn()
	turn()
	if cap(b.now) > batchKeep || cap(b.next) > batchKeep {
		t.Errorf("keeps %d and %d", cap(b.now), cap(b.next))
	}
}
