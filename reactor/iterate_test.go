package reactor

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A loop that is driven from outside does what one in Run does, and in between belongs to whoever drives it.
func TestIterate(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := prepare(t, c)
		started, ended := 0, 0
		l.CallWhenRunning(func() { started++ })
		l.AddSystemEventTrigger(After, Shutdown, func() { ended++ })
		rec := newRecorder()
		rec.onData = func(b []byte) { rec.Write(b) }
		p, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(rec.factory), nil)
		if err != nil {
			t.Fatal(err)
		}
		iterate := func(d time.Duration) {
			t.Helper()
			if err := l.Iterate(d); err != nil {
				t.Fatal(err)
			}
		}
		iterate(0)
		if started != 1 {
			t.Errorf("started %d times", started)
		}
		conn := dial(t, p)
		for len(rec.made) == 0 {
			iterate(-1)
		}
		send(t, conn, "hello")
		for rec.received() == "" {
			iterate(-1)
		}
		if got := readN(t, conn, 5); got != "hello" {
			t.Errorf("got %q", got)
		}
		rec.Write([]byte("between")) // nobody else is the loop now
		iterate(0)
		if got := readN(t, conn, 7); got != "between" {
			t.Errorf("got %q", got)
		}
		// It is not re-entrant.
		l.CallFromThread(func() {
			for _, err := range []error{l.Iterate(0), l.Run(), l.Close()} {
				if err != ErrRunning {
					t.Errorf("inside: %v", err)
				}
			}
			l.Stop()
		})
		if err := l.Iterate(0); err != ErrStopped {
			t.Errorf("Iterate that ends: %v", err)
		}
		if err := receive(t, rec.lost, "ConnectionLost"); err != ErrShutdown {
			t.Errorf("lost with %v", err)
		}
		for _, err := range []error{l.Iterate(0), l.Run()} {
			if err != ErrStopped {
				t.Errorf("after the end: %v", err)
			}
		}
		if started != 1 || ended != 1 {
			t.Errorf("started %d times, ended %d times", started, ended)
		}
	})
}

// It waits for as long as it may and not longer.
func TestIterateWaits(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		l := prepare(t, c)
		defer l.Close()
		const d = 20 * time.Millisecond
		fired := false
		begun := time.Now()
		l.CallLater(d, func() { fired = true })
		for !fired {
			if err := l.Iterate(-1); err != nil {
				t.Fatal(err)
			}
			if fired && time.Since(begun) < d {
				t.Error("early")
			}
		}
		begun = time.Now()
		for time.Since(begun) < d {
			before := time.Now()
			if err := l.Iterate(d); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(before); waited > patience/2 {
				t.Errorf("waited %v", waited)
			}
		}
		go l.CallFromThread(func() { fired = false }) // wakes a wait without an end
		for fired {
			if err := l.Iterate(-1); err != nil {
				t.Fatal(err)
			}
		}
		now := l.Now()
		for !time.Now().After(now) {
		}
		if !l.Now().After(now) {
			t.Error("Now stands still between two iterations")
		}
	})
}

// It may be begun by Iterate and go on in Run; and Close between two iterations is an end like another.
func TestIterateThenRunOrClose(t *testing.T) {
	for _, run := range []bool{true, false} {
		l := prepare(t, Config{})
		var started, ended int
		l.CallWhenRunning(func() { started++ })
		l.AddSystemEventTrigger(Before, Shutdown, func() { ended++ })
		if err := l.Iterate(0); err != nil {
			t.Fatal(err)
		}
		if run {
			l.CallLater(0, l.Stop)
			if err := l.Run(); err != nil {
				t.Error(err)
			}
		} else if err := l.Close(); err != nil {
			t.Error(err)
		}
		if started != 1 || ended != 1 {
			t.Errorf("run %v: started %d times, ended %d times", run, started, ended)
		}
	}
}

// What breaks the loop frees everything, in Iterate too.
func TestIterateBreaks(t *testing.T) {
	s := &faultySystem{}
	l := prepare(t, Config{System: s})
	s.wait = func(Poller, []Event, time.Time) (int, error) { return 0, syscall.EBADF }
	if err := l.Iterate(-1); err != syscall.EBADF {
		t.Errorf("Iterate: %v", err)
	}
	if err := l.Iterate(-1); err != ErrStopped {
		t.Errorf("Iterate after the end: %v", err)
	}

	l = prepare(t, Config{})
	l.CallFromThread(runtime.Goexit)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Iterate(0)
	}()
	receive(t, done, "the goroutine to end")
	if err := l.Iterate(0); err != ErrStopped {
		t.Errorf("Iterate after a Goexit: %v", err)
	}
}
