package reactor

// A Reactor is a value: made by New, run by Run on one goroutine, ended by Stop, and then gone without a trace. This
// file holds its life; loop.go what one tick of it does.

import (
	"log"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/bytebufferpool"
)

// Bounds and defaults.
const (
	// eventsPerWait is how many ready descriptors one tick serves. More gains nothing measurable, and fewer keep the
	// time until posted calls and timers are looked at short.
	eventsPerWait = 256

	// readBufferSize is the one buffer that every connection of a loop reads into: large enough that a whole batch
	// of pipelined requests arrives in one read.
	readBufferSize = 64 << 10

	defaultThreads     = 64   // goroutines that wait on files and databases, not on the processor
	defaultThreadQueue = 4096 // what a burst may queue before callers are told to shed it
)

// Config says how a reactor is made. The zero value is right for production.
type Config struct {
	// Poller is the name of the way to wait, one of Pollers. Empty is the platform's best.
	Poller string

	// ThreadPoolSize is how many goroutines CallInThread uses at most (default 64), and ThreadQueue how many calls may
	// wait for one (default 4096; beyond, ErrPoolFull). Goroutines are started when they are first needed.
	ThreadPoolSize int
	ThreadQueue    int

	// ShutdownTimeout is how long the holds of HoldShutdown may keep a reactor that was stopped from shutting down (default
	// 10 s; negative: for ever).
	ShutdownTimeout time.Duration

	// ReportError gets each panic (*PanicError) and trouble that belongs to no connection, such as having run
	// out of descriptors. It is called on the loop, except for a panic in CallInThread, which is posted to it, and for a
	// *StallError and a *ShareError, which come on the goroutine of the stall watch. Nil prints through package log.
	ReportError func(error)

	// StallLimit is how long a callback may keep the loop before that is reported, once, between one limit and two after
	// it began, while it goes on (default 100 ms, or none with a System of one's own, whose time is another; negative:
	// none). Later when the machine is busy: time in which the loop waits for a core does not count. Reports of all loops of
	// the process are at least a second apart. The same watch finds what Shares returns.
	StallLimit time.Duration

	// ReportStall gets a stall, on a goroutine of its own while the loop is stuck: it must not wait for the loop,
	// which in turn does not end before it has returned. Nil is ReportError with a *StallError, on that goroutine.
	ReportStall func(Stall)

	// System replaces the kernel; nil is the kernel. It is for simulations.
	System System
}

// The stages of a reactor's life.
const (
	stageNew     int32 = iota // no goroutine is in it: not yet, or between two calls of Iterate
	stageRunning              // a goroutine is in Run, Iterate or Close
	stageEnded
)

// A Reactor is an event loop: it owns descriptors, timers, and the calls that other goroutines post to it. Only Stop,
// Crash, CallFromThread, CallInThread, HandleSignal and StopOnSignal may be called from any goroutine; all else
// belongs to the goroutine that is in Run or Iterate, or to the code that prepares the reactor before that.
type Reactor struct {
	config   Config
	sys      System
	real     bool // sys is the kernel
	poller   Poller
	stage    atomic.Int32
	stopping atomic.Bool
	crashed  atomic.Bool // and without the events of a shutdown
	started  bool        // the events of a start-up have begun
	ending   bool        // the loop is over and everything is being taken down: nothing new is accepted
	endStep  int         // how far that has come
	broken   int         // and how often a callback has broken it off
	triggers triggers

	goroutine atomic.Uint64 // that is in it; 0 if none is

	fds       fdset
	events    []Event    // what a wait fills
	ready     []Event    // what this tick serves: what the last wait has found, and what is always ready
	next      int        // the event to serve next
	step      int        // the step of the tick that is being done
	current   Descriptor // whose callback runs: it pays for a panic
	ports     map[*Port]struct{}
	attempts  map[*attempt]struct{} // connections that are being opened
	factories map[Factory]int       // how often those are used that want to know
	reserve   int                   // a descriptor to give up when there is no other; -1 when that has happened

	in        []byte     // what a read fills and DataReceived is lent
	datagrams *datagrams // the same for UDP; nil until there is a port
	out       gathered
	spare     []*bytebufferpool.ByteBuffer // of a simulation, see takeBuffer
	queues    []*queue                     // for connections that need one
	unsent    int                          // what the connections' queues hold in memory, all together
	held      int                          // and what memory they take for that
	wide      wideSet                      // connections of which the kernel takes more
	iovecs    [][]byte                     // of a writev(2)
	layers    batch[flushing]              // that have something to do before that
	touched   batch[settler]               // whose output goes out at the end of the tick
	locals    map[any]any                  // of Local
	ended     batch[ending]                // connections to bury at the end of the tick

	epoch   time.Time // the zero of all int64 times
	now     time.Time // the tick's clock, and the same as nanoseconds since epoch
	mono    int64
	fresh   bool // now was read in this tick
	ticking bool // and not between two, where a clock that is kept would grow old
	timers  timers
	sweeps  sweeps
	lag     lag
	watch   watch

	calls   calls
	threads pool
	outside func() // workOutside, made once
	signals signals
	workers sync.WaitGroup // goroutines that end before Run does
}

// A settler is a descriptor that has something to send, or to be told, at the end of the tick.
type settler interface {
	Descriptor
	// settleTouched returns the reason that the descriptor ends, if it does.
	settleTouched() error
}

// An ending is a descriptor that has left the loop and is yet to be told why.
type ending struct {
	who    Descriptor
	reason error
}

// New makes a reactor. It holds a few descriptors from now on: Run frees them when it returns, Close if it never runs.
func New(c Config) (*Reactor, error) {
	r := &Reactor{config: c, sys: c.System, ports: map[*Port]struct{}{}, attempts: map[*attempt]struct{}{}, factories: map[Factory]int{}}
	if r.sys == nil {
		r.sys, r.real = kernel{newWarmth()}, true
	}
	var err error
	if r.poller, err = r.sys.NewPoller(c.Poller); err != nil {
		return nil, err
	}
	r.fds.poller, r.fds.ended = r.poller, &r.ended
	r.events = make([]Event, eventsPerWait, eventsPerWait+alwaysPerTick)
	r.in = make([]byte, readBufferSize)
	r.out.buf = make([]byte, 0, gatherSize)
	r.epoch = r.sys.Now().Add(-1) // so that no time is 0, which means none
	r.sweeps.next = never
	r.threads.work.L = &r.threads.mu
	r.outside = r.workOutside
	r.threads.limit = orDefault(c.ThreadPoolSize, defaultThreads)
	r.threads.queueLimit = orDefault(c.ThreadQueue, defaultThreadQueue)
	if r.config.ShutdownTimeout == 0 {
		r.config.ShutdownTimeout = defaultShutdownTimeout
	}
	r.watchStalls()
	r.openReserve()
	return r, nil
}

// watchStalls makes the stall watch.
func (r *Reactor) watchStalls() {
	limit, report := r.config.StallLimit, r.config.ReportStall
	if limit == 0 && r.real {
		limit = defaultStallLimit
	}
	if report == nil {
		report = func(s Stall) { r.report(&StallError{s}) }
	}
	r.watch.init(&r.goroutine, max(limit, 0), report, func(e *ShareError) {
		e.Reactor = r
		r.report(e)
	})
}

func orDefault[T int | time.Duration](n, byDefault T) T {
	if n <= 0 {
		return byDefault
	}
	return n
}

// Run runs the loop on the calling goroutine until Stop. When it returns, every connection and descriptor has been
// told ErrShutdown, every port is closed, the goroutines of CallInThread have finished what they had accepted, and no
// descriptor or goroutine of this reactor is left. Timers that are not due are dropped. It returns ErrRunning or
// ErrStopped when it cannot run, or the error of a poller that failed. A reactor runs once; to run again, make another.
//
// A callback that ends the goroutine, by runtime.Goexit or a test's FailNow, ends the loop, and everything is freed all the
// same.
func (r *Reactor) Run() error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.end()
	if !r.stopping.Load() {
		r.startUp()
	}
	for !r.stopping.Load() {
		if err := r.tick(never); err != nil {
			return err
		}
	}
	return r.windDown()
}

// Iterate does one tick on the calling goroutine, for a loop that is driven by another loop, or by a test. It waits at most
// d for something to do: not at all when d is 0, as long as it takes when d is negative. The first call starts the
// reactor, as Run does. After Stop the next call, or the one that Stop was called in, ends it, as Run does, and returns
// ErrStopped, as all later ones do. Inside Run, Iterate or Close it returns ErrRunning; the error of a poller that failed
// ends the reactor too.
//
// The calls need not come from one goroutine, but each must have returned before the next; in between, what is for the
// loop is for the next caller. A reactor that is not stopped is freed by Close.
func (r *Reactor) Iterate(d time.Duration) error {
	if err := r.enter(); err != nil {
		return err
	}
	over := true // also by a Goexit
	defer func() {
		if over {
			r.end()
			return
		}
		r.watch.sleep()
		r.goroutine.Store(0)
		r.stage.Store(stageNew)
	}()
	if !r.stopping.Load() {
		r.startUp()
	}
	if !r.stopping.Load() {
		latest := int64(never)
		if d == 0 {
			latest = 0
		} else if d > 0 {
			latest = later(r.reading(), d)
		}
		if err := r.tick(latest); err != nil {
			return err
		}
	}
	if r.stopping.Load() {
		if err := r.windDown(); err != nil {
			return err
		}
		return ErrStopped
	}
	over = false
	return nil
}

// Stop makes Run return: the tick is finished, the triggers of Shutdown are called, and everything is taken down. It may be
// called from any goroutine, before Run too, and any number of times. A reactor that was stopped before it started starts
// nothing, and calls no trigger.
func (r *Reactor) Stop() {
	r.stopping.Store(true)
	r.calls.interrupt(r.poller)
}

// Crash is Stop without the events: no trigger of Shutdown is called and no hold waited for, also when the shutdown has
// begun. All else that Run promises at its end holds. It may be called from any goroutine, and any number of times.
func (r *Reactor) Crash() {
	r.crashed.Store(true)
	r.Stop()
}

// Close ends a reactor that is not in Run, and frees it, as Run does at its end. It returns ErrRunning while it runs, and
// nil once it has ended.
func (r *Reactor) Close() error {
	switch err := r.enter(); err {
	case nil:
	case ErrStopped:
		return nil
	default:
		return err
	}
	defer r.end()
	r.stopping.Store(true)
	return r.windDown()
}

// enter makes the caller the loop.
func (r *Reactor) enter() error {
	if r.stage.CompareAndSwap(stageNew, stageRunning) {
		r.goroutine.Store(goroutineID())
		r.watch.wake()
		return nil
	}
	if r.stage.Load() == stageEnded {
		return ErrStopped
	}
	return ErrRunning
}

// endSteps take everything down, in an order that keeps two promises: a call that CallFromThread or CallInThread accepted
// is made, and no descriptor is called after ErrShutdown. Each may be begun again when a callback has ended the goroutine.
var endSteps = [...]func(*Reactor){
	func(r *Reactor) {
		r.stopping.Store(true)
		r.current, r.ticking, r.fresh = nil, false, false
		r.out.drop() // a Goexit may have left them
		if r.firesShutdown() {
			r.fireShutdown(During)
			r.work() // what the triggers have written is sent
		}
	},
	func(r *Reactor) {
		r.ending = true
		r.timers.clear()
		r.sweeps.next = never
		for _, p := range byFD(r.ports) {
			p.close()
		}
		for _, a := range byFD(r.attempts) {
			a.end(ErrShutdown)
		}
		r.loseAll(ErrShutdown)
		r.work()
	},
	func(r *Reactor) {
		r.signals.stop()
		r.threads.close()
		for r.threads.alive() { // what runs there may wait for a call that it posted here
			if r.tick(never) != nil {
				break
			}
		}
		r.workers.Wait()
		r.calls.close()
		r.work()
	},
	func(r *Reactor) { r.fireShutdown(After) },
	func(r *Reactor) {
		r.watch.close()
		_ = r.poller.Close() // its failing does not matter any more
		if r.reserve >= 0 {
			r.sys.Close(r.reserve)
		}
		r.triggers.lists, r.triggers.next = [moments][]trigger{}, moments
		r.goroutine.Store(0)
		r.stage.Store(stageEnded)
	},
}

// endPatience is how many callbacks may end the goroutine in one step of the end before the step is given up.
const endPatience = 1000

// end does what there is to do at the end. A callback that ends the goroutine does not keep the rest from being done, and
// neither does a System that panics.
func (r *Reactor) end() {
	defer func() {
		if r.endStep == len(endSteps) {
			return
		}
		v := recover()
		if r.broken++; v != nil || r.broken > endPatience {
			r.endStep++
		}
		r.end()
		if v != nil {
			panic(v)
		}
	}()
	for ; r.endStep < len(endSteps); r.endStep++ {
		endSteps[r.endStep](r)
	}
}

// byFD lists a set in the order of the descriptors, so that a reactor ends in the same way each time.
func byFD[D interface {
	comparable
	Descriptor
}](set map[D]struct{}) []D {
	return slices.SortedFunc(maps.Keys(set), func(a, b D) int { return a.FD() - b.FD() })
}

// Now is the time of this tick, read at most once in it and so free to call. It is for the loop only, or before Run.
func (r *Reactor) Now() time.Time {
	if !r.fresh {
		r.readClock()
	}
	return r.now
}

// clock is Now as nanoseconds since the reactor was made.
func (r *Reactor) clock() int64 {
	if !r.fresh {
		r.readClock()
	}
	return r.mono
}

func (r *Reactor) readClock() {
	r.fresh = r.ticking
	r.now = r.sys.Now()
	r.mono = int64(r.now.Sub(r.epoch))
}

// reading is a new reading of the same clock, without the time of day, which costs as much again.
func (r *Reactor) reading() int64 {
	if r.real {
		return int64(time.Since(r.epoch))
	}
	return int64(r.sys.Now().Sub(r.epoch))
}

// report hands err to ReportError, or prints it. A reporter that panics itself must not take the loop along.
func (r *Reactor) report(err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("reactor: ReportError panicked: %v, when told: %v", v, err)
		}
	}()
	if r.config.ReportError != nil {
		r.config.ReportError(err)
		return
	}
	switch e := err.(type) {
	case *PanicError:
		log.Printf("%v\n%s", e, e.Stack)
	case *StallError:
		log.Printf("%v\n%s", e, e.Stack)
	default:
		log.Print(err)
	}
}
