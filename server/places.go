package server

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"microhttp/reactor"
)

// Places bound the Blocking handlers that run. A server has MaxBlocking of them, over all its loops. Each call of a Blocking
// handler is a job, and a job runs while it has a place:
//
//	queued ──▶ working ──▶ done
//	  │         │   ▲ ▲
//	  │         │   │ └── keeping ◀─┐  waits for its peer, and keeps its place
//	  │         └───┼───────────────┤
//	  │             └ ready ◀── waiting  waits for its peer, and has given its place back
//	  └──▶ refused after BlockingQueueTimeout, or withdrawn when its peer is lost
//
// A place is for work. A job that can do nothing until its peer reads or sends gives its place back (giveBack), and takes one
// again when the peer has moved (takeAgain). So slow peers cost a goroutine each, and no place. A place that comes free goes
// to the job that has been ready for longest, and to a queued one only when none is ready.
//
// MaxBlockingWaiting bounds the jobs that wait without a place, so at most MaxBlocking plus MaxBlockingWaiting goroutines
// exist. Beyond that bound a job keeps its place while it waits. Such a job is in the way only when requests are queued for
// longer than longWait. Then the connections are reset whose peers have kept their jobs waiting longest, as many as there are
// jobs that keep their places.
//
// A job is in one list, which is its state. Every change is a move to another list, and settle then derives what follows. The
// lock is held for a few instructions; nothing that can wait happens under it.

// longWait is how long a request may be queued before the log says what holds the places, and how long a peer may keep a job
// waiting before its connection can be reset to make room.
const longWait = time.Second

// placesLogInterval is the least time between two of these lines.
const placesLogInterval = 10 * time.Second

// maxRoutesNamed is how many routes such a line names.
const maxRoutesNamed = 5

type jobState uint8

const (
	jobDone    jobState = iota // it never began, or has ended: it is in no list
	jobQueued                  // it has not begun
	jobWorking                 // it has a place
	jobKeeping                 // it waits for its peer, and has a place
	jobWaiting                 // it waits for its peer, and has none
	jobReady                   // it waits for a place, to go on
	jobStates
)

// A job is one call of a Blocking handler.
type job struct {
	places *places
	loop   *reactor.Reactor // of its connection
	x      *exchange
	h      Handler
	route  string // the pattern that was matched on the loop

	granted chan struct{} // receives when a job that is ready gets its place; nil until it first waits

	// Guarded by places.mu.
	state      jobState
	since      time.Time // when it was queued, or began to wait for its peer
	evicted    bool      // its connection is about to be reset
	prev, next *job
}

type places struct {
	most        int           // MaxBlocking
	mostQueued  int           //
	mostWaiting int           // MaxBlockingWaiting
	patience    time.Duration // BlockingQueueTimeout; 0 is no bound
	resting     atomic.Int64  // see rest

	mu     sync.Mutex
	in     [jobStates]jobList
	logged time.Time // when the log last said what holds the places
}

func (p *places) init(s *Server) {
	p.most = s.MaxBlocking
	if p.most <= 0 {
		p.most = 512
	}
	p.mostQueued = min(p.most, math.MaxInt/blockingQueue) * blockingQueue
	if p.mostWaiting = orDefault(s.MaxBlockingWaiting, 8192); p.mostWaiting == 0 {
		p.mostWaiting = math.MaxInt
	}
	p.patience = period(s.BlockingQueueTimeout, 10*time.Second)
}

// enter queues a job, which begins at once if there is a place. It reports whether the job began; the error is ErrBusy when
// too many are queued already. It is called on the loop of the job.
func (p *places) enter(j *job) (begun bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in[jobQueued].n >= p.mostQueued {
		return false, ErrBusy
	}
	j.since = j.loop.Now()
	p.move(j, jobQueued)
	p.settle()
	if j.state == jobDone {
		return false, ErrServerClosed
	}
	return j.state == jobWorking, nil
}

// settle hands out what has come free. The caller has p.mu.
func (p *places) settle() {
	for p.in[jobWaiting].n < p.mostWaiting && p.in[jobKeeping].n > 0 {
		p.move(p.in[jobKeeping].first, jobWaiting)
	}
	for p.in[jobWorking].n+p.in[jobKeeping].n < p.most {
		if j := p.in[jobReady].first; j != nil {
			p.move(j, jobWorking)
			j.granted <- struct{}{} // there is room: a job waits once at a time
		} else if j := p.in[jobQueued].first; j != nil {
			p.move(j, jobWorking)
			if j.loop.Go(j.run) != nil { // its loop has ended, and lost every connection before
				p.move(j, jobDone)
			}
		} else {
			return
		}
	}
}

// run is the goroutine of a job.
func (j *job) run() {
	defer j.leave()
	j.x.serveOffLoop(j.h)
}

func (j *job) leave() {
	p := j.places
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(j, jobDone)
	p.settle()
}

// giveBack is called by a job that is about to wait for its peer. takeAgain must follow. A nil job has no place: see
// OwnGoroutine.
func (j *job) giveBack() {
	if j == nil {
		return
	}
	p := j.places
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.state != jobWorking {
		return // it has ended, or another of its goroutines waits already
	}
	if j.granted == nil {
		j.granted = make(chan struct{}, 1)
	}
	j.since = time.Now()
	p.move(j, jobKeeping)
	p.settle()
}

// takeAgain is called by a job whose peer has moved, or is lost. It returns when the job has a place.
func (j *job) takeAgain() {
	if j == nil {
		return
	}
	p := j.places
	p.mu.Lock()
	switch j.state {
	case jobKeeping:
		p.move(j, jobWorking)
	case jobWaiting:
		p.move(j, jobReady)
		p.settle()
		p.mu.Unlock()
		<-j.granted
		return
	}
	p.mu.Unlock()
}

// withdraw takes a job out of the queue, on its loop, and reports whether it was there. It will not begin then.
func (j *job) withdraw() bool {
	if j == nil {
		return false
	}
	p := j.places
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.state != jobQueued {
		return false
	}
	p.move(j, jobDone)
	return true
}

// expire takes those jobs of one loop out of the queue that have waited for a place for too long, and returns them, and since
// when the oldest of the others is queued. It is called on the loop.
func (p *places) expire(loop *reactor.Reactor) (late []*job, oldest time.Time) {
	now := loop.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for j, next := p.in[jobQueued].first, (*job)(nil); j != nil; j = next {
		next = j.next
		switch {
		case j.loop != loop:
		case p.patience > 0 && now.Sub(j.since) >= p.patience:
			p.move(j, jobDone)
			late = append(late, j)
		case oldest.IsZero():
			oldest = j.since
		}
	}
	return late, oldest
}

// surplus returns the jobs whose connections are to be reset so that none has to keep its place: those that have waited for
// their peers longest.
func (p *places) surplus() []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.in[jobKeeping].n
	if want == 0 {
		return nil
	}
	var slow []*job
	longAgo := time.Now().Add(-longWait)
	for _, state := range [...]jobState{jobKeeping, jobWaiting} {
		for j := p.in[state].first; j != nil; j = j.next {
			if j.evicted {
				want-- // its room is on the way
			} else if !j.since.After(longAgo) {
				slow = append(slow, j)
			}
		}
	}
	slices.SortFunc(slow, func(a, b *job) int { return a.since.Compare(b.since) })
	slow = slow[:min(max(want, 0), len(slow))]
	for _, j := range slow {
		j.evicted = true
	}
	return slow
}

// waits reports whether a job still waits for its peer. One that does not is not evicted any more.
func (j *job) waits() bool {
	p := j.places
	p.mu.Lock()
	defer p.mu.Unlock()
	waits := j.state == jobWaiting || j.state == jobKeeping
	j.evicted = j.evicted && waits
	return waits
}

// holders says which routes hold the places, those first that hold most, at most once in placesLogInterval. "" is not now.
func (p *places) holders(now time.Time) (routes string, queued, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.logged.IsZero() && now.Sub(p.logged) < placesLogInterval {
		return "", 0, 0
	}
	p.logged = now
	count := make(map[string]int)
	for _, state := range [...]jobState{jobWorking, jobKeeping} {
		for j := p.in[state].first; j != nil; j = j.next {
			count[j.route]++
		}
	}
	return nameRoutes(count), p.in[jobQueued].n, p.in[jobWaiting].n + p.in[jobKeeping].n
}

func nameRoutes(count map[string]int) string {
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	more := len(names) - maxRoutesNamed
	var b strings.Builder
	for i, name := range names[:min(len(names), maxRoutesNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d by %s", count[name], cmp.Or(name, "requests without a pattern"))
	}
	if more > 0 {
		fmt.Fprintf(&b, ", and %d more routes", more)
	}
	return b.String()
}

// move makes state the state of j. The caller has p.mu.
func (p *places) move(j *job, state jobState) {
	if j.state != jobDone {
		p.in[j.state].remove(j)
	}
	j.state = state
	if state != jobDone {
		p.in[state].push(j)
	}
}

// jobList is the jobs of one state, in the order in which they came to it.
type jobList struct {
	first, last *job
	n           int
}

func (l *jobList) push(j *job) {
	j.prev, j.next = l.last, nil
	if l.last == nil {
		l.first = j
	} else {
		l.last.next = j
	}
	l.last = j
	l.n++
}

func (l *jobList) remove(j *job) {
	if j.prev == nil {
		l.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.last = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
	l.n--
}

// The part of the loop.

// sendOff has a goroutine run the Blocking leaf of x. Where that cannot be, 503 is the answer and sendOff returns false.
// Otherwise the exchange is that goroutine's, and must not be touched.
func (c *conn) sendOff(x *exchange) bool {
	l, detached := x.leaf, x.detached
	x.req.whole = x.req.whole || l.whole
	x.leaf = nil
	x.detach()
	x.mode = modeBlocking
	if e := x.expiry; e != nil {
		e.x, e.done = x.standIn(), len(x.res.onDone)
	}
	if err := c.startLeaf(x, l); err != nil {
		x.uncount()
		x.mode, x.job, x.detached = modeInline, nil, detached
		c.refuseBusy(x, err)
		return false
	}
	return true
}

// startLeaf starts the goroutine of a leaf, or queues a job that will have one.
func (c *conn) startLeaf(x *exchange, l *leaf) error {
	if l.free {
		if c.w.loop.Go(func() { x.serveOffLoop(l.h) }) != nil {
			return ErrServerClosed
		}
		return nil
	}
	p := &c.w.srv.places
	x.job = &job{places: p, loop: c.w.loop, x: x, h: l.h, route: x.req.pattern}
	begun, err := p.enter(x.job)
	if err == nil && !begun {
		c.w.watchQueue()
	}
	return err
}

// refuseBusy makes the answer of a request for which there is no place.
func (c *conn) refuseBusy(x *exchange, err error) {
	x.logBusy(err)
	x.res.Error(503)
	x.res.SetHeader("Retry-After", "1")
}

// watchQueue sees to it that the loop looks at its queued requests in time.
func (w *worker) watchQueue() {
	if w.queueWatched {
		return
	}
	w.queueWatched = true
	wait := longWait
	if d := w.srv.places.patience; d > 0 {
		wait = min(wait, d)
	}
	w.loop.CallLater(wait, w.lookAtQueue)
}

// lookAtQueue refuses what was queued for too long, and sees why it was.
func (w *worker) lookAtQueue() {
	w.queueWatched = false
	p, now := &w.srv.places, w.loop.Now()
	late, oldest := p.expire(w.loop)
	if len(late) > 0 || !oldest.IsZero() && now.Sub(oldest) >= longWait {
		w.reportPlaces(now)
	}
	for _, j := range late {
		c := j.x.req.conn
		c.refuseBusy(j.x, ErrBusy)
		c.complete(j.x)
	}
	if oldest.IsZero() || w.queueWatched {
		return
	}
	wait := longWait
	if p.patience > 0 {
		wait = max(min(wait, oldest.Add(p.patience).Sub(now)), 1)
	}
	w.queueWatched = true
	w.loop.CallLater(wait, w.lookAtQueue)
}

// reportPlaces says what holds the places, and frees those that are kept for slow peers.
func (w *worker) reportPlaces(now time.Time) {
	p := &w.srv.places
	if routes, queued, waiting := p.holders(now); routes != "" {
		w.srv.log.Line(slog.LevelWarn).Int("max", p.most).Str("held", routes).Int("queued", queued).Int("waiting_for_peers", waiting).
			Msg("requests wait for Blocking handlers to end")
	}
	for _, j := range p.surplus() {
		c := j.x.req.conn
		c.w.loop.CallFromThread(func() { c.evict(j) })
	}
}

// evict resets the connection of a job, if the job still waits for it.
func (c *conn) evict(j *job) {
	if j.waits() && (c.cur == j.x || c.output == outputSwitched && j.x.mode == modeUpgraded) {
		c.abortFor(ErrStalled)
	}
}
