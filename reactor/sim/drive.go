package sim

// A world can be driven instead of run. Then the goroutine that has made it, a test, waits with the same calls as a script:
// Dial, the methods of Conn, Sleep, Wait. The world runs for as long as each of these calls waits, and stands still
// between them. End is the end of such a world.

import (
	"runtime"
	"time"
)

// calm is how long Sleep waits, in real time, for goroutines outside that are silent.
const calm = time.Millisecond

// End stops the reactors of a world that was driven, has its scripts unwind where they wait, and returns when all of them
// have ended. The error is a *Failure, as that of Run.
func (w *World) End() error {
	w.kill()
	return w.Run()
}

// Reactors returns how many of the reactors have not ended.
func (w *World) Reactors() int {
	n := 0
	for _, t := range w.tasks {
		if t.reactor != nil {
			n++
		}
	}
	return n
}

// Waiting sets a function that says how many calls of CallInThread, of those that are not done, wait for something inside of
// the world, such as the bytes of a peer, until what runs in the world wakes them. A driven world does not wait for these. The
// function is called by the goroutine that drives.
func (w *World) Waiting(count func() int) { w.inside = count }

// drive runs the world until ready says so or the time has come. It is park for the goroutine that drives. With something
// outside at work, time stands still, for patience of real time at most.
func (w *World) drive(what string, until time.Duration, ready func() bool, patience time.Duration) {
	if w.driven {
		panic("sim: " + what + ": a world is driven by one goroutine at a time")
	}
	w.driven = true
	defer func() { w.driven = false }()
	for w.patience = 0; ; {
		w.sync()
		w.happen()
		if ready != nil && ready() {
			return
		}
		busy := w.busy() && !w.allInside() // asked first: what ends, or begins to wait, after this has woken a reactor before
		if t := w.pick(); t != nil {
			w.patience = 0
			t.resume()
			continue
		}
		switch next := min(w.next(), until); {
		case w.c.Bubble != nil && w.stirred():
		case w.c.Bubble == nil && busy && w.patience < patience:
			w.look()
		case until <= w.now:
			return
		case w.c.Bubble != nil:
			w.sleepUntil(next)
		case next < never:
			w.advance(next)
		case w.lastLook():
		default:
			panic("sim: " + what + ": nothing can happen any more\n" + w.waiting())
		}
	}
}

// allInside reports whether all that is at work outside waits for something inside.
func (w *World) allInside() bool {
	if w.inside == nil {
		return false
	}
	n := w.atWork() // asked first: those that begin to wait after this count
	return n <= w.inside()
}

// look waits for a word from outside, for lookInterval at most, while the time of the world stands still.
func (w *World) look() {
	runtime.Gosched()
	begin := time.Now()
	timer := time.NewTimer(lookInterval)
	defer timer.Stop()
	select {
	case <-w.poke:
	case <-timer.C:
	}
	w.patience += time.Since(begin)
}

// stirred reports whether the goroutines of the bubble, now that all of them wait, have left a word.
func (w *World) stirred() bool {
	w.c.Bubble()
	select {
	case <-w.poke:
		return true
	default:
		return false
	}
}

// sleepUntil waits for a word from outside, or for next, by the clock of package time.
func (w *World) sleepUntil(next time.Duration) {
	timer := time.NewTimer(next - w.now)
	defer timer.Stop()
	select {
	case <-w.poke:
	case <-timer.C:
	}
}

// sync sets the clock of a world in a bubble.
func (w *World) sync() {
	if w.c.Bubble != nil {
		w.now = max(w.now, time.Since(w.born))
	}
}
