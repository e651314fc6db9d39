package reactor

import (
	"testing"
)

// Nobody is on a loop that nobody is in; then it is the goroutine that is in it, and no other.
func TestInLoop(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		c.StallLimit = -1 // it has nothing to do with the watch
		l := prepare(t, c)
		want := func(where string, want bool) {
			t.Helper()
			if got := l.InLoop(); got != want {
				t.Errorf("%s: %v", where, got)
			}
		}
		want("before it runs", false)
		l.CallFromThread(func() { want("in Iterate", true) })
		if err := l.Iterate(0); err != nil {
			t.Fatal(err)
		}
		want("between two calls of Iterate", false)
		l.AddSystemEventTrigger(After, Shutdown, func() { want("at the very end", true) })
		l.start()
		l.do(func() {
			want("in Run", true)
			other := prepare(t, c)
			if other.InLoop() {
				t.Error("on a loop that does not run")
			}
			other.CallFromThread(func() {
				want("inside another loop that runs inside", true)
				if !other.InLoop() {
					t.Error("not on the inner loop")
				}
			})
			other.Stop()
			if err := other.Run(); err != nil {
				t.Error(err)
			}
		})
		want("elsewhere while it runs", false)
		answers := make(chan bool, 1)
		if err := l.CallInThread(func() { answers <- l.InLoop() }); err != nil {
			t.Fatal(err)
		}
		if receive(t, answers, "a call off the loop") {
			t.Error("off the loop, it says that it is on it")
		}
		l.stop()
		want("at the end", false)
	})
}
