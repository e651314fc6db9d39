package reactor

// One tick: wait, I/O, posted calls, due timers, flush, reap. It is written once, for every poller.
//
// A panic in any callback is caught here and costs the connection whose callback it was. There is one deferred recover
// for the whole tick and not one for each event; it works because each step keeps its place in the reactor and moves on
// before it calls anybody, so that the tick can simply be taken up again where it broke off.

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// tick waits once, at most until latest, and does what there is to do.
func (r *Reactor) tick(latest int64) error {
	found, err := r.wait(min(r.deadline(), latest))
	if err != nil {
		return err
	}
	r.ready, r.next = r.fds.alwaysReady(r.events[:found]), 0
	r.ticking, r.fresh = true, false
	r.fds.turn++
	begun := r.clock()
	r.timers.newTick()
	r.work()
	lasted := r.reading() - begun
	r.lag.record(lasted)
	if len(r.timers.resets) > 0 {
		r.timers.endTick(lasted)
	}
	r.ticking, r.fresh = false, false
	if r.threads.busy() || !r.fds.always.empty() {
		r.watch.pause()
		runtime.Gosched() // or a loop that never sleeps starves the work that it waits for
	}
	return nil
}

// wait finds what is ready, sleeping only when there is nothing else to do.
func (r *Reactor) wait(until int64) (int, error) {
	if r.touched.waiting() || r.layers.waiting() || r.ended.waiting() || !r.fds.always.empty() || until <= r.mono || !r.calls.fallAsleep() {
		r.watch.pause()
		return r.poller.Poll(r.events)
	}
	var t time.Time
	if until != never {
		t = r.epoch.Add(time.Duration(until))
	}
	r.watch.sleep()
	n, err := r.poller.Wait(r.events, t)
	r.watch.wake()
	r.calls.awake()
	return n, err
}

// deadline is when the loop has something to do although nothing happens.
func (r *Reactor) deadline() int64 {
	return min(r.timers.first(), r.sweeps.next)
}

// steps is a tick after its wait.
var steps = [...]func(*Reactor){
	(*Reactor).dispatch,
	(*Reactor).runCalls,
	(*Reactor).runTimers,
	(*Reactor).sweep,
	(*Reactor).flush,
	(*Reactor).reap,
}

// work does all steps, going on after each panic.
func (r *Reactor) work() {
	r.step = 0
	for !r.tryWork() {
	}
}

// tryWork does the steps that are left, and returns false if a panic broke in.
func (r *Reactor) tryWork() (done bool) {
	defer func() {
		if done {
			return
		}
		if v := recover(); v != nil { // else it is a Goexit, which cannot be stopped
			r.panicked(panicOf(v))
		}
	}()
	for ; r.step < len(steps); r.step++ {
		steps[r.step](r)
	}
	return true
}

// panicOf makes an error of what was passed to panic. A *PanicError is one that was caught on another goroutine, and whose
// stack is the one to show.
func panicOf(v any) *PanicError {
	if p, ok := v.(*PanicError); ok && p != nil {
		return p
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}

// panicked puts the loop in order after a callback that did not return.
func (r *Reactor) panicked(err *PanicError) {
	culprit := r.current
	r.current = nil
	r.out.drop()
	r.report(err)
	if culprit != nil {
		r.lose(culprit, err)
	}
}

// contained calls f and reports its panic, for those who have to go on behind it.
func (r *Reactor) contained(f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.report(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	f()
}

// dispatch serves what is ready. A slot is looked up anew for each callback, because a callback may have changed its
// owner.
func (r *Reactor) dispatch() {
	for r.next < len(r.ready) {
		ev := r.ready[r.next]
		r.next++
		s := r.fds.find(ev)
		if s == nil {
			r.fds.stray(ev)
			continue
		}
		if ev.Ready&Invalid != 0 {
			r.fds.evict(int(ev.FD), syscall.EBADF)
			continue
		}
		if s.have == Fault {
			r.faulted(s, ev)
			continue
		}
		if ev.Ready&Readable != 0 {
			if who := s.reader(); who != nil && (s.conn != nil || !r.vanished(s, who)) {
				r.current = who
				r.watch.begin(servingDescriptor, who, int(ev.FD), nil)
				if reason := who.DoRead(); reason != nil {
					r.lose(who, reason)
				} else if s.conn == nil {
					r.vanished(s, who)
				}
			}
		}
		if ev.Ready&Writable != 0 {
			if s := r.fds.find(ev); s != nil && s.writer() != nil && (s.conn != nil || !r.vanished(s, s.writer())) {
				who := s.writer()
				r.current = who
				r.watch.begin(servingDescriptor, who, int(ev.FD), nil)
				if reason := who.DoWrite(); reason != nil {
					r.lose(who, reason)
				} else if s.conn == nil {
					r.vanished(s, who)
				}
			}
		}
	}
	r.current = nil
}

// vanished ends a descriptor that is watched although its FD is negative, and reports whether it did. Connections, which are
// ours, never come to that.
func (r *Reactor) vanished(s *slot, who Descriptor) bool {
	if who.FD() >= 0 || !s.has(who) {
		return false
	}
	r.lose(who, lost(syscall.EBADF))
	return true
}

// faulted is an event of a connection that neither reads nor writes. It may be from before that: only a fault counts.
func (r *Reactor) faulted(s *slot, ev Event) {
	if ev.Ready&Fault == 0 {
		return
	}
	t := s.conn
	r.current = t
	if reason := t.faulted(); reason != nil {
		r.lose(t, reason)
	}
}

// lose is the one way out of the loop: from here on who gets no event, and at the end of the tick it gets reason.
func (r *Reactor) lose(who Descriptor, reason error) {
	switch who := who.(type) {
	case *transport:
		if who.flags&gone != 0 {
			return // detached, by a callback that then panicked
		}
	case *UDPPort:
		who.closed = true
	}
	r.fds.expel(who)
	r.ended.add(ending{who, reason})
}

// loseAll ends everything that is watched, and the connections that are not watched for anything just now.
func (r *Reactor) loseAll(reason error) {
	for _, s := range r.fds.all {
		for _, who := range s.owners() {
			r.lose(who, reason)
		}
	}
}

// flush settles the connections that were written to, or told something, outside their own DoRead.
func (r *Reactor) flush() {
	r.flushLayers()
	for r.touched.begin(); ; {
		t, ok := r.touched.take()
		if !ok {
			break
		}
		r.current = t
		r.watch.begin(servingDescriptor, t, t.FD(), nil)
		if reason := t.settleTouched(); reason != nil {
			r.lose(t, reason)
		}
	}
	r.current = nil
}

// reap calls ConnectionLost of those that have left the loop, so a panic in it costs no connection.
func (r *Reactor) reap() {
	for r.ended.begin(); ; {
		e, ok := r.ended.take()
		if !ok {
			return
		}
		r.watch.begin(servingLoss, e.who, -1, nil)
		e.who.ConnectionLost(e.reason)
	}
}
