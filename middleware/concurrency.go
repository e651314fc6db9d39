package middleware

import (
	"sync"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// ConcurrencyLimitConfig says how many requests [ConcurrencyLimit] lets through at a time. The zero value is ready.
type ConcurrencyLimitConfig struct {
	// Max is how many requests are under way at a time. Default 128.
	Max int
	// Queue is how many more wait for one of those to end. Default as many as Max; negative lets none wait.
	Queue int
	// MaxWait is how long a request waits. Default 1 s.
	MaxWait time.Duration
	// RetryAfter is what a refused client is asked to wait, in whole seconds. Default 1 s.
	RetryAfter time.Duration
	// Deny answers what is refused. The status is 503 already, and Retry-After is set. nil answers with 503 alone.
	Deny server.Handler
}

// ConcurrencyLimit bounds the requests that are under way in the handlers inside, over all loops. It is for what stands for
// scarce means: connections to a database, another service, memory. Beyond Max requests wait in a queue, and beyond that, or
// when they have waited for MaxWait, they are answered with 503 and Retry-After.
//
//   - A request is under way from its head until its answer is done: for a Stream until the end of it, and for a slow reader
//     until the last byte is handed to the connection. What AnswerWithin answers for is over then, also if its handler goes on.
//   - A request that waits costs the copy of its head. Its body is not asked for, and no goroutine waits: see
//     [server.Response.Hold]. It leaves the queue when its client does.
//   - The queue is first come, first served, whichever loops the requests are on. One lock guards it.
//   - All handlers that one ConcurrencyLimit stands around share its places. Use it once for each scope.
//
// It works on the loop: inside server.Blocking each request panics. A request that need not wait costs no allocation.
func ConcurrencyLimit(config ConcurrencyLimitConfig) server.Middleware {
	l := &places{free: config.Max, most: config.Queue, patience: config.MaxWait, retry: retryAfter(config.RetryAfter)}
	if l.free <= 0 {
		l.free = 128
	}
	switch {
	case l.most == 0:
		l.most = l.free
	case l.most < 0:
		l.most = 0
	}
	if l.patience <= 0 {
		l.patience = time.Second
	}
	deny := orElse(config.Deny, func(w *server.Response, _ *server.Request) { w.Error(503) })
	l.deny = headFunc(func(w *server.Response, r *server.Request) {
		w.SetStatus(503)
		deny.Serve(w, r)
		w.SetHeader("Retry-After", l.retry)
	})
	release := func(*server.Response, *server.Request) { l.release() }
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if r.OffLoop() { // it would show only when one has to wait
			panic("middleware: ConcurrencyLimit inside server.Blocking: put it around that")
		}
		switch l.enter(w, r, next) {
		case letIn:
			w.OnDone(release)
			next.Serve(w, r)
		case refused:
			l.deny(w, r)
		}
	})
}

// places is one limit, with its queue.
type places struct {
	most     int // in the queue
	patience time.Duration
	retry    string
	deny     headFunc

	mu          sync.Mutex
	free        int // places; none while requests wait
	n           int // requests that wait
	first, last *waiting
}

// waiting is a request in the queue.
type waiting struct {
	l          *places
	held       *server.Held
	next       server.Handler
	timer      *reactor.DelayedCall
	state      waitState // guarded by places.mu, as are the links
	prev, foll *waiting
}

type waitState uint8

const (
	inQueue waitState = iota
	hasPlace
	leftQueue
)

// verdict is what becomes of a request.
type verdict uint8

const (
	letIn verdict = iota
	waits
	refused
)

// enter takes a place for a request, or puts it into the queue.
func (l *places) enter(w *server.Response, r *server.Request, next server.Handler) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.free > 0:
		l.free--
		return letIn
	case l.n >= l.most:
		return refused
	}
	q := &waiting{l: l, next: next, held: w.Hold(), prev: l.last}
	q.timer = r.Reactor().CallLater(l.patience, q.expire)
	w.OnDone(q.done)
	if q.prev != nil {
		q.prev.foll = q
	} else {
		l.first = q
	}
	l.last = q
	l.n++
	return waits
}

// leave takes q out of the queue. The caller has l.mu, and q is in it.
func (q *waiting) leave() {
	l := q.l
	if q.prev != nil {
		q.prev.foll = q.foll
	} else {
		l.first = q.foll
	}
	if q.foll != nil {
		q.foll.prev = q.prev
	} else {
		l.last = q.prev
	}
	q.prev, q.foll = nil, nil
	l.n--
	q.state = leftQueue
}

// release gives a place to the request that has waited longest.
func (l *places) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.first
	if q == nil {
		l.free++
		return
	}
	q.leave()
	q.state = hasPlace
	q.held.Serve(q.next)
}

// expire is called when q has waited long enough.
func (q *waiting) expire() {
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	if q.state == inQueue {
		q.leave()
		q.held.Serve(q.l.deny)
	}
}

// done is called when q is answered or its connection is lost.
func (q *waiting) done(*server.Response, *server.Request) {
	q.timer.Cancel()
	q.l.mu.Lock()
	state := q.state
	if state == inQueue {
		q.leave()
	}
	q.l.mu.Unlock()
	if state == hasPlace {
		q.l.release()
	}
}
