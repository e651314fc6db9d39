package reactor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A schedule is a loop with a clock of the test's, and a LoopingCall on it every 10 ms whose calls are noted: when each was
// made, in milliseconds, and how many were skipped before it.
type schedule struct {
	*loop
	clock *fakeClock
	every *LoopingCall
	made  []string
	do    func() // what the call does besides
}

func newSchedule(t *testing.T) *schedule {
	s := &schedule{clock: newFakeClock()}
	s.loop = start(t, Config{System: s.clock.system()})
	s.loop.do(func() {
		begun := s.clock.since.Load()
		s.every = s.CallEvery(10*time.Millisecond, func() {
			at := fmt.Sprint((s.clock.since.Load() - begun) / int64(time.Millisecond))
			if n := s.every.Skipped(); n > 0 {
				at += fmt.Sprint("-", n)
			}
			s.made = append(s.made, at)
			if s.do != nil {
				s.do()
			}
		})
	})
	return s
}

// after moves the time on, so many milliseconds each, and checks what was called.
func (s *schedule) after(what string, want string, milliseconds ...int) {
	s.t.Helper()
	for _, d := range milliseconds {
		s.clock.advance(s.loop, time.Duration(d)*time.Millisecond)
	}
	s.loop.do(func() {
		if got := strings.Join(s.made, " "); got != want {
			s.t.Errorf("%s: called at %s, want %s", what, got, want)
		}
		s.made = nil
	})
}

func (s *schedule) spend(d time.Duration) { s.clock.since.Add(int64(d)) }

// The calls are due at whole intervals. One that is late puts off none, and those that were missed are skipped.
func TestCallEvery(t *testing.T) {
	s := newSchedule(t)
	s.after("in time", "10 20 30", 9, 1, 9, 1, 10)
	s.after("a little late", "43 50", 13, 7)
	s.after("very late", "85-2 90", 35, 5)
	s.do = func() { s.spend(3 * time.Millisecond) }
	s.after("while it takes a part of the time", "100 110 120", 10, 7, 7)
	s.do = func() { s.spend(25 * time.Millisecond) }
	s.after("while it takes longer than an interval", "130 160-2", 7, 5) // and 155 is not made up for
	s.do = nil
	s.after("at last", "190-2 200", 5, 10)
}

// Stop and Reset hold in the call and outside of it.
func TestCallEveryStopAndReset(t *testing.T) {
	s := newSchedule(t)
	s.after("at first", "10", 10, 5)
	s.loop.do(func() { s.every.Reset(20 * time.Millisecond) })
	s.after("with a longer interval", "35 55", 19, 1, 20)
	s.loop.do(func() { s.do = func() { s.do = nil; s.every.Reset(5 * time.Millisecond) } })
	s.after("with one that was set inside", "75 80 85", 20, 5, 5)
	s.loop.do(func() {
		if !s.every.Running() {
			t.Error("it does not run")
		}
		s.do = func() {
			s.every.Stop()
			s.every.Stop()
			if s.every.Running() {
				t.Error("it runs when stopped")
			}
		}
	})
	s.after("stopped inside", "90", 5, 5, 5)
	s.loop.do(func() { s.every.Reset(time.Millisecond) })
	s.after("stopped", "", 50)

	s = newSchedule(t)
	s.loop.do(func() {
		if n := len(s.DelayedCalls()); n != 1 {
			t.Errorf("%d calls are listed", n)
		}
		s.every.Stop()
		if n := len(s.DelayedCalls()); n != 0 || s.every.Running() {
			t.Errorf("%d calls are listed, Running is %v", n, s.every.Running())
		}
	})
	s.after("stopped outside", "", 50)
}

// A panic is reported and the calls go on; the end of the reactor ends them.
func TestCallEverySurvivesPanics(t *testing.T) {
	s := newSchedule(t)
	s.do = func() { panic("in the call") }
	s.after("panics", "10 20", 10, 10)
	if reports := s.reported(); len(reports) != 2 {
		t.Errorf("reported %v", reports)
	}
	s.stop()
	if s.every.Running() {
		t.Error("it runs without a reactor")
	}
	c := s.CallEvery(time.Millisecond, func() {})
	c.Reset(time.Second)
	if c.Running() {
		t.Error("one that was asked for at the end runs")
	}
}

func TestCallEveryRefuses(t *testing.T) {
	l := prepare(t, Config{})
	defer l.Close()
	c := l.CallEvery(time.Second, func() {})
	for name, f := range map[string]func(){
		"nothing to call": func() { l.CallEvery(time.Second, nil) },
		"no interval":     func() { l.CallEvery(0, func() {}) },
		"a negative one":  func() { c.Reset(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if n := len(l.DelayedCalls()); n != 1 {
		t.Errorf("%d calls are left", n)
	}
}

func TestLoopingCallString(t *testing.T) {
	s := newSchedule(t)
	var inside string
	s.do = func() { inside = s.every.String() }
	s.after("once", "10", 10, 4)
	s.loop.do(func() {
		const name = "call of microhttp/reactor.newSchedule.func1.1 every 10ms"
		got := []string{inside, s.every.String()}
		s.every.Stop()
		got = append(got, s.every.String())
		if want := []string{name, name + ", the next in 6ms", name + ", stopped"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// A call that is made again and again costs no memory each time, and a stall is told by its own name.
func TestCallEveryAllocatesNothing(t *testing.T) {
	clock := newFakeClock()
	l := prepare(t, Config{System: clock.system()})
	defer l.Close()
	made := 0
	l.CallEvery(time.Second, func() { made++ })
	l.timers.newTick()
	if n := testing.AllocsPerRun(100, func() {
		clock.since.Add(int64(time.Second))
		l.readClock()
		l.timers.newTick()
		l.runTimers()
	}); n > 0 || made != 101 {
		t.Errorf("%v allocations, %d calls", n, made)
	}
}

func TestStallOfALoopingCall(t *testing.T) {
	l, stalls, hold := watched(t, Config{})
	l.CallFromThread(func() { l.CallEvery(time.Millisecond, hold) })
	if s := receive(t, stalls, "the report"); !strings.Contains(s.Serving, "a timer: microhttp/reactor.watched") {
		t.Errorf("serving %s", s.Serving)
	}
}
