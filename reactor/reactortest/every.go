package reactortest

import (
	"time"

	"microhttp/reactor"
)

// every is about calls that come again and again.
var every = []promise{
	scripted("NeverEarlyAndWithoutDrift", func(s *script) {
		const interval, n = 5 * time.Millisecond, 20
		begun := s.r.Now()
		due := 0 // calls, those that were skipped among them
		var c *reactor.LoopingCall
		c = s.r.CallEvery(interval, func() {
			due += 1 + c.Skipped()
			if passed := s.r.Now().Sub(begun); passed < time.Duration(due)*interval {
				s.Errorf("call %d after %v", due, passed)
			}
		})
		s.until("all calls", func() bool { return due >= n })
		c.Stop()
		at := due
		s.pass(3 * interval)
		if due != at || c.Running() {
			s.Error("it was called when it was stopped")
		}
	}),
	scripted("ResetInTheCall", func(s *script) {
		var at []time.Time
		var c *reactor.LoopingCall
		c = s.r.CallEvery(time.Millisecond, func() {
			at = append(at, s.r.Now())
			c.Reset(20 * time.Millisecond)
		})
		s.until("two calls", func() bool { return len(at) == 2 })
		c.Stop()
		if between := at[1].Sub(at[0]); between < 20*time.Millisecond {
			s.Errorf("%v between two calls", between)
		}
	}),
	scripted("PanicsAreReportedAndTheCallsGoOn", func(s *script) {
		called := 0
		c := s.r.CallEvery(time.Millisecond, func() {
			if called++; called == 1 {
				panic("in a call")
			}
		})
		s.until("the next call", func() bool { return called > 1 })
		c.Stop()
		wantPanic(s, s.expectReport(1), "in a call")
	}),
}
