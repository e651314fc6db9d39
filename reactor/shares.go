package reactor

// What a loop spends its time on. A callback that keeps the loop for longer than a limit is a stall (stall.go). One that
// keeps it for a fifth of that, each time, costs the loop most of its throughput and is no stall. So the watch counts, too,
// in which work of Serving its looks have found the loop. The part of the looks is the part of the time: no clock is read
// for a call.
//
// That holds for looks that do not know what the loop does. But the watch is armed when the loop wakes up, and work begins
// just then. So the time to the next look is drawn from the exponential distribution, which has no memory: whenever such a
// look comes, the time before it says nothing. Where the stall watch wants to look earlier than was drawn, that look is not
// counted, and the rest is drawn again.
//
// How long a call lasts on average is the time of the work by the number of its calls. The loop counts those, and a look
// finds the count beside the work; so both are taken from the first look that found the work to the last. All of it is an
// estimate: a warning is given only when chance alone would hardly give it.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// lookEvery is the mean time between two looks that are counted. A hundred a second show what takes a tenth of it, and
	// cost less than a thousandth of a core.
	lookEvery = 10 * time.Millisecond

	// shareWindow is the time that shares are judged by.
	shareWindow = time.Second

	// leastShare is the part of a window from which on a work may be warned of. Others wait for less than a tenth of the
	// time then, and looks are few.
	leastShare = 0.1

	// longCall is what the mean call must last to be warned of. Going off the loop and back costs some ten microseconds, but
	// a loop that is full of short calls has too much to do, and no call to blame.
	longCall = 2 * time.Millisecond

	// warnEvery is the least time between two warnings of the same work.
	warnEvery = time.Minute

	// maxWorks bounds the names that are told apart on a loop. More are no names of routes.
	maxWorks = 1024

	// otherWork is the name of all beyond maxWorks.
	otherWork = "(other)"

	// readTries is how often the watch tries to read what a loop is in that moves on each time.
	readTries = 4
)

// A LoopShare is the part of a loop's time that went to one work, as Reactor.Serving names it. It is estimated from a hundred
// looks a second: of what takes a tenth of the loop's time, Held is off by a third at most times, and what Total grows by in
// a minute by a twenty-fifth. A call counts until its callback ends or the next call begins, but for large writes to the
// socket; so the sending of small answers is in it.
type LoopShare struct {
	// Work is the name. "(other)" is everything beyond the first 1024 names.
	Work string
	// Held is how much of the last second went to it; 0 if the loop was asleep since.
	Held time.Duration
	// Total is how much time went to it since the reactor was made. What Total grows by in an interval, by the length of
	// the interval, is the share.
	Total time.Duration
	// Calls is how many calls had begun when the last look found one. Total by Calls is the mean call.
	Calls uint64
}

// ShareError is what ReportError gets when one work takes a tenth of a loop's time or more, in calls that last 2 ms or more on
// average: all connections of the loop wait for it again and again. It comes at most once a minute for each work of a
// loop, on a goroutine of its own.
type ShareError struct {
	LoopShare
	// Call is how long a call of it lasts on average.
	Call time.Duration
	// Reactor is the loop.
	Reactor *Reactor
}

// Error says how much, and how long a call is.
func (e *ShareError) Error() string {
	return fmt.Sprintf("reactor: %s held a loop for %v of the last second, %v a call", e.Work,
		e.Held.Round(time.Millisecond), e.Call.Round(time.Millisecond/10))
}

// Shares returns what the loop's time went to, the largest Total first. A work that no look has found is not among it. There
// is nothing without a stall watch. It may be called from any goroutine at any time, also after the end.
func (r *Reactor) Shares() []LoopShare { return r.watch.shares.read(time.Now()) }

// A work is one name of Serving's.
type work struct {
	name  string
	calls uint64 // how often it was begun; the loop's own
	tally *tally // what the watch has found
}

// works are the names that the loop has met.
type works struct {
	given  string // the name that was last looked for, as it was given: most often it is looked for again
	last   *work  // and what was found; nil for no name
	all    map[string]*work
	excess work // counts for those beyond maxWorks
}

// find returns the work of that name, nil for none.
func (k *works) find(name string) *work {
	var found *work
	if name != "" {
		if found = k.all[name]; found == nil {
			found = k.add(name)
		}
	}
	k.given, k.last = name, found
	return found
}

func (k *works) add(name string) *work {
	if k.all == nil {
		k.all = map[string]*work{}
	}
	if len(k.all) < maxWorks {
		name = strings.Clone(name) // it may be a part of something large
		w := &work{name: name, tally: &tally{name: name}}
		k.all[name] = w
		return w
	}
	if k.excess.tally == nil {
		k.excess.tally = &tally{name: otherWork}
	}
	k.excess.calls++
	return &work{name: name, calls: k.excess.calls, tally: k.excess.tally}
}

// A tally is what looks have found of one work.
type tally struct {
	name  string
	known bool   // shares has it in its list
	calls uint64 // at the last look
	total time.Duration

	looks  int           // of this window that found it
	first  point         // when the first of them did
	latest point         // when the latest look did
	held   time.Duration // in the last window

	run    run // the windows up to now that all had leastShare
	warned time.Time
}

// A run is a number of windows, one after the other.
type run struct {
	looks  int // that found the work
	first  point
	held   time.Duration
	lasted time.Duration
}

// A point is when a look found a work.
type point struct {
	calls uint64        // of the work, by then
	looks int           // of all that were counted
	armed time.Duration // for which the watch had been
}

// A plan is when the watch looks next.
type plan struct {
	made    time.Time
	after   time.Duration
	counted bool // the look is a sample
}

// shares are the tallies of a loop. The watch has it, but for what mu guards.
type shares struct {
	every  time.Duration
	window time.Duration
	report func(*ShareError)
	draw   func() float64 // from the exponential distribution of mean 1

	beat   uint64        // that the last counted look found at work
	armed  time.Duration // for which the watch was
	looks  int           // that were counted
	last   time.Time     // when it looked
	began  time.Time     // this window, and then there were
	before point
	judged time.Time // when the last window ended

	mu  sync.Mutex // guards all, each tally's name, calls, total and held, and judged
	all []*tally
}

func (s *shares) init(report func(*ShareError)) {
	s.every, s.window, s.report, s.draw = lookEvery, shareWindow, report, rand.ExpFloat64
}

// plan draws the time to the next look, which is longest at most.
func (s *shares) plan(now time.Time, longest time.Duration) plan {
	if drawn := time.Duration(s.draw() * float64(s.every)); drawn <= longest {
		return plan{now, drawn, true}
	}
	return plan{now, longest, false}
}

// sample counts a look that found the loop awake, in the callback of beat.
func (w *watch) sample(beat uint64, waited time.Duration) {
	s := &w.shares
	if !w.plan.counted {
		s.note(waited, 0)
		return
	}
	found, ok := w.read(beat)
	for try := 1; !ok && try < readTries; try++ {
		if beat = w.beat.Load() &^ beatRead; beat&beatAsleep != 0 {
			break
		}
		found, ok = w.read(beat)
	}
	if !ok || found.work == nil || found.kind&sending != 0 {
		s.note(waited, 1)
		return
	}
	if beat == s.beat && !w.outlasts(beat) {
		s.note(waited, 0) // it may have been the scheduler that kept the loop, see outlasts
		return
	}
	s.beat = beat
	s.note(waited, 1)
	s.count(found.work.tally, found.calls)
}

// note notes that the watch was armed for so long before this look, and whether the look counts.
func (s *shares) note(waited time.Duration, looks int) {
	s.armed += waited
	s.looks += looks
}

// asleep counts a look that found the loop asleep.
func (s *shares) asleep(p plan, waited time.Duration) {
	looks := 0
	if p.counted {
		looks = 1
	}
	s.note(waited, looks)
}

// count counts a look that found the loop at work, whose calls were so many by then.
func (s *shares) count(t *tally, calls uint64) {
	t.latest = point{calls, s.looks, s.armed}
	if t.looks++; t.looks == 1 {
		t.first = t.latest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.calls = calls
	if !t.known {
		t.known = true
		s.all = append(s.all, t)
	}
}

// judge ends the window if it is over. A loop that was asleep for longer than a window begins a new one.
func (s *shares) judge(now time.Time) {
	slept := now.Sub(s.last) > s.window
	s.last = now
	switch {
	case slept:
		s.close(now)
	case now.Sub(s.began) >= s.window:
		s.warn(now, s.close(now))
	}
}

// close ends the window and returns the tallies that are to be warned of.
func (s *shares) close(now time.Time) (warned []*tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	each := time.Duration(0) // that a look stands for
	if looks := s.looks - s.before.looks; looks > 0 {
		each = (s.armed - s.before.armed) / time.Duration(looks)
	}
	lasted := now.Sub(s.began)
	for _, t := range s.all {
		held := time.Duration(t.looks) * each
		t.total += held
		t.held = time.Duration(float64(held) / float64(lasted) * float64(time.Second))
		if t.extend(held, lasted) && now.Sub(t.warned) >= warnEvery {
			t.warned = now
			warned = append(warned, t)
		}
		t.looks = 0
	}
	s.began, s.judged = now, now
	s.before = point{looks: s.looks, armed: s.armed}
	return warned
}

// extend adds the window to the run, or ends that, and reports whether both the share and the calls are large beyond doubt.
// The number of looks that find a work spreads by its square root; twice that is allowed for.
func (t *tally) extend(held, lasted time.Duration) bool {
	if float64(held) < leastShare*float64(lasted) {
		t.run = run{}
		return false
	}
	if t.run.looks == 0 {
		t.run.first = t.first
	}
	t.run.looks += t.looks
	t.run.held += held
	t.run.lasted += lasted
	sure := 1 - 2/math.Sqrt(float64(t.run.looks))
	return sure*float64(t.run.held) >= leastShare*float64(t.run.lasted) && sure*float64(t.call()) >= float64(longCall)
}

// call is how long a call of the run is on average; 0 if that is not known.
func (t *tally) call() time.Duration {
	calls := t.latest.calls - t.run.first.calls
	looks := t.latest.looks - t.run.first.looks
	if calls == 0 || looks == 0 {
		return 0
	}
	between := float64(t.latest.armed - t.run.first.armed)
	return time.Duration(between * float64(t.run.looks-1) / float64(looks) / float64(calls))
}

func (s *shares) warn(now time.Time, warned []*tally) {
	for _, t := range warned {
		s.report(&ShareError{LoopShare: t.share(), Call: t.call()})
	}
}

func (t *tally) share() LoopShare {
	return LoopShare{Work: t.name, Held: t.held, Total: t.total, Calls: t.calls}
}

func (s *shares) read(now time.Time) []LoopShare {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []LoopShare
	for _, t := range s.all {
		share := t.share()
		if now.Sub(s.judged) > 2*s.window {
			share.Held = 0
		}
		all = append(all, share)
	}
	slices.SortStableFunc(all, func(a, b LoopShare) int { return int(min(max(b.Total-a.Total, -1), 1)) })
	return all
}
