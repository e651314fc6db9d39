package reactor

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"weak"
)

// The pool has the goroutines and the queue that it was given, and no more.
func TestCallInThreadBounds(t *testing.T) {
	const size, queue = 3, 5
	l := start(t, Config{ThreadPoolSize: size, ThreadQueue: queue})
	release := make(chan struct{})
	var running, most, done atomic.Int64
	work := func() {
		most.Store(max(most.Load(), running.Add(1)))
		<-release
		running.Add(-1)
		done.Add(1)
	}
	for range size {
		if err := l.CallInThread(work); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all goroutines to be busy", func() bool { return running.Load() == size })
	for range queue {
		if err := l.CallInThread(work); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.CallInThread(work); err != ErrPoolFull {
		t.Errorf("one too many: %v", err)
	}
	close(release)
	eventually(t, "the work", func() bool { return done.Load() == size+queue })
	if most.Load() > size {
		t.Errorf("%d at a time", most.Load())
	}
	if err := l.CallInThread(func() {}); err != nil {
		t.Errorf("room again: %v", err)
	}
}

// Goroutines are used again, not started for each call.
func TestCallInThreadReusesGoroutines(t *testing.T) {
	l := start(t, Config{})
	for range 1000 {
		done := make(chan struct{})
		if err := l.CallInThread(func() { close(done) }); err != nil {
			t.Fatal(err)
		}
		receive(t, done, "the call")
		eventually(t, "an idle goroutine", func() bool {
			l.threads.mu.Lock()
			defer l.threads.mu.Unlock()
			return l.threads.idle > 0
		})
	}
	l.threads.mu.Lock()
	defer l.threads.mu.Unlock()
	if l.threads.started != 1 {
		t.Errorf("%d goroutines for one call at a time", l.threads.started)
	}
}

// A call that panics or ends its goroutine is reported, or not, and the pool goes on with those behind it.
func TestCallInThreadThatDoesNotReturn(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1})
	boom := errors.New("boom")
	done := make(chan struct{})
	for _, f := range []func(){func() { panic(boom) }, runtime.Goexit, func() { close(done) }} {
		if err := l.CallInThread(f); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, done, "the third call")
	eventually(t, "the report", func() bool { return len(l.reported()) > 0 })
	var p *PanicError
	if err := l.reported()[0]; !errors.Is(err, boom) || !errors.As(err, &p) || len(p.Stack) == 0 {
		t.Errorf("reported %v", err)
	}
	eventually(t, "all to be done", func() bool { return !l.threads.busy() })
}

// Run waits for accepted work, and work that waits for the loop is not left waiting.
func TestCallInThreadAtTheEnd(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		c.ThreadPoolSize = 2
		l := start(t, c)
		begun, release := make(chan struct{}, 10), make(chan struct{})
		var done atomic.Int64
		for range 10 {
			if err := l.CallInThread(func() {
				begun <- struct{}{}
				<-release
				back := make(chan struct{})
				if l.CallFromThread(func() { close(back) }) {
					<-back
				}
				done.Add(1)
			}); err != nil {
				t.Fatal(err)
			}
		}
		receive(t, begun, "the first call")
		l.Stop()
		close(release)
		l.stop()
		if done.Load() != 10 {
			t.Errorf("%d of 10 calls done when Run returned", done.Load())
		}
		if err := l.CallInThread(func() {}); err != ErrStopped {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A call of nil is a panic like any other, and the pool goes on behind it.
func TestCallInThreadOfNil(t *testing.T) {
	c := Config{ThreadPoolSize: 1}
	var reported atomic.Int64
	c.ReportError = func(error) { reported.Add(1) }
	l := start(t, c)
	done := make(chan struct{}, 1)
	for _, f := range []func(){nil, nil, func() { done <- struct{}{} }} {
		if err := l.CallInThread(f); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, done, "the call behind")
	eventually(t, "the end of all calls", func() bool { return l.ThreadCalls() == 0 && reported.Load() == 2 })
}

// A loop that never sleeps lets the work that it waits for run, on one processor too.
func TestBusyLoopYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := start(t, Config{})
	conn, _ := l.connect(nil, func(p *recorder) { p.onData = func([]byte) { p.PauseReading(); p.ResumeReading() } })
	send(t, conn, "x")
	done := make(chan struct{})
	if err := l.CallInThread(func() { close(done) }); err != nil {
		t.Fatal(err)
	}
	receive(t, done, "the work")
}

// The result comes back on the loop, whatever becomes of the call.
func TestDeferToThread(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1, ThreadQueue: 4})
	boom := errors.New("boom")
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 4)
	onLoop := 0 // the loop's, so that the race detector sees a call elsewhere
	done := func(n int, err error) { onLoop++; results <- result{n, err} }
	for _, f := range []func() (int, error){
		func() (int, error) { return 1, nil },
		func() (int, error) { return 2, boom },
		func() (int, error) { panic(boom) },
		func() (int, error) { runtime.Goexit(); return 4, nil },
	} {
		if err := DeferToThread(l.Reactor, f, done); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, results, "a result"); got.n != 1 || got.err != nil {
		t.Errorf("%v", got)
	}
	if got := receive(t, results, "an error"); got.n != 2 || got.err != boom {
		t.Errorf("%v", got)
	}
	var p *PanicError
	if got := receive(t, results, "a panic"); got.n != 0 || !errors.As(got.err, &p) || !errors.Is(got.err, boom) {
		t.Errorf("%v", got)
	}
	if got := receive(t, results, "a Goexit"); got.n != 0 || got.err != ErrNoResult {
		t.Errorf("%v", got)
	}
	l.do(func() {
		if onLoop != 4 {
			t.Errorf("%d results", onLoop)
		}
	})
	if got := l.reported(); len(got) != 1 || !errors.Is(got[0], boom) {
		t.Errorf("reported %v", got)
	}
}

// What was accepted comes back, also at the end; what was not is not called.
func TestDeferToThreadAtTheEnd(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1, ThreadQueue: 1})
	begun, release := make(chan struct{}), make(chan struct{})
	results := 0
	work := func() (int, error) { begun <- struct{}{}; <-release; return 1, nil }
	done := func(n int, _ error) { results += n }
	for range 2 {
		if err := DeferToThread(l.Reactor, work, done); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, begun, "the first call")
	never := func(int, error) { t.Error("a call that was not accepted has a result") }
	if err := DeferToThread(l.Reactor, work, never); err != ErrPoolFull {
		t.Errorf("one too many: %v", err)
	}
	l.Stop()
	close(release)
	receive(t, begun, "the second call")
	l.stop()
	if results != 2 {
		t.Errorf("%d results when Run returned, want 2", results)
	}
	if err := DeferToThread(l.Reactor, work, never); err != ErrStopped {
		t.Errorf("after the end: %v", err)
	}
}

// A goroutine of the pool that is at rest keeps nothing of its last call.
func TestPoolKeepsNothing(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1})
	done := make(chan struct{})
	var kept weak.Pointer[[1000]byte]
	func() {
		x := new([1000]byte)
		kept = weak.Make(x)
		if err := l.CallInThread(func() { x[0] = 1; close(done) }); err != nil {
			t.Fatal(err)
		}
	}()
	receive(t, done, "the call")
	eventually(t, "the call to be collected", func() bool {
		runtime.GC()
		return kept.Value() == nil
	})
	l.threads.mu.Lock()
	defer l.threads.mu.Unlock()
	if l.threads.started != 1 {
		t.Errorf("%d goroutines are left: this test tests nothing", l.threads.started)
	}
}
