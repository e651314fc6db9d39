package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// All moments come once, in order, and each sees what it is promised.
func TestSystemEvents(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := prepare(t, c)
		var got []string
		names := map[Phase]string{Before: "before", During: "during", After: "after"}
		events := map[SystemEvent]string{Startup: "startup", Shutdown: "shutdown"}
		for _, phase := range []Phase{After, During, Before} { // the order of asking is not that of calling
			for event := range events {
				for i := range 2 {
					l.AddSystemEventTrigger(phase, event, func() {
						got = append(got, fmt.Sprint(names[phase], " ", events[event], " ", i))
						if i == 0 {
							panic("and goes on")
						}
					})
				}
			}
		}
		gone := l.AddSystemEventTrigger(Before, Startup, func() { t.Error("a removed trigger is called") })
		if !l.RemoveSystemEventTrigger(gone) || l.RemoveSystemEventTrigger(gone) || l.RemoveSystemEventTrigger(0) {
			t.Error("a trigger can be removed once")
		}
		l.CallWhenRunning(func() { got = append(got, "running") })
		port, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(func(netip.AddrPort) Protocol { return nil }), nil)
		if err != nil {
			t.Fatal(err)
		}
		l.AddSystemEventTrigger(During, Shutdown, func() {
			if port.closed {
				t.Error("the port is closed in During")
			}
		})
		l.AddSystemEventTrigger(After, Shutdown, func() {
			if !port.closed || l.CallFromThread(func() {}) || l.CallLater(0, func() {}).Active() || l.CallWhenRunning(func() {}) {
				t.Error("After is not after the end")
			}
		})
		l.start()
		l.do(func() {
			now := false
			if !l.CallWhenRunning(func() { now = true }) || !now {
				t.Error("CallWhenRunning does not call at once")
			}
			if l.AddSystemEventTrigger(After, Startup, func() { t.Error("too late") }) != 0 {
				t.Error("a trigger for a moment that is over is accepted")
			}
		})
		l.stop()
		want := []string{
			"before startup 0", "before startup 1", "during startup 0", "during startup 1", "after startup 0", "after startup 1",
			"running",
			"before shutdown 0", "before shutdown 1", "during shutdown 0", "during shutdown 1", "after shutdown 0", "after shutdown 1",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("called\n%s", strings.Join(got, "\n"))
		}
		if n := len(l.reported()); n != 6 {
			t.Errorf("%d panics reported, want 6", n)
		}
		if l.AddSystemEventTrigger(After, Shutdown, func() {}) != 0 {
			t.Error("a trigger is accepted after the end")
		}
	})
}

// A trigger may add triggers, and remove those behind it.
func TestTriggersInTriggers(t *testing.T) {
	l := prepare(t, Config{})
	var got []string
	var second TriggerID
	l.AddSystemEventTrigger(During, Startup, func() {
		got = append(got, "first")
		if l.AddSystemEventTrigger(Before, Startup, func() {}) != 0 {
			t.Error("the phase before this one is not over")
		}
		l.AddSystemEventTrigger(During, Startup, func() { got = append(got, "added") })
		l.RemoveSystemEventTrigger(second)
	})
	second = l.AddSystemEventTrigger(During, Startup, func() { got = append(got, "second") })
	l.CallWhenRunning(l.Stop)
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(got) != "[first added]" {
		t.Errorf("called %v", got)
	}
}

// The shutdown waits for whoever holds it, and the loop goes on meanwhile; what is written in During is sent.
func TestHoldShutdown(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, func(p *recorder) { p.onData = func(b []byte) { p.Write(b) } })
		var release [3]func()
		l.do(func() {
			release[0] = l.HoldShutdown()
			l.AddSystemEventTrigger(Before, Shutdown, func() { release[1] = l.HoldShutdown(); release[2] = l.HoldShutdown() })
			l.AddSystemEventTrigger(During, Shutdown, func() { rec.Write([]byte("bye")) })
			l.Stop()
		})
		for i := range release {
			send(t, conn, "x")
			readN(t, conn, 1) // the loop goes on
			select {
			case <-l.done:
				t.Fatalf("Run has returned, %d of 3 holds released", i)
			default:
			}
			release[i]()
			release[i]()
		}
		receive(t, l.done, "Run to return")
		if got := readAll(t, conn); got != "bye" {
			t.Errorf("the last words are %q", got)
		}
	})
}

// A hold that is never released is reported, and holds nothing up for longer than it may.
func TestHoldShutdownTimeout(t *testing.T) {
	clock := newFakeClock()
	l := prepare(t, Config{System: clock.system(), ShutdownTimeout: time.Minute})
	l.HoldShutdown()
	l.start()
	reached := make(chan struct{})
	l.do(func() {
		l.AddSystemEventTrigger(Before, Shutdown, func() { close(reached) })
		l.Stop()
	})
	receive(t, reached, "the shutdown")
	clock.advance(l, 59*time.Second)
	if len(l.reported()) != 0 {
		t.Errorf("reported %v", l.reported())
	}
	clock.since.Add(int64(time.Second))
	l.CallFromThread(func() {})
	receive(t, l.done, "Run to return")
	if got := l.reported(); len(got) != 1 || !errors.Is(got[0], ErrTimeout) {
		t.Errorf("reported %v", got)
	}
}

// Crash calls no trigger and waits for no hold, and frees everything all the same.
func TestCrash(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, held := range []bool{false, true} {
			l := prepare(t, c)
			started, holding := make(chan struct{}), make(chan struct{})
			l.CallWhenRunning(func() { close(started) })
			l.AddSystemEventTrigger(During, Shutdown, func() { t.Error("During is called") })
			l.AddSystemEventTrigger(After, Shutdown, func() { t.Error("After is called") })
			l.start()
			_, rec := l.connect(nil, nil)
			receive(t, started, "the start")
			if held {
				l.do(func() {
					l.AddSystemEventTrigger(Before, Shutdown, func() { l.HoldShutdown(); close(holding) })
					l.Stop()
				})
				receive(t, holding, "the shutdown")
			}
			l.Crash()
			receive(t, l.done, "Run to return")
			if err := receive(t, rec.lost, "ConnectionLost"); err != ErrShutdown {
				t.Errorf("lost with %v", err)
			}
		}
	})
}

// Who stops before the start starts nothing.
func TestNoEventsWithoutStart(t *testing.T) {
	for _, end := range []func(*loop) error{
		func(l *loop) error { l.Stop(); return l.Run() },
		func(l *loop) error { l.Crash(); return l.Run() },
		func(l *loop) error { return l.Close() },
	} {
		l := prepare(t, Config{})
		for _, event := range []SystemEvent{Startup, Shutdown} {
			for _, phase := range []Phase{Before, During, After} {
				l.AddSystemEventTrigger(phase, event, func() { t.Errorf("called in phase %d of event %d", phase, event) })
			}
		}
		if err := end(l); err != nil {
			t.Error(err)
		}
	}
}

// Goexit anywhere, in the callbacks of the end too, keeps nothing from being told and freed.
func TestGoexitEverywhere(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, where := range []string{"start", "before", "during", "connection", "after", "work"} {
			t.Run(where, func(t *testing.T) {
				l := prepare(t, c)
				exit := func(here string) {
					if here == where {
						runtime.Goexit()
					}
				}
				after := false
				ready := make(chan struct{})
				l.CallWhenRunning(func() { exit("start"); close(ready) })
				l.AddSystemEventTrigger(Before, Shutdown, func() { exit("before") })
				l.AddSystemEventTrigger(During, Shutdown, func() { exit("during") })
				l.AddSystemEventTrigger(After, Shutdown, func() { exit("after") })
				l.AddSystemEventTrigger(After, Shutdown, func() { after = true })
				go func() {
					defer close(l.done)
					_ = l.Run()
				}()
				var recs []*recorder
				if where != "start" {
					receive(t, ready, "the start")
					for range 3 {
						_, rec := l.connect(nil, func(p *recorder) { p.onLost = func(error) { exit("connection") } })
						recs = append(recs, rec)
					}
					if err := l.CallInThread(func() { l.CallFromThread(func() { exit("work") }) }); err != nil {
						t.Error(err)
					}
					l.Stop()
				}
				receive(t, l.done, "the loop to end")
				for _, rec := range recs {
					if err := receive(t, rec.lost, "ConnectionLost"); err != ErrShutdown {
						t.Errorf("lost with %v", err)
					}
				}
				if !after || l.Close() != nil || l.Run() != ErrStopped {
					t.Errorf("not ended: After was called: %v", after)
				}
			})
		}
	})
}
