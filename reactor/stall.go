package reactor

// The stall watch: it tells of a callback that keeps the loop while it still does, so that the stack shows where.
//
// The loop counts its callbacks in one word, the beat, and notes in one of two places what each is for. The watch is a
// timer, not a goroutine. It is armed when the loop wakes up and finds it not armed, comes by at least twice in a limit for
// as long as the loop is awake, and is not armed again when it finds the loop asleep; so a program at rest has no wake-ups.
// Looks that find the same beat for the length of a limit have found a stall. The same looks are samples of what the loop
// spends its time on: see shares.go.
//
// A loop that is not running is not held up by its callback: the scheduler may have taken it off its thread, in favour of
// goroutines that compute. So the watch queues up for the scheduler itself before it blames a callback, and the loop says
// that it is in no callback before it gives its turn away.
//
// What the watch reads it must not read while the loop writes it, and the loop has no time for a lock. So the watch first
// marks the beat. A loop that moves on writes to the other place, and if it finds the mark it waits until the reader is
// done, before it comes to the place that is being read.

import (
	"bytes"
	"fmt"
	"log"
	"net/netip"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultStallLimit is what a peer on another connection of the loop begins to notice.
	defaultStallLimit = 100 * time.Millisecond

	// stallInterval is the least time between two reports of all loops of the process: a stack costs the whole process a
	// stop, the longer the more goroutines there are.
	stallInterval = time.Second

	// stackMost is how much is read of the stacks of all goroutines to find that of the loop.
	stackMost = 16 << 20
)

// A Stall is one callback that keeps a loop for longer than Config.StallLimit. It is reported while it lasts.
type Stall struct {
	// Lasted is how long the callback has lasted so far, at least.
	Lasted time.Duration
	// Serving says what the callback is for: a connection and its peer, a descriptor, a timer or a posted call and
	// its function.
	Serving string
	// Work is what the callback has said itself, through Reactor.Serving; empty if it has not.
	Work string
	// Remote is the peer, when the callback is for a TCP connection, and FD the descriptor, -1 when it is for none.
	Remote netip.AddrPort
	FD     int
	// Stack is the stack of the loop's goroutine, as runtime.Stack formats it. It is nil if the callback ended just before
	// it could be taken, or if there are so many goroutines that this one could not be found among them.
	Stack []byte
}

// StallError is a Stall told to ReportError.
type StallError struct{ Stall }

// Error says all but the stack.
func (e *StallError) Error() string {
	work := ""
	if e.Work != "" {
		work = ", " + e.Work
	}
	return fmt.Sprintf("reactor: a loop has been in one callback for %v: %s%s", e.Lasted, e.Serving, work)
}

// Serving names what the running callback works on from now on, a route or a command, for the Stall that may come of it and
// for Shares. Call it once for each request or command: each call counts as one in the mean of a LoopShare. The time of a
// Stall counts from here. The name holds until the callback ends or another is given; to give it again is to go on with the
// same work. There should be few names, and long-lived: beyond 1024 on a loop, Shares counts them as one. It costs a few
// nanoseconds, and nothing without a stall watch. It is for the loop.
func (r *Reactor) Serving(work string) {
	w := &r.watch
	if w.limit <= 0 {
		return
	}
	found := w.works.last
	if w.works.given != work { // strings that are one and the same are compared by their pointers
		found = w.works.find(work)
	}
	switch s := w.place(); {
	case s.work != found:
		w.next(s.kind, s.who, int(s.fd), s.f, found)
	case found != nil:
		found.calls++
	}
}

// What a callback can be for.
type servingKind uint8

const (
	servingNothing servingKind = iota // between two callbacks: with the poller, or with the scheduler
	servingDescriptor
	servingLoss
	servingCall
	servingTimer
	servingTrigger

	// sending is added while the loop is in a large write, which is no work of a handler.
	sending servingKind = 0x80
)

// A serving is what a callback is for.
type serving struct {
	kind  servingKind
	fd    int32
	who   Descriptor
	f     func()
	work  *work  // as Serving has named it; nil if it has not
	calls uint64 // how often it had been by then
}

// The bits of a beat below the count.
const (
	beatRead   = 1 << iota // the watch has read, or is reading, what this callback is for
	beatAsleep             // there is no callback
	beatOne                // the count's unit
)

type watch struct {
	limit  time.Duration // 0: off
	report func(Stall)

	beat   atomic.Uint64
	count  uint64 // beat's, the loop's own
	places [2]serving
	works  works      // the loop's own
	reader sync.Mutex // held while a place is read

	goroutine *atomic.Uint64 // of the loop
	armed     atomic.Bool    // the timer is, or will be by its function
	timer     *time.Timer
	plan      plan // of the next look; it belongs to the goroutine that has armed the timer

	mu     sync.Mutex // guards what follows: the timer's function has it
	closed bool
	seen   uint64        // the beat of the last look
	since  time.Time     // when it was new
	stayed time.Duration // for how long looks have found it, without the time that the watch itself was late
	told   bool
	rate   *stallRate
	shares shares
}

// place is where it says what the running callback is for.
func (w *watch) place() *serving { return &w.places[w.count/beatOne%2] }

// begin notes that a callback begins. f and who are for the report, and are not touched.
func (w *watch) begin(kind servingKind, who Descriptor, fd int, f func()) {
	if w.limit > 0 {
		w.next(kind, who, fd, f, nil)
	}
}

// next comes to the next beat. The place of the one before is left as it is: it may be being read.
func (w *watch) next(kind servingKind, who Descriptor, fd int, f func(), work *work) {
	w.count += beatOne
	s := w.place()
	s.kind, s.fd, s.who, s.f, s.work = kind, int32(fd), who, f, work // one by one: a struct is copied through the stack
	if work != nil {
		work.calls++
		s.calls = work.calls
	}
	w.swap(0)
}

func (w *watch) swap(asleep uint64) {
	if w.beat.Swap(w.count|asleep)&beatRead != 0 {
		w.awaitReader()
	}
}

func (w *watch) awaitReader() {
	w.reader.Lock()
	defer w.reader.Unlock()
}

// sends notes that the loop writes so many bytes, and sent that it has. What a large write takes is not the work of the
// handler that is being served: it would take as long elsewhere.
func (w *watch) sends(bytes int) {
	if bytes >= directSize {
		w.turn()
	}
}

func (w *watch) sent(bytes int) {
	if bytes >= directSize {
		w.turn()
	}
}

// turn comes to the next beat of the same work, from sending or to it.
func (w *watch) turn() {
	if w.place().work != nil {
		o := w.outer()
		o.kind ^= sending
		w.back(o)
	}
}

// An outer is a callback inside of which another is called.
type outer struct {
	serving
	asleep uint64 // the loop was: between two calls of Iterate there is none
}

// outer is the running callback, before another begins inside of it.
func (w *watch) outer() outer { return outer{*w.place(), w.beat.Load() & beatAsleep} }

// back comes to the next beat of a callback that goes on.
func (w *watch) back(o outer) {
	if w.limit > 0 {
		w.count += beatOne
		*w.place() = o.serving
		w.swap(o.asleep)
	}
}

// pause notes that no callback runs, though the loop does not sleep. It comes before the loop asks the poller, or gives
// its turn away: it may not get it back for long, and the last callback is not to blame for that.
func (w *watch) pause() { w.begin(servingNothing, nil, -1, nil) }

// sleep notes that no callback runs.
func (w *watch) sleep() {
	if w.limit > 0 {
		w.count += beatOne
		*w.place() = serving{}
		w.swap(beatAsleep)
		w.places[(w.count/beatOne+1)%2] = serving{} // it is not read now, and a lost connection should not be held at rest
	}
}

// wake notes that the loop is awake, and sees to it that the watch is too.
func (w *watch) wake() {
	if w.limit > 0 {
		w.pause()
		if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
			w.arm(time.Now())
		}
	}
}

// init makes the watch of the loop that is on the goroutine; limit 0 is none.
func (w *watch) init(goroutine *atomic.Uint64, limit time.Duration, report func(Stall), reportShare func(*ShareError)) {
	w.goroutine, w.limit, w.report, w.rate = goroutine, limit, report, &stalls
	w.shares.init(reportShare)
	w.beat.Store(beatAsleep)
	if limit > 0 {
		w.timer = time.AfterFunc(time.Hour, w.look)
		w.timer.Stop()
	}
}

// arm has the watch look again.
func (w *watch) arm(now time.Time) {
	w.plan = w.shares.plan(now, w.limit/2)
	w.timer.Reset(w.plan.after)
}

// close ends the watch. When it returns, nothing is being reported and nothing will be.
func (w *watch) close() {
	if w.limit > 0 {
		w.timer.Stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = true
	}
}

// look is the timer's function.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	now := time.Now()
	waited := now.Sub(w.plan.made)
	beat := w.beat.Load() &^ beatRead
	asleep := beat&beatAsleep != 0
	if asleep {
		w.shares.asleep(w.plan, waited)
	} else {
		w.sample(beat, waited)
	}
	w.shares.judge(now)
	if asleep {
		w.armed.Store(false)
		beat = w.beat.Load() &^ beatRead // again, or a loop that woke up meanwhile would be alone
		if beat&beatAsleep != 0 || !w.armed.CompareAndSwap(false, true) {
			return
		}
	}
	w.judge(beat, now, waited)
	w.arm(now)
}

// judge finds out whether the loop is held up.
func (w *watch) judge(beat uint64, now time.Time, waited time.Duration) {
	if beat != w.seen {
		w.seen, w.since, w.stayed, w.told = beat, now, 0, false
		return
	}
	w.stayed += min(waited, w.limit/2) // or a pause of the whole process would look like a stall
	if w.stayed < w.limit || w.told || !w.outlasts(beat) {
		return
	}
	s, ok := w.read(beat)
	if ok && s.kind != servingNothing && w.rate.allow(now) {
		w.told = true
		w.tell(beat, s, now.Sub(w.since))
	}
}

// turns is how often the watch queues up for the scheduler before it believes that a callback keeps its thread busy. Once is
// nearly enough; but a thread takes several goroutines at a time out of the queue, so that a later one may be quicker.
const turns = 3

// outlasts reports whether the callback of beat goes on although every goroutine that was ready to run has had its turn. If
// it does not, it may just have ended, or the loop was one of those goroutines.
func (w *watch) outlasts(beat uint64) bool {
	for range turns {
		runtime.Gosched()
		if w.beat.Load()&^beatRead != beat {
			return false
		}
	}
	return true
}

// read returns what the callback of beat is for, if it is still running.
func (w *watch) read(beat uint64) (s serving, ok bool) {
	w.reader.Lock()
	defer w.reader.Unlock()
	if !w.beat.CompareAndSwap(beat, beat|beatRead) && w.beat.Load() != beat|beatRead {
		return s, false
	}
	return w.places[beat/beatOne%2], true
}

// tell reports the callback of beat, which s describes.
func (w *watch) tell(beat uint64, s serving, lasted time.Duration) {
	s.kind &^= sending
	stall := Stall{Lasted: lasted, Serving: s.String(), FD: int(s.fd)}
	if s.work != nil {
		stall.Work = s.work.name
	}
	if t, ok := s.who.(*transport); ok {
		stall.Remote = t.remote
	}
	stack := stackOf(w.goroutine.Load())
	if w.beat.Load() == beat|beatRead { // else it is the stack of something else
		stall.Stack = stack
	}
	defer func() {
		if v := recover(); v != nil {
			log.Printf("reactor: ReportStall panicked: %v, when told of %s", v, stall.Serving)
		}
	}()
	w.report(stall)
}

// String says in words what a callback is for. Of who it touches only what never changes.
func (s *serving) String() string {
	switch d := s.who.(type) {
	case nil:
		names := map[servingKind]string{
			servingCall: "a posted call", servingTimer: "a timer", servingTrigger: "a system event",
		}
		return names[s.kind] + ": " + runtime.FuncForPC(reflect.ValueOf(s.f).Pointer()).Name()
	case *transport:
		if s.kind == servingLoss {
			return "the loss of the connection with " + peerName(d.remote)
		}
		return fmt.Sprintf("descriptor %d, the connection with %s", s.fd, peerName(d.remote))
	case *Port:
		return fmt.Sprintf("descriptor %d, the port %v", s.fd, d.at)
	default:
		if s.kind == servingLoss {
			return fmt.Sprintf("the loss of a %T", d)
		}
		return fmt.Sprintf("descriptor %d, a %T", s.fd, d)
	}
}

// peerName is how a peer is named: that of a Unix socket has no address.
func peerName(remote netip.AddrPort) string {
	if !remote.IsValid() {
		return "a Unix socket"
	}
	return remote.String()
}

// stallRate bounds the reports.
type stallRate struct {
	mu   sync.Mutex
	next time.Time
}

// stalls is the bound for the whole process.
var stalls stallRate

func (s *stallRate) allow(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		return false
	}
	s.next = now.Add(stallInterval)
	return true
}

// stackOf returns the stack of one goroutine, nil if it is not found. The only way to the stack of another goroutine is
// through those of all.
func stackOf(id uint64) []byte {
	header := fmt.Appendf(nil, "goroutine %d ", id)
	for size := min(max(64<<10, runtime.NumGoroutine()<<10), stackMost); ; size *= 2 {
		all := make([]byte, size)
		all = all[:runtime.Stack(all, true)]
		cut := len(all) == size && size < stackMost
		for len(all) > 0 {
			stack, rest, whole := bytes.Cut(all, []byte("\n\n"))
			if bytes.HasPrefix(stack, header) && (whole || !cut) {
				return bytes.Clone(stack)
			}
			all = rest
		}
		if !cut {
			return nil
		}
	}
}
