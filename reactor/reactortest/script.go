package reactortest

// How a promise is put to the test. A script is a function that runs on the loop, written from top to bottom: where it
// waits, the loop goes on without it, and comes back to it by a timer. So there is one goroutine, the order of things is
// the reactor's own, and a clock may be made up.

import (
	"errors"
	"iter"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"
)

const (
	// patience is how long a script waits, by the reactor's clock, for what must happen.
	patience = 10 * time.Second
	// look is how often it looks whether that has happened.
	look = time.Millisecond
	// stuck is after how long, by the real clock, a reactor that never comes back to its script is stopped.
	stuck = 2 * time.Minute
)

// A script is what a promise's function is given. What it calls on the reactor it calls on the loop.
type script struct {
	*testing.T
	r       *reactor.Reactor
	layer   *Layer // between each end and its transport; nil for none
	yield   func(time.Duration) bool
	what    string  // it waits for
	reports []error // what ReportError was told and no expectReport has taken
	ends    []*end  // of all connections, to see that each was told its end
}

// play runs f on a new reactor and looks at what is left.
func play(t *testing.T, c Setup, f func(s *script)) {
	t.Helper()
	if !c.beside {
		checkLeaks(t)
	}
	s := &script{T: t, layer: c.Layer}
	c.StallLimit = -1 // a script does much in one callback, and a busy machine is slow
	c.ReportError = func(err error) { s.reports = append(s.reports, err) }
	r, err := reactor.New(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	s.r = r
	over := false
	next, unwind := iter.Pull(func(yield func(time.Duration) bool) {
		defer func() {
			if v := recover(); v != nil && v != errUnwound {
				panic(v)
			}
		}()
		s.yield = yield
		f(s)
		over = true
	})
	defer unwind()
	var resume func()
	resume = func() {
		if d, more := next(); more {
			r.CallLater(d, resume)
		} else {
			r.Stop()
		}
	}
	r.CallLater(0, resume)
	var late atomic.Bool
	watchdog := time.AfterFunc(stuck, func() { late.Store(true); r.Stop() })
	defer watchdog.Stop()
	if err := c.run(r); err != nil {
		t.Errorf("Run: %v", err)
	}
	switch {
	case t.Failed():
		return
	case late.Load():
		t.Errorf("the reactor is stuck; the script waits for %s", s.what)
	case !over:
		t.Errorf("the reactor has ended while the script waits for %s", s.what)
	}
	for _, err := range s.reports {
		t.Errorf("reported: %v", err)
	}
	for _, e := range s.ends {
		e.atTheEnd()
	}
}

// errUnwound is what a script panics with when the reactor has ended while it waits.
var errUnwound = errors.New("reactortest: the reactor has ended")

// pass lets the loop go on for d.
func (s *script) pass(d time.Duration) {
	if !s.yield(d) {
		panic(errUnwound)
	}
}

// tick lets the loop go on until all that is ready was served.
func (s *script) tick() {
	s.pass(0)
	s.pass(0)
}

// until lets the loop go on until f is true.
func (s *script) until(what string, f func() bool) {
	s.Helper()
	s.what = what
	for passed := time.Duration(0); !f(); passed += look {
		if passed > patience {
			s.Fatalf("waited in vain for %s", what)
		}
		s.pass(look)
	}
	s.what = "nothing"
}

// expectReport takes back what was reported, and fails if it is not n errors.
func (s *script) expectReport(n int) []error {
	s.Helper()
	reports := s.reports
	if len(reports) != n {
		s.Errorf("%d reports, want %d: %v", len(reports), n, reports)
	}
	s.reports = nil
	return reports
}

// must is for what only fails when there is no point in going on.
func must[T any](x T, err error) func(s *script) T {
	return func(s *script) T {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return x
	}
}

// warmUp has the runtime open what it keeps open, so that it is no leak of the reactor's.
func warmUp(t *testing.T, c Setup) {
	t.Helper()
	time.AfterFunc(time.Hour, func() {}).Stop()
	r, err := reactor.New(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if err := c.run(r); err != nil {
		t.Fatal(err)
	}
}

// checkLeaks has the test fail if it leaves a descriptor or a goroutine behind.
func checkLeaks(t *testing.T) {
	fds, goroutines := countFDs(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(patience); countFDs(t) > fds || runtime.NumGoroutine() > goroutines; time.Sleep(10 * time.Microsecond) {
			if time.Now().After(end) {
				t.Fatalf("left behind: %d descriptors, %d goroutines", countFDs(t)-fds, runtime.NumGoroutine()-goroutines)
			}
		}
	})
}

func countFDs(t *testing.T) int {
	dir, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}
