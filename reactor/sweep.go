package reactor

// Timeouts of connections. A connection has no timer: it has two deadlines, that of SetTimeout and that of output which
// waits (see pace.go). Its slot in the table says when it is due, which is no later than the earlier of the two: who moves
// a deadline back leaves it, so that a connection that is busy costs nothing more with each request. One pass over the
// slots looks at those that are due alone, and finds on the way when the next pass is; when no deadline is set there is no
// pass and no wake-up. A pass that finds many timeouts, or many slots, is spread over ticks, so that no I/O waits
// for all of it.

import "time"

// sweepInterval is the least time between two passes: it bounds what they cost, and how late a timeout may be.
const sweepInterval = int64(50 * time.Millisecond)

// What a pass does in one tick at most: some 50 µs, if a timeout means a last answer and a line in a log.
const (
	slotsPerTick    = 16 << 10 // that are not due
	looksPerTick    = 256      // at connections that are
	outputLook      = 8        // looks that one at waiting output counts for: it makes two system calls
	timeoutsPerTick = 1        // or reads before one
)

type sweeps struct {
	next  int64 // when the next pass is due; never if no deadline is set
	last  int64 // when the last one was begun
	at    int   // the slot that the pass has come to; 0 between passes
	found int64 // the earliest deadline that the pass has seen
}

// by has a pass made when the deadline comes, or as soon after that as may be.
func (s *sweeps) by(deadline int64) {
	if deadline < s.next {
		s.next = min(s.next, max(deadline, s.last+sweepInterval))
	}
	s.found = min(s.found, deadline)
}

// dueBy has t looked at when the deadline comes.
func (t *transport) dueBy(deadline int64) {
	if s := t.r.fds.lookup(int(t.fd)); s != nil && (s.due == 0 || deadline < s.due) {
		s.due = deadline
		t.r.sweeps.by(deadline)
	}
}

// sweep is a pass, if one is due. A pass that a panic broke off goes on behind the connection that it was at.
func (r *Reactor) sweep() {
	s := &r.sweeps
	if s.at == 0 {
		if s.next == never || s.next > r.clock() {
			return
		}
		s.last = r.clock()
		s.found = never
	}
	for passed, looked, expired := 0, 0, 0; s.at < r.fds.end(); {
		if passed == slotsPerTick || looked >= looksPerTick || expired == timeoutsPerTick {
			r.current = nil
			return // to go on in the next tick: next is due until the pass is over
		}
		slot := r.fds.lookup(s.at)
		if slot == nil {
			s.at += pageSlots
			continue
		}
		s.at++
		switch {
		case slot.due == 0:
			passed++
		case slot.due > s.last:
			passed++
			s.found = min(s.found, slot.due)
		default:
			looked++
			slot.due = 0
			if t := slot.conn; t != nil {
				r.current = t
				if t.flags&waiting != 0 {
					looked += outputLook - 1
				}
				if t.expire(s.last) {
					expired++
				}
			}
		}
	}
	r.current = nil
	s.at, s.next = 0, never
	s.by(s.found)
}

// expire looks at the two deadlines of a connection and reports whether one has come. Else it is due again.
func (t *transport) expire(now int64) bool {
	if t.flags&(waiting|dead) == waiting {
		if reason := t.look(now); reason != nil {
			t.doom(reason)
			return true
		}
	}
	switch {
	case t.deadline == 0:
		return false
	case t.deadline > now:
		t.dueBy(t.deadline)
		return false
	}
	t.readBeforeTimeout()
	switch {
	case t.flags&dead != 0 || t.deadline == 0:
	case t.deadline > now:
		t.dueBy(t.deadline)
	default:
		t.deadline = 0
		if h, ok := t.proto.(TimeoutHandler); ok {
			h.TimeoutConnection()
		} else {
			t.doom(ErrTimeout)
		}
	}
	return true
}

// readBeforeTimeout reads once from a connection whose timeout has come. A tick serves a bounded number of ready
// descriptors, and the loop may have been held up, or the process stopped: so bytes that arrived in time may still wait to
// be read. The protocol sees them first, and the timeout that it leaves is the one that counts. One read for each timeout
// is all that a busy peer gets by it.
func (t *transport) readBeforeTimeout() {
	t.r.watch.begin(servingDescriptor, t, int(t.fd), nil)
	if reason := t.DoRead(); reason != nil {
		t.r.lose(t, reason)
	}
}
