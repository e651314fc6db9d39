package sim

// A world: what is in it, how its tasks take turns, and how it ends.

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"microhttp/reactor"
)

// settleTime is how long, in the world's time, what is still under way may go on when the scripts have returned.
const settleTime = time.Minute

// genesis is when every world begins, but for those in a bubble.
var genesis = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// A World is a network with the reactors and scripts that live on it. It is made by New, filled, and run once by Run.
// Its methods are for the goroutine that does so, and for what runs in it: scripts and callbacks. Those that wait
// (Sleep, Wait, Dial, and the methods of Conn, Listener and PacketConn) are for scripts, and for a goroutine that drives
// the world instead of running it; see End.
type World struct {
	seed   uint64
	c      Config
	rng    *rand.Rand    // what goes wrong
	choice *rand.Rand    // what Rand gives
	now    time.Duration // since genesis
	due    []event       // what happens later, the next last
	seq    uint64

	fds     []*socket // by descriptor
	bound   []*socket // listening and datagram sockets
	ports   uint16    // the last ephemeral port given out
	pollers []*poller

	tasks    []*task
	current  *task
	runnable []*task // scratch
	scripts  int     // that were started
	ended    time.Duration
	stopping bool
	killed   bool // scripts that wait are to unwind

	genesis time.Time
	shown   atomic.Int64 // now, for other goroutines

	mu       sync.Mutex    // of a world in RealTime, whose reactors run at once
	born     time.Time     // when that began
	poke     chan struct{} // something outside has called
	outside  sync.Mutex    // guards held
	held     int           // by Outside
	patience time.Duration // how long nothing has come from outside
	driven   bool          // by a goroutine that waits now
	inside   func() int    // what Waiting was given

	trace    trace
	failures []string
	evidence string // the trace at the first failure
}

// New makes the world of a seed.
func New(seed uint64, c Config) *World {
	w := &World{seed: seed, c: c.withDefaults(), ports: 49151, poke: make(chan struct{}, 1), born: time.Now()}
	w.rng = rand.New(rand.NewPCG(seed, 0))
	w.choice = rand.New(rand.NewPCG(seed, 1))
	w.trace.last = make([]entry, 0, w.c.TraceLength)
	w.trace.live = w.c.Trace
	w.ended = never
	w.genesis = genesis
	if w.c.Bubble != nil {
		w.genesis = w.born
	}
	return w
}

// Seed is the seed that the world was made of.
func (w *World) Seed() uint64 { return w.seed }

// Rand is a generator of the same seed for the choices of a test: it is apart from the world's own, so that another
// choice does not change what goes wrong.
func (w *World) Rand() *rand.Rand { return w.choice }

// Now is the world's time.
func (w *World) Now() time.Time {
	return w.genesis.Add(w.now)
}

// Clock is Now for any goroutine.
func (w *World) Clock() time.Time {
	if w.c.Bubble != nil {
		return time.Now()
	}
	return w.genesis.Add(time.Duration(w.shown.Load()))
}

// System is the world as a reactor sees it from below. Reactor is the easier way to it. Several reactors may have the
// same, as those of a group do.
func (w *World) System() reactor.System { return &system{w} }

// Reactor makes a reactor on this world that Run will run; name is for the trace. Its System is the world. If c has no
// ReportError, a panic in a callback fails the run and other reports go to the trace.
func (w *World) Reactor(name string, c reactor.Config) *reactor.Reactor {
	c.System = w.System()
	if c.ReportError == nil {
		c.ReportError = func(err error) {
			if p, ok := err.(*reactor.PanicError); ok {
				w.Errorf("%v\n%s", p, p.Stack)
				return
			}
			w.Logf("%v", err)
		}
	}
	r, err := reactor.New(c)
	if err != nil {
		panic(err) // it asks for a poller that there is none of
	}
	w.Add(name, r)
	return r
}

// Add has Run run a reactor that was made elsewhere, of World.System: one of a group, say.
func (w *World) Add(name string, r *reactor.Reactor) {
	t := &task{w: w, name: name, reactor: r}
	t.begin(func() {
		if err := r.Run(); err != nil {
			w.Errorf("%s: Run: %v", name, err)
		}
	})
}

// Go adds a script. It begins when Run does, or at once if that goes on. A panic in it fails the run.
func (w *World) Go(name string, f func()) {
	w.scripts++
	t := &task{w: w, name: name}
	t.begin(func() {
		defer func() {
			switch v := recover().(type) {
			case nil, killed:
			default:
				w.Errorf("%s: panic: %v\n%s", name, v, debug.Stack())
			}
		}()
		f()
	})
}

// Errorf fails the run, which goes on. The first failure comes with the trace as it is then.
func (w *World) Errorf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	w.Logf("FAILED: %s", firstLine(msg))
	if len(w.failures) == 0 {
		w.evidence = w.trace.String()
	}
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, msg)
	}
}

// maxFailures is how many are kept; the first is what matters.
const maxFailures = 10

// Failed reports whether Errorf was called.
func (w *World) Failed() bool { return len(w.failures) > 0 }

// A Failure is why a run has failed. Its text has everything: the failures, the seed, the trace.
type Failure struct {
	Seed     uint64
	Failures []string // the first ones
	Trace    string   // what had happened until the first
}

// Error says what failed, and the seed that repeats it.
func (f *Failure) Error() string {
	return fmt.Sprintf("sim: seed %d: %s\nthe last that happened before (SIM_SEED=%d runs this seed alone):\n%s",
		f.Seed, strings.Join(f.Failures, "\n"), f.Seed, f.Trace)
}

// Run runs everything until all scripts have returned, lets the network come to rest, stops the reactors, and returns
// when they have ended; in a world without scripts, when all reactors were stopped by their own. The error is a
// *Failure.
func (w *World) Run() error {
	over := false
	defer func() {
		if !over { // a Goexit, such as testing's FailNow, in a script or a callback
			w.kill()
			w.turns()
		}
	}()
	w.turns()
	over = true
	w.lookForLeaks()
	if len(w.failures) == 0 {
		return nil
	}
	return &Failure{w.seed, w.failures, w.evidence}
}

// turns gives turns until all tasks have ended.
func (w *World) turns() {
	for steps := 0; ; steps++ {
		if steps == w.c.Steps && !w.killed {
			w.Errorf("no end after %d turns\n%s", steps, w.waiting())
			w.kill()
			steps = 0
		} else if steps == w.c.Steps {
			w.Errorf("the reactors do not end\n%s", w.waiting())
			return
		}
		busy := w.busy() // asked first: what ends after this has woken a reactor
		w.happen()
		if t := w.pick(); t != nil {
			w.patience = 0
			t.resume()
			continue
		}
		if len(w.tasks) == 0 {
			return
		}
		switch next := w.next(); {
		case w.rest(next):
			w.stop()
		case busy:
			if !w.waitOutside(next) {
				return
			}
		case next < never:
			w.advance(next)
		case w.lastLook():
		default:
			w.Errorf("nothing can happen any more\n%s", w.waiting())
			w.kill()
		}
	}
}

// pick draws one of the tasks that can go on.
func (w *World) pick() *task {
	w.runnable = w.runnable[:0]
	for _, t := range w.tasks {
		if t.runnable() {
			w.runnable = append(w.runnable, t)
		}
	}
	switch n := len(w.runnable); n {
	case 0:
		return nil
	case 1:
		return w.runnable[0]
	default:
		return w.runnable[w.rng.IntN(n)]
	}
}

// next is when a task can go on, or something happens.
func (w *World) next() time.Duration {
	next := never
	if n := len(w.due); n > 0 {
		next = w.due[n-1].at
	}
	for _, t := range w.tasks {
		next = min(next, t.until)
	}
	return next
}

// rest reports whether the scripts are done and what was under way has arrived: it is time to stop.
func (w *World) rest(next time.Duration) bool {
	if w.stopping || w.scripts == 0 {
		return false
	}
	for _, t := range w.tasks {
		if t.reactor == nil {
			return false
		}
	}
	w.ended = min(w.ended, w.now)
	return len(w.due) == 0 || next > w.ended+settleTime
}

// stop stops the reactors.
func (w *World) stop() {
	w.stopping = true
	for _, t := range w.tasks {
		if t.reactor != nil {
			t.reactor.Stop()
		}
	}
}

// kill has the scripts unwind where they are, and the reactors stop.
func (w *World) kill() {
	w.killed = true
	w.stop()
}

// advance has time pass until next.
func (w *World) advance(next time.Duration) {
	w.now = max(w.now, next)
	if w.chance(w.c.Jump) {
		d := w.upTo(w.c.Leap)
		w.note("", "clock leaps", -1, int(d/time.Millisecond), 0, 0)
		w.now += d
	}
}

// waiting says who waits for what.
func (w *World) waiting() string {
	var b strings.Builder
	for _, t := range w.tasks {
		fmt.Fprintf(&b, "  %s waits for %s\n", t.name, t.what)
	}
	return b.String()
}

// Outside says that something outside of the world, a goroutine or a process, is at work and will call a reactor
// (CallFromThread) sooner or later. Until done is called, from any goroutine, time passes as the real one does.
func (w *World) Outside() (done func()) {
	w.hold(1)
	return sync.OnceFunc(func() {
		w.hold(-1)
		w.rouse()
	})
}

func (w *World) hold(n int) {
	w.outside.Lock()
	w.held += n
	w.outside.Unlock()
}

// rouse ends a wait for something outside.
func (w *World) rouse() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// busy reports whether something outside is at work.
func (w *World) busy() bool { return w.atWork() > 0 }

// atWork returns how much is at work outside.
func (w *World) atWork() int {
	w.outside.Lock()
	n := w.held
	w.outside.Unlock()
	for _, t := range w.tasks {
		if t.reactor != nil {
			n += t.reactor.ThreadCalls()
		}
	}
	return n
}

// lookInterval is how long a call in a thread that has ended without a word may go unnoticed.
const lookInterval = 200 * time.Microsecond

// waitOutside waits for something outside, for at most as long as it is to next. It returns false when that was in vain although
// the scripts were killed already.
func (w *World) waitOutside(next time.Duration) bool {
	begin := time.Now()
	d := min(next-w.now, lookInterval)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.poke:
	case <-timer.C:
	}
	passed := time.Since(begin)
	w.now = min(w.now+passed, max(next, w.now))
	if w.patience += passed; w.patience <= w.c.Patience {
		return true
	}
	w.Errorf("in vain waited %v for work outside of the world\n%s", w.c.Patience, w.waiting())
	w.patience = 0
	again := w.killed
	w.kill()
	return !again
}

// lastPatience is how long calls from outside are expected after all else has ended: the goroutines of a pool that is closed
// make one when they end.
const lastPatience = 200 * time.Millisecond

// lastLook reports whether something outside has called after all.
func (w *World) lastLook() bool {
	select {
	case <-w.poke:
		return true
	case <-time.After(lastPatience):
		return false
	}
}

// lookForLeaks fails the run if a reactor that has ended has left a descriptor.
func (w *World) lookForLeaks() {
	for fd, s := range w.fds {
		if s != nil {
			w.Errorf("descriptor %d, a %s, is left open", fd, s.kind)
		}
	}
}

// Descriptors lists what is open, the reserves of the reactors among it, in the order of the numbers, for example "3:
// spare", "4: listening", "6: stream".
func (w *World) Descriptors() []string {
	var all []string
	for fd, s := range w.fds {
		if s != nil {
			all = append(all, fmt.Sprintf("%d: %s", fd, s.kind))
		}
	}
	return all
}

// scarce is open when descriptors may run out.
func (w *World) scarce(s *socket) (int, syscall.Errno) {
	if w.chance(w.c.NoDescriptor) {
		return -1, oneOf(w, syscall.EMFILE, syscall.ENFILE)
	}
	return w.open(s)
}

// open gives s the lowest number that is free.
func (w *World) open(s *socket) (int, syscall.Errno) {
	fd := firstFD
	for fd < len(w.fds) && w.fds[fd] != nil {
		fd++
	}
	if fd-firstFD >= w.c.Descriptors {
		return -1, syscall.EMFILE
	}
	for fd >= len(w.fds) {
		w.fds = append(w.fds, nil)
	}
	w.fds[fd] = s
	s.fd = fd
	return fd, 0
}

// firstFD is the first descriptor that is not standard input, output or error.
const firstFD = 3
