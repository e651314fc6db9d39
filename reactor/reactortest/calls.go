package reactortest

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"microhttp/reactor"
)

var calls = []promise{
	scripted("FromManyGoroutinesEachInOrder", func(s *script) {
		const callers, each = 8, 500
		var last [callers]int
		made := 0
		var all sync.WaitGroup
		for g := range callers {
			all.Go(func() {
				for i := 1; i <= each; i++ {
					s.r.CallFromThread(func() {
						if last[g] != i-1 {
							s.Errorf("caller %d: call %d behind %d", g, i, last[g])
						}
						last[g] = i
						made++
					})
				}
			})
		}
		all.Wait() // they never block
		if made != 0 {
			s.Error("called while the loop was in a callback")
		}
		s.until("all calls", func() bool { return made == callers*each })
	}),
	scripted("OneFromTheLoopWaitsForTheNextTick", func(s *script) {
		order := ""
		s.r.CallFromThread(func() {
			s.r.CallFromThread(func() { order += "second" })
			order += "first "
		})
		s.until("both", func() bool { return order == "first second" })
	}),
	{"WhatIsAcceptedIsMade", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		var accepted, made int
		ended := make(chan struct{})
		r.CallLater(0, func() {
			go func() {
				defer close(ended)
				for r.CallFromThread(func() { made++ }) {
					accepted++
					runtime.Gosched()
				}
			}()
			r.CallLater(0, r.Stop)
		})
		if err := c.run(r); err != nil {
			t.Error(err)
		}
		<-ended
		if accepted != made {
			t.Errorf("%d accepted, %d made", accepted, made)
		}
	}},
	scripted("APanicIsReportedAndNoMore", func(s *script) {
		called := false
		s.r.CallFromThread(func() { panic("in a call") })
		s.r.CallFromThread(func() { called = true })
		s.until("the call behind it", func() bool { return called })
		wantPanic(s, s.expectReport(1), "in a call")
	}),
	scripted("ThreadsGiveTheirResultToTheLoop", func(s *script) {
		boom := errors.New("boom")
		sum := 0
		var failure error
		for i := range 10 {
			if err := reactor.DeferToThread(s.r, func() (int, error) { return i, nil }, func(n int, err error) {
				sum += n
			}); err != nil {
				s.Error(err)
			}
		}
		if err := reactor.DeferToThread(s.r, func() (int, error) { return 0, boom }, func(_ int, err error) {
			failure = err
		}); err != nil {
			s.Error(err)
		}
		s.until("the results", func() bool { return sum == 45 && failure == boom })
	}),
	{"ThreadsAndTheirQueueAreBounded", func(t *testing.T, c Setup) {
		c.ThreadPoolSize, c.ThreadQueue = 2, 3
		play(t, c, func(s *script) {
			release := make(chan struct{})
			done := 0
			work := func() { <-release; s.r.CallFromThread(func() { done++ }) }
			for range 2 + 3 {
				if err := s.r.CallInThread(work); err != nil {
					s.Error(err)
				}
			}
			if err := s.r.CallInThread(work); err != reactor.ErrPoolFull {
				s.Errorf("one too many: %v", err)
			}
			close(release)
			s.until("the work", func() bool { return done == 5 })
			if err := s.r.CallInThread(func() { panic("in a thread") }); err != nil {
				s.Error(err)
			}
			s.until("the report", func() bool { return len(s.reports) > 0 })
			wantPanic(s, s.expectReport(1), "in a thread")
			if err := s.r.CallInThread(work); err != nil {
				s.Error(err)
			}
			s.until("the work behind it", func() bool { return done == 6 })
		})
	}},
	{"StopWaitsForThreads", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		done := 0
		r.CallWhenRunning(func() {
			for range 5 {
				if err := r.CallInThread(func() {
					back := make(chan struct{})
					if r.CallFromThread(func() { done++; close(back) }) {
						<-back // who waits for the loop is not left waiting
					}
				}); err != nil {
					t.Error(err)
				}
			}
			r.Stop()
		})
		if err := c.run(r); err != nil {
			t.Error(err)
		}
		if done != 5 {
			t.Errorf("%d of 5 were done when Run returned", done)
		}
	}},
}
