package reactor

// System events, as Twisted has them: the reactor starts up and shuts down, and code that wants to take part names the event
// and the phase. The six moments come in one order, once in a reactor's life; what is asked for a moment that is over
// is refused.
//
// Twisted's "before shutdown" may return a Deferred that the shutdown waits for. Here code that has something to finish
// takes a hold and releases it, and the wait has a bound.

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A SystemEvent is something that happens to the reactor itself.
type SystemEvent uint8

// The system events.
const (
	Startup  SystemEvent = iota // Run, or the first Iterate, begins
	Shutdown                    // Stop was called, or the poller has failed
)

// A Phase is when in a system event.
type Phase uint8

// The phases. At Startup nothing happens but the triggers, one phase after the other. At Shutdown the loop goes on as ever
// after Before for as long as there is a HoldShutdown; During is the last moment with connections; After, there are
// no connections, no ports, no goroutines of the pool, and the reactor accepts nothing any more.
const (
	Before Phase = iota
	During
	After
)

const phases = 3

// moments is how many combinations of event and phase there are.
const moments = 2 * phases

// A moment is one of them; they come in the order of their numbers.
type moment uint8

func momentOf(p Phase, e SystemEvent) moment { return moment(e)*phases + moment(p) }

// A TriggerID names a trigger to RemoveSystemEventTrigger.
type TriggerID uint64

type trigger struct {
	id TriggerID
	f  func()
}

type triggers struct {
	lists [moments][]trigger
	next  moment // those before are over
	last  TriggerID
	holds atomic.Int64 // on the shutdown
}

// AddSystemEventTrigger has f called on the loop when event comes to phase; within a phase the order is that in which
// triggers were added. A panic in f is reported, and the others are called all the same. It returns 0, and f is not
// called, when that moment is over. A reactor that never starts, or that ends by Crash, calls no shutdown trigger. A phase
// or an event that does not exist is a mistake of the program, and panics. It is for the loop, or before Run.
func (r *Reactor) AddSystemEventTrigger(phase Phase, event SystemEvent, f func()) TriggerID {
	if phase > After || event > Shutdown {
		panic(fmt.Sprintf("reactor: AddSystemEventTrigger: there is no phase %d of event %d", phase, event))
	}
	t := &r.triggers
	m := momentOf(phase, event)
	if m < t.next {
		return 0
	}
	t.last++
	t.lists[m] = append(t.lists[m], trigger{t.last, f})
	return t.last
}

// RemoveSystemEventTrigger takes a trigger back and reports whether it was there: not yet called and not removed. It is
// for the loop, or before Run.
func (r *Reactor) RemoveSystemEventTrigger(id TriggerID) bool {
	for m, list := range r.triggers.lists {
		for i := range list {
			if list[i].id == id {
				r.triggers.lists[m] = append(list[:i:i], list[i+1:]...)
				return true
			}
		}
	}
	return false
}

// CallWhenRunning calls f on the loop: now if the reactor has started, else when it does, behind what was asked for
// before. It returns false, and drops f, once the reactor has ended. It is for the loop, or before Run.
func (r *Reactor) CallWhenRunning(f func()) bool {
	switch {
	case r.over():
		return false
	case r.started:
		f()
	default:
		r.AddSystemEventTrigger(After, Startup, f)
	}
	return true
}

// HoldShutdown keeps the reactor from shutting down, once Stop has been called, until release is: the loop goes on, with
// all that is on it, between the phases Before and During. The wait ends without it after Config.ShutdownTimeout, which is
// reported, or at Crash. It is for the loop, or before Run, and may be called before Stop too, to guard a piece of work;
// release may be called from any goroutine, and more than once.
func (r *Reactor) HoldShutdown() (release func()) {
	r.triggers.holds.Add(1)
	var released atomic.Bool
	return func() {
		if released.CompareAndSwap(false, true) {
			r.triggers.holds.Add(-1)
			r.calls.interrupt(r.poller)
		}
	}
}

// fire calls the triggers of a moment, also those that are added meanwhile. Broken off by a Goexit, it can be called again.
func (r *Reactor) fire(m moment) {
	t := &r.triggers
	t.next = m
	for len(t.lists[m]) > 0 {
		f := t.lists[m][0].f
		t.lists[m] = t.lists[m][1:]
		r.watch.begin(servingTrigger, nil, -1, f)
		r.contained(f)
	}
	t.lists[m] = nil
	t.next = m + 1
}

// startUp is the event of this name, unless it has been.
func (r *Reactor) startUp() {
	r.started = true
	for m := momentOf(Before, Startup); m <= momentOf(After, Startup); m++ {
		if m >= r.triggers.next {
			r.fire(m)
		}
	}
}

// windDown is the shutdown for as long as the loop still goes round: up to the last hold.
func (r *Reactor) windDown() error {
	if !r.firesShutdown() {
		return nil
	}
	r.fire(momentOf(Before, Shutdown))
	limit := int64(never)
	if d := r.config.ShutdownTimeout; d > 0 {
		limit = later(r.reading(), d)
	}
	for r.triggers.holds.Load() > 0 && !r.crashed.Load() {
		if r.reading() >= limit {
			r.report(fmt.Errorf("reactor: %d hold up the shutdown for longer than %v: %w",
				r.triggers.holds.Load(), r.config.ShutdownTimeout, ErrTimeout))
			return nil
		}
		if err := r.tick(limit); err != nil {
			return err
		}
	}
	return nil
}

// fireShutdown is the event up to a phase, or what is left of it.
func (r *Reactor) fireShutdown(until Phase) {
	for m := momentOf(Before, Shutdown); m <= momentOf(until, Shutdown) && r.firesShutdown(); m++ {
		if m >= r.triggers.next {
			r.fire(m)
		}
	}
}

// firesShutdown reports whether there is anything to shut down.
func (r *Reactor) firesShutdown() bool { return r.started && !r.crashed.Load() }

// defaultShutdownTimeout is long enough to finish what a peer waits for and shorter than what a supervisor grants before
// it kills.
const defaultShutdownTimeout = 10 * time.Second
