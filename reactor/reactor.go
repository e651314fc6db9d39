package reactor

// A Reactor is a value: made by New, run by Run on one goroutine, ended by Stop, and then gone without a trace. This
// file holds its life; loop.go what one tick of it does.

import (
	"log"
	"sync"
	"sync/atomic"
	"time"
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
	// Poller is the name of the way to wait: "epoll" or "poll". Empty is the platform's best.
	Poller string

	// ThreadPoolSize is how many goroutines CallInThread uses at most (default 64), and ThreadQueue how many calls may
	// wait for one (default 4096; beyond, ErrPoolFull). Goroutines are started when they are first needed.
	ThreadPoolSize int
	ThreadQueue    int

	// ReportError is told of each panic (*PanicError) and of trouble that belongs to no connection, such as having run
	// out of descriptors. It is called on the loop, except for a panic in CallInThread, which is posted to it. Nil
	// prints through package log.
	ReportError func(error)

	// System replaces the kernel; nil is the kernel. It is for simulations.
	System System
}

// The stages of a reactor's life.
const (
	stageNew int32 = iota
	stageRunning
	stageEnded
)

// A Reactor is an event loop: it owns descriptors, timers, and the calls that other goroutines post to it. Only Stop,
// CallFromThread, CallInThread, HandleSignal and StopOnSignal may be called from any goroutine; all else belongs to the
// goroutine that is in Run, or to whoever prepares the reactor before Run.
type Reactor struct {
	config   Config
	sys      System
	real     bool // sys is the kernel
	poller   Poller
	stage    atomic.Int32
	stopping atomic.Bool
	ending   bool // the loop is over and everything is being taken down: nothing new is accepted

	fds      fdset
	events   []Event
	found    int        // how many of events the last wait filled
	next     int        // the event to serve next
	step     int        // the step of the tick that is being done
	current  Descriptor // whose callback runs: it pays for a panic
	ports    map[*Port]struct{}
	attempts map[*attempt]struct{} // connections that are being opened
	reserve  int                   // a descriptor to give up when there is no other; -1 when that has happened

	in        []byte     // what a read fills and DataReceived is lent
	datagrams *datagrams // the same for UDP; nil until there is a port
	out       gathered
	touched   batch[settler] // whose output goes out at the end of the tick
	ended     batch[ending]  // connections to bury at the end of the tick

	epoch  time.Time // the zero of all int64 times
	now    time.Time // the tick's clock, and the same as nanoseconds since epoch
	mono   int64
	fresh  bool // now was read in this tick
	timers timers
	sweeps sweeps

	calls   calls
	threads pool
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
	r := &Reactor{config: c, sys: c.System, ports: map[*Port]struct{}{}, attempts: map[*attempt]struct{}{}}
	if r.sys == nil {
		r.sys, r.real = kernel{}, true
	}
	var err error
	if r.poller, err = r.sys.NewPoller(c.Poller); err != nil {
		return nil, err
	}
	r.fds.poller = r.poller
	r.events = make([]Event, eventsPerWait)
	r.in = make([]byte, readBufferSize)
	r.out.buf = make([]byte, 0, gatherSize)
	r.epoch = r.sys.Now().Add(-1) // so that no time is 0, which means none
	r.sweeps.next = never
	r.threads.work.L = &r.threads.mu
	r.threads.limit = orDefault(c.ThreadPoolSize, defaultThreads)
	r.threads.queueLimit = orDefault(c.ThreadQueue, defaultThreadQueue)
	r.openReserve()
	return r, nil
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
// ErrStopped when it cannot run, or the error of a poller that failed.
func (r *Reactor) Run() error {
	if !r.stage.CompareAndSwap(stageNew, stageRunning) {
		return r.refusal()
	}
	defer r.end()
	for !r.stopping.Load() {
		if err := r.tick(); err != nil {
			return err
		}
	}
	return nil
}

// Stop makes Run return at the end of the tick. It may be called from any goroutine, before Run too, and any number of
// times.
func (r *Reactor) Stop() {
	r.stopping.Store(true)
	r.calls.interrupt(r.poller)
}

// Close frees a reactor that was never run, as Run would have. It returns ErrRunning while it runs, and nil once it has
// ended.
func (r *Reactor) Close() error {
	if !r.stage.CompareAndSwap(stageNew, stageRunning) {
		if err := r.refusal(); err != ErrStopped {
			return err
		}
		return nil
	}
	r.end()
	return nil
}

func (r *Reactor) refusal() error {
	if r.stage.Load() == stageEnded {
		return ErrStopped
	}
	return ErrRunning
}

// end takes everything down, in an order that keeps two promises: a call that CallFromThread or CallInThread accepted
// is made, and nobody is told anything after ErrShutdown.
func (r *Reactor) end() {
	r.stopping.Store(true)
	r.ending = true
	r.current = nil
	r.out.drop() // a Goexit may have left them
	r.timers.clear()
	r.sweeps.next = never
	for p := range r.ports {
		p.close()
	}
	for a := range r.attempts {
		a.end(ErrShutdown)
	}
	r.loseAll(ErrShutdown)
	r.work()

	r.signals.stop()
	r.threads.close()
	for r.threads.alive() { // what runs there may wait for a call that it posted here
		if r.tick() != nil {
			break
		}
	}
	r.workers.Wait()
	r.calls.close()
	r.work()

	_ = r.poller.Close() // there is nobody left to whom its failing would matter
	if r.reserve >= 0 {
		r.sys.Close(r.reserve)
	}
	r.stage.Store(stageEnded)
}

// Now is the time of this tick, read at most once in it and so free to call. It is for the loop only, or before Run.
func (r *Reactor) Now() time.Time {
	r.clock()
	return r.now
}

// clock is Now as nanoseconds since the reactor was made.
func (r *Reactor) clock() int64 {
	if !r.fresh {
		r.fresh = r.stage.Load() == stageRunning
		r.now = r.sys.Now()
		r.mono = int64(r.now.Sub(r.epoch))
	}
	return r.mono
}

// reading is a new reading of the same clock, without the time of day, which costs as much again.
func (r *Reactor) reading() int64 {
	if r.real {
		return int64(time.Since(r.epoch))
	}
	return int64(r.sys.Now().Sub(r.epoch))
}

// report hands err to whoever wants to know. A reporter that panics itself must not take the loop along.
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
	if p, ok := err.(*PanicError); ok {
		log.Printf("%v\n%s", p, p.Stack)
		return
	}
	log.Print(err)
}
