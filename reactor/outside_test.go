package reactor

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

// Go has no bound of its own, and takes no goroutine of the pool.
func TestGoIsNotOfThePool(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1, ThreadQueue: 1})
	const calls = 100
	begun, release := make(chan struct{}, calls), make(chan struct{})
	for range calls {
		if err := l.Go(func() { begun <- struct{}{}; <-release }); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		receive(t, begun, "a call of Go")
	}
	if n := l.ThreadCalls(); n != calls {
		t.Errorf("ThreadCalls is %d of %d", n, calls)
	}
	done := make(chan struct{})
	if err := l.CallInThread(func() { close(done) }); err != nil {
		t.Fatal(err)
	}
	receive(t, done, "a call of CallInThread")
	close(release)
	eventually(t, "all to be done", func() bool { return l.ThreadCalls() == 0 })
}

// A call that panics or ends its goroutine ends nothing else.
func TestGoThatDoesNotReturn(t *testing.T) {
	l := start(t, Config{})
	boom := errors.New("boom")
	for _, f := range []func(){func() { panic(boom) }, runtime.Goexit} {
		if err := l.Go(f); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all to be done", func() bool { return l.ThreadCalls() == 0 && len(l.reported()) == 1 })
	if err := l.reported()[0]; !errors.Is(err, boom) {
		t.Errorf("reported %v", err)
	}
}

// Run waits for work that Go has accepted, and work that waits for the loop is not left waiting.
func TestGoAtTheEnd(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		begun, release := make(chan struct{}, 10), make(chan struct{})
		var done atomic.Int64
		for range 10 {
			if err := l.Go(func() {
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
		if err := l.Go(func() {}); err != ErrStopped {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A call that blocks keeps no other from running, and one that ends lends its goroutine to the next.
func TestGoAmongCallsThatBlock(t *testing.T) {
	l := start(t, Config{})
	release := make(chan struct{})
	begun := make(chan struct{}, 1000)
	for i := range 1000 {
		if err := l.Go(func() {
			begun <- struct{}{}
			switch i % 10 {
			case 0:
				<-release
			case 1:
				runtime.Goexit()
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		receive(t, begun, "a call of Go")
	}
	eventually(t, "the others to be done", func() bool { return l.ThreadCalls() == 100 })
	close(release)
	eventually(t, "all to be done", func() bool { return l.ThreadCalls() == 0 })
}
