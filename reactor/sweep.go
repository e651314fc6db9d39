package reactor

// Timeouts of connections. A connection has no timer: it has two fields, and setting a timeout sets one of them. One pass
// over the table finds what has expired, and on the way when the next pass is due. A connection that is busy moves its
// deadline with each request and costs nothing else; when no deadline is set there is no pass and no wake-up. A pass over
// many connections, or one that finds many timeouts, is spread over ticks, so that nobody's I/O waits for all of it.

import "time"

// sweepInterval is the least time between two passes: it bounds what they cost, and how late a timeout may be.
const sweepInterval = int64(50 * time.Millisecond)

// What a pass does in one tick at most: some 50 µs, if a timeout means a last answer and a line in a log.
const (
	slotsPerTick    = 2048
	timeoutsPerTick = 1
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
	for looked, expired := 0, 0; s.at < len(r.fds.slots); looked++ {
		if looked == slotsPerTick || expired == timeoutsPerTick {
			r.current = nil
			return // to go on in the next tick: next is due until the pass is over
		}
		t := r.fds.slots[s.at].conn
		s.at++
		if t != nil {
			r.current = t
			if t.expire(s.last) {
				expired++
			}
		}
	}
	r.current = nil
	s.at, s.next = 0, never
	s.by(s.found)
}

// expire looks at the two deadlines of a connection and reports whether one has come.
func (t *transport) expire(now int64) bool {
	s := &t.r.sweeps
	if t.progress != 0 {
		if limit := later(t.progress, t.writeLimit()); limit <= now {
			t.doom(ErrTimeout)
			return true
		} else {
			s.found = min(s.found, limit)
		}
	}
	switch {
	case t.deadline == 0:
	case t.deadline > now:
		s.found = min(s.found, t.deadline)
	default:
		t.deadline = 0
		if h, ok := t.proto.(TimeoutHandler); ok {
			t.r.watch.begin(servingDescriptor, t, int(t.fd), nil)
			h.TimeoutConnection()
		} else {
			t.doom(ErrTimeout)
		}
		return true
	}
	return false
}
