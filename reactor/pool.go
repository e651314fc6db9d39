package reactor

// Work that may block, on a bounded number of goroutines. They are started when work first needs them and stay, parked,
// until the reactor ends: they are few, and sending them home would take a timer where there is nothing to do.

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

type pool struct {
	limit      int // of goroutines
	queueLimit int // of calls that wait

	outstanding atomic.Int32 // calls accepted and not yet done

	mu      sync.Mutex
	work    sync.Cond // signalled when there is work or the end; uses mu
	queue   fifo
	idle    int  // goroutines that wait for work
	started int  // goroutines that have not ended
	asked   fifo // calls of Go: for each there is a goroutine that has not looked yet
	outside int  // goroutines of Go, which are not of the pool
	closed  bool
}

// fifo is a queue of calls.
type fifo struct {
	calls []func() // the oldest first, from head on
	head  int
}

func (q *fifo) len() int { return len(q.calls) - q.head }

// push queues f, using the room in front before it asks for more.
func (q *fifo) push(f func()) {
	if len(q.calls) == cap(q.calls) && q.head > len(q.calls)/4 {
		n := copy(q.calls, q.calls[q.head:])
		clear(q.calls[n:])
		q.calls, q.head = q.calls[:n], 0
	}
	q.calls = append(q.calls, f)
}

// pop takes the oldest call, or nil.
func (q *fifo) pop() func() {
	if q.len() == 0 {
		return nil
	}
	f := q.calls[q.head]
	q.calls[q.head] = nil
	q.head++
	if q.len() == 0 {
		q.calls, q.head = q.calls[:0], 0
	}
	return f
}

// CallInThread calls f on a goroutine of the reactor's pool, where it may block. It may be called from any goroutine and
// never blocks itself. What f finds out comes back through CallFromThread. A panic in f is reported and ends nothing.
// The error is ErrPoolFull, or ErrStopped; an accepted call is made, and Run does not return before it is done.
func (r *Reactor) CallInThread(f func()) error {
	p := &r.threads
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := p.queue.len()
	switch {
	case p.closed:
		return ErrStopped
	case waiting < p.idle:
		p.queue.push(f)
		p.work.Signal()
	case p.started < p.limit:
		p.started++
		r.workers.Go(func() { r.thread(f, true) })
	case waiting < p.queueLimit:
		p.queue.push(f)
	default:
		return ErrPoolFull
	}
	p.outstanding.Add(1)
	return nil
}

// thread is one goroutine of the pool; it begins with f, if there is one.
func (r *Reactor) thread(f func(), ok bool) {
	p := &r.threads
	defer p.leave(r)
	for ; ok; f, ok = p.pull() {
		r.callCaught(f)
	}
}

// callCaught calls f and reports its panic.
func (r *Reactor) callCaught(f func()) {
	defer r.threads.outstanding.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			err := &PanicError{Value: v, Stack: debug.Stack()}
			r.CallFromThread(func() { r.report(err) })
		}
	}()
	f()
}

// pull waits for the next call; false is the end.
func (p *pool) pull() (f func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.queue.len() == 0 {
		if p.closed {
			return nil, false
		}
		p.idle++
		p.work.Wait()
		p.idle--
	}
	return p.queue.pop(), true
}

// leave is a goroutine's last act, also when a call has ended it by Goexit. Then the queue may need another.
func (p *pool) leave(r *Reactor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len() > 0 {
		r.workers.Go(func() { r.thread(p.pull()) })
		return
	}
	p.started--
	r.calls.interrupt(r.poller)
}

// close lets the goroutines end when the queue is empty.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.work.Broadcast()
}

// alive reports whether goroutines are left.
func (p *pool) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started > 0 || p.outside > 0
}

// ThreadCalls returns how many calls of CallInThread and Go were accepted and are not yet done. It may be called from any
// goroutine.
func (r *Reactor) ThreadCalls() int { return int(r.threads.outstanding.Load()) }

// busy reports whether accepted calls are not yet done.
func (p *pool) busy() bool { return p.outstanding.Load() > 0 }
