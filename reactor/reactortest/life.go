package reactortest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"microhttp/reactor"
)

var life = []promise{
	{"RunsOnce", func(t *testing.T, c Setup) {
		var r *reactor.Reactor
		play(t, c, func(s *script) {
			r = s.r
			if err := r.Run(); err != reactor.ErrRunning {
				s.Errorf("Run while it runs: %v", err)
			}
			if err := r.Close(); err != reactor.ErrRunning {
				s.Errorf("Close while it runs: %v", err)
			}
		})
		if err := r.Run(); err != reactor.ErrStopped {
			t.Errorf("Run after the end: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close after the end: %v", err)
		}
		if r.CallFromThread(func() {}) || r.CallLater(0, func() {}).Active() || r.CallWhenRunning(func() {}) {
			t.Error("a call was accepted after the end")
		}
		if err := r.CallInThread(func() {}); err != reactor.ErrStopped {
			t.Errorf("CallInThread after the end: %v", err)
		}
		if _, err := r.ListenTCP("127.0.0.1:0", nil, nil); err != reactor.ErrStopped {
			t.Errorf("ListenTCP after the end: %v", err)
		}
		r.Stop()
	}},
	{"StopBeforeRun", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		r.Stop()
		if err := c.run(r); err != nil {
			t.Error(err)
		}
	}},
	{"StopByManyGoroutines", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		var stoppers sync.WaitGroup
		r.CallLater(0, func() {
			for range 4 {
				stoppers.Go(r.Stop)
			}
			stoppers.Wait()
		})
		if err := c.run(r); err != nil {
			t.Error(err)
		}
	}},
	{"CloseFreesWhatNeverRan", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		if _, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(nil), nil); err != nil {
			t.Error(err)
		}
		timer := r.CallLater(time.Hour, func() { t.Error("an hour has passed") })
		called := 0
		r.CallFromThread(func() { called++ })
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if called != 1 || timer.Active() {
			t.Errorf("an accepted call was made %d times; the timer is active: %v", called, timer.Active())
		}
	}},
	{"EventsComeInOrder", func(t *testing.T, c Setup) {
		var got []string
		note := func(what string) func() { return func() { got = append(got, what) } }
		r := newReactor(t, c)
		for _, e := range []struct {
			event reactor.SystemEvent
			name  string
		}{{reactor.Shutdown, "shutdown"}, {reactor.Startup, "startup"}} {
			for _, p := range []struct {
				phase reactor.Phase
				name  string
			}{{reactor.After, "after "}, {reactor.During, "during "}, {reactor.Before, "before "}} {
				r.AddSystemEventTrigger(p.phase, e.event, note(p.name+e.name))
			}
		}
		removed := r.AddSystemEventTrigger(reactor.Before, reactor.Startup, note("removed"))
		if !r.RemoveSystemEventTrigger(removed) || r.RemoveSystemEventTrigger(removed) {
			t.Error("a trigger was not removed once")
		}
		r.CallWhenRunning(func() { note("running")(); r.Stop() })
		if err := c.run(r); err != nil {
			t.Error(err)
		}
		want := []string{
			"before startup", "during startup", "after startup", "running",
			"before shutdown", "during shutdown", "after shutdown",
		}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	}},
	{"APhaseThatDoesNotExistPanics", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		for _, m := range []struct {
			phase reactor.Phase
			event reactor.SystemEvent
		}{{reactor.After + 1, reactor.Startup}, {reactor.Before, reactor.Shutdown + 1}, {255, 255}} {
			if v := recovered(func() {
				r.AddSystemEventTrigger(m.phase, m.event, func() { t.Error("called") })
			}); v == nil {
				t.Errorf("phase %d of event %d was accepted", m.phase, m.event)
			}
		}
		r.CallWhenRunning(r.Stop)
		if err := c.run(r); err != nil {
			t.Error(err)
		}
	}},
	{"CrashSkipsTheEvents", func(t *testing.T, c Setup) {
		r := newReactor(t, c)
		r.AddSystemEventTrigger(reactor.Before, reactor.Shutdown, func() { t.Error("told of a shutdown") })
		r.CallWhenRunning(r.Crash)
		if err := c.run(r); err != nil {
			t.Error(err)
		}
	}},
	{"StopTellsEverybody", func(t *testing.T, c Setup) {
		var ends []*end
		var late *end
		play(t, c, func(s *script) {
			for range 3 {
				server, client := s.connect(setting{})
				ends = append(ends, server, client)
			}
			ends[0].PauseReading() // watches for nothing
			ends[1].Write(pattern(8 << 20))
			ends[2].SetTimeout(time.Hour)
			p := s.listen(nil, func() *end { return nil })
			late = s.newEnd("under way")
			s.dial(p, late, nil)
			s.r.CallLater(time.Hour, func() { s.Error("an hour has passed") })
		})
		for _, e := range ends {
			if e.reason != reactor.ErrShutdown {
				t.Errorf("%s was lost with %v", e.name, e.reason)
			}
		}
		if late.failures+late.losses != 1 {
			t.Errorf("who was connecting was told %d failures and %d losses", late.failures, late.losses)
		}
	}},
	{"NothingStartsAtTheEnd", func(t *testing.T, c Setup) {
		told := 0
		play(t, c, func(s *script) {
			server, _ := s.connect(setting{})
			server.onLost = func(error) {
				told++
				server.Write([]byte("too late"))
				server.LoseConnection()
				if _, err := s.r.ListenTCP("127.0.0.1:0", nil, nil); err != reactor.ErrStopped {
					s.Errorf("ListenTCP: %v", err)
				}
				if _, err := s.r.ConnectTCP("127.0.0.1:1", &dialler{}, nil); err != reactor.ErrStopped {
					s.Errorf("ConnectTCP: %v", err)
				}
				if _, err := s.r.ListenUDP("127.0.0.1:0", nil, nil); err != reactor.ErrStopped {
					s.Errorf("ListenUDP: %v", err)
				}
				if s.r.CallLater(0, func() {}).Active() {
					s.Error("a timer was accepted")
				}
			}
		})
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	}},
}

// recovered calls f and returns what it panicked with, nil if it did not.
func recovered(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// newReactor makes a reactor whose reports fail the test.
func newReactor(t *testing.T, c Setup) *reactor.Reactor {
	t.Helper()
	if !c.beside {
		checkLeaks(t)
	}
	c.StallLimit = -1
	c.ReportError = func(err error) { t.Errorf("reported: %v", err) }
	r, err := reactor.New(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
