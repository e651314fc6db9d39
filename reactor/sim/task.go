package sim

// A task is a script, or a reactor in its Run: a coroutine that gives up its turn when it waits. The world resumes it
// when what it waits for is there.

import (
	"iter"
	"time"

	"microhttp/reactor"
)

type task struct {
	w       *World
	name    string
	reactor *reactor.Reactor // nil for a script
	next    func() (struct{}, bool)
	yield   func(struct{}) bool

	what  string        // it waits for this
	until time.Duration // or for this time
	ready func() bool   // asks whether it is there; nil if only time counts
}

// killed is what unwinds a script.
type killed struct{}

// begin makes the task ready to run f.
func (t *task) begin(f func()) {
	t.what = "its turn"
	t.until = t.w.now
	t.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		f()
	})
	t.w.tasks = append(t.w.tasks, t)
}

func (t *task) runnable() bool {
	return t.until <= t.w.now || t.w.killed || t.ready != nil && t.ready()
}

// resume gives t its turn.
func (t *task) resume() {
	w := t.w
	w.current = t
	over := true
	defer func() { // also when a Goexit in t comes through
		w.current = nil
		if over {
			w.remove(t)
		}
	}()
	_, more := t.next()
	over = !more
}

func (w *World) remove(t *task) {
	for i := range w.tasks {
		if w.tasks[i] == t {
			w.tasks = append(w.tasks[:i], w.tasks[i+1:]...)
			return
		}
	}
}

// park gives up the turn of the current task until ready says so or the time has come. Outside of all tasks it drives the
// world for so long.
func (w *World) park(what string, until time.Duration, ready func() bool) {
	t := w.current
	if t == nil {
		w.drive(what, until, ready, w.c.Patience)
		return
	}
	if w.killed && t.reactor == nil {
		panic(killed{}) // it unwinds and waits again in a deferred call
	}
	t.what, t.until, t.ready = what, until, ready
	t.yield(struct{}{})
	w.happen()
	if w.killed && t.reactor == nil {
		panic(killed{})
	}
}

// parkScript is park for what only a script may call.
func (w *World) parkScript(what string, until time.Duration, ready func() bool) {
	if t := w.current; t != nil && t.reactor != nil {
		panic("sim: " + what + ": a callback of a reactor must not wait")
	}
	w.park(what, until, ready)
}

// Sleep lets time pass. It is for scripts, and for a goroutine that drives the world: then it waits for what is at work
// outside only until that has been silent for about a millisecond.
func (w *World) Sleep(d time.Duration) {
	if w.current == nil {
		w.sync()
		w.drive("time to pass", w.after(d), nil, calm)
		return
	}
	w.parkScript("time to pass", w.after(d), nil)
}

// Spend lets time pass inside a callback of a reactor, as a callback that computes or blocks does: it holds up its loop,
// while scripts and other reactors go on. In a script it is Sleep.
func (w *World) Spend(d time.Duration) { w.park("a callback to end", w.after(d), nil) }

// Wait waits until ready says so. It is asked again and again and should do nothing else; what names it in a failure.
// It is for scripts.
func (w *World) Wait(what string, ready func() bool) { w.parkScript(what, never, ready) }

// WaitFor is Wait for at most d. It reports whether ready said so in time.
func (w *World) WaitFor(what string, d time.Duration, ready func() bool) bool {
	w.sync()
	w.parkScript(what, w.after(d), ready)
	return ready()
}

// An event happens at its time: f is called, or what is under way to the socket arrives.
type event struct {
	at  time.Duration
	seq uint64
	f   func()
	to  *socket
}

// later has f called when d has passed.
func (w *World) later(d time.Duration, f func()) { w.schedule(event{at: w.after(d), f: f}) }

// after is d from now, and never rather than before that.
func (w *World) after(d time.Duration) time.Duration {
	if d > never-w.now {
		return never
	}
	return w.now + max(d, 0)
}

func (w *World) schedule(e event) {
	w.seq++
	e.seq = w.seq
	i := len(w.due)
	for i > 0 && w.due[i-1].at <= e.at { // the next is last, and equals keep their order
		i--
	}
	w.due = append(w.due, event{})
	copy(w.due[i+1:], w.due[i:])
	w.due[i] = e
}

// happen makes everything happen that is due.
func (w *World) happen() {
	if now := int64(w.now); w.shown.Load() != now {
		w.shown.Store(now)
	}
	for n := len(w.due); n > 0 && w.due[n-1].at <= w.now; n = len(w.due) {
		e := w.due[n-1]
		w.due[n-1] = event{}
		w.due = w.due[:n-1]
		if e.to != nil {
			e.to.arrive()
		} else {
			e.f()
		}
	}
}
