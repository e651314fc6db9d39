package reactortest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"microhttp/reactor"
)

var clock = []promise{
	scripted("NeverEarlyAndInOrder", func(s *script) {
		const n, seed = 200, 1
		rnd := rand.New(rand.NewPCG(seed, seed))
		var last time.Time
		fired := 0
		for range n {
			d := time.Duration(rnd.IntN(int(20 * time.Millisecond)))
			var call *reactor.DelayedCall
			call = s.r.CallLater(d, func() {
				fired++
				due := call.Time()
				if now := s.r.Now(); now.Before(due) {
					s.Errorf("%v early", due.Sub(now))
				}
				if due.Before(last) {
					s.Errorf("%v behind a later one", last.Sub(due))
				}
				last = due
			})
			if in := call.Time().Sub(s.r.Now()); in < d { // and the tick's clock is a little old
				s.Errorf("%v from now is due in %v", d, in)
			}
		}
		s.until("all timers", func() bool { return fired == n })
	}),
	scripted("NotBeforeTheirTime", func(s *script) {
		for _, d := range []time.Duration{0, 1, time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
			asked := s.r.Now()
			var waited time.Duration
			fired := false
			s.r.CallLater(d, func() { waited = s.r.Now().Sub(asked); fired = true })
			s.until("the timer", func() bool { return fired })
			if waited < d {
				s.Errorf("a timer of %v was called after %v", d, waited)
			}
		}
	}),
	scripted("EqualTimesInTheOrderOfAsking", func(s *script) {
		var got, want []int
		at := s.r.CallLater(10*time.Millisecond, func() {})
		for i := range 50 {
			want = append(want, i)
			c := s.r.CallLater(time.Hour, func() { got = append(got, i) })
			if err := c.Delay(at.Time().Sub(c.Time())); err != nil { // to the same nanosecond
				s.Error(err)
			}
		}
		s.until("all of them", func() bool { return len(got) == len(want) })
		if !slices.Equal(got, want) {
			s.Errorf("called in the order %v", got)
		}
	}),
	scripted("CancelledPostponedBroughtForward", func(s *script) {
		var got []string
		later := func(d time.Duration, name string) *reactor.DelayedCall {
			return s.r.CallLater(d, func() { got = append(got, name) })
		}
		later(10*time.Millisecond, "b")
		postponed, reset, cancelled := later(0, "c"), later(time.Hour, "a"), later(time.Millisecond, "never")
		for _, err := range []error{postponed.Delay(20 * time.Millisecond), reset.Reset(0), cancelled.Cancel()} {
			if err != nil {
				s.Error(err)
			}
		}
		if cancelled.Active() || !postponed.Active() {
			s.Error("Active is wrong")
		}
		s.until("the last", func() bool { return !postponed.Active() })
		if fmt.Sprint(got) != "[a b c]" {
			s.Errorf("called %v", got)
		}
		for _, tc := range []struct {
			call *reactor.DelayedCall
			want error
		}{{postponed, reactor.ErrAlreadyCalled}, {cancelled, reactor.ErrAlreadyCancelled}} {
			for _, err := range []error{tc.call.Cancel(), tc.call.Reset(0), tc.call.Delay(0)} {
				if err != tc.want {
					s.Errorf("%v, want %v", err, tc.want)
				}
			}
		}
	}),
	scripted("PendingCallsAreListed", func(s *script) {
		before := len(s.r.DelayedCalls())
		calls := []*reactor.DelayedCall{s.r.CallLater(2*time.Hour, func() {}), s.r.CallLater(time.Hour, func() {})}
		list := s.r.DelayedCalls()
		if len(list) != before+2 || !slices.Contains(list, calls[0]) || !slices.Contains(list, calls[1]) {
			s.Errorf("%d calls are listed", len(list))
		}
		if err := calls[0].Cancel(); err != nil || len(s.r.DelayedCalls()) != before+1 {
			s.Errorf("%v; %d calls are listed", err, len(s.r.DelayedCalls()))
		}
	}),
	scripted("CallsAtOnceDoNotStarveTheRest", func(s *script) {
		server, client := s.connect(setting{server: (*end).echo})
		again := true
		ticks := 0
		var spin func()
		spin = func() {
			if ticks++; again {
				s.r.CallLater(0, spin)
			}
		}
		spin()
		client.Write([]byte("hello"))
		client.receives([]byte("hello"))
		again = false
		if ticks == 0 || len(server.data) != 5 {
			s.Errorf("%d ticks, %d bytes", ticks, len(server.data))
		}
	}),
	scripted("NowStandsStillInATick", func(s *script) {
		first := s.r.Now()
		if again := s.r.Now(); !again.Equal(first) {
			s.Errorf("the clock moved by %v", again.Sub(first))
		}
		s.pass(time.Millisecond)
		if again := s.r.Now(); again.Sub(first) < time.Millisecond {
			s.Errorf("the clock moved by %v in a millisecond", again.Sub(first))
		}
	}),
	scripted("APanicInATimerIsReportedAndNoMore", func(s *script) {
		called := false
		s.r.CallLater(0, func() { panic("in a timer") })
		s.r.CallLater(0, func() { called = true })
		s.until("the timer behind it", func() bool { return called })
		wantPanic(s, s.expectReport(1), "in a timer")
	}),
}

// timeouts are what a connection promises of its SetTimeout.
var timeouts = []promise{
	scripted("TimeoutsExpireOnceAndNotEarly", func(s *script) {
		var at []time.Time
		server, _ := s.connect(setting{server: func(e *end) { e.onTimeout = func() { at = append(at, s.r.Now()) } }})
		set := s.r.Now()
		server.SetTimeout(20 * time.Millisecond)
		s.until("the timeout", func() bool { return len(at) > 0 })
		if d := at[0].Sub(set); d < 20*time.Millisecond {
			s.Errorf("expired after %v", d)
		}
		s.pass(200 * time.Millisecond)
		server.SetTimeout(20 * time.Millisecond)
		server.SetTimeout(0)
		s.pass(200 * time.Millisecond)
		const patient = 100 * time.Millisecond
		for range 20 { // signs of life
			set := s.r.Now()
			server.SetTimeout(patient)
			s.pass(5 * time.Millisecond)
			if s.r.Now().Sub(set) >= patient {
				s.Log("the machine has held up the loop for longer than the timeout: no more can be seen")
				return
			}
		}
		if len(at) != 1 {
			s.Errorf("expired %d times", len(at))
		}
		s.until("the last one", func() bool { return len(at) == 2 })
	}),
	scripted("ATimeoutThatNobodyHandlesEndsTheConnection", func(s *script) {
		server, client := s.connect(setting{})
		server.SetTimeout(time.Millisecond)
		wantReason(server, reactor.ErrTimeout)
		wantReason(client, reactor.ErrConnectionLost)
	}),
}
