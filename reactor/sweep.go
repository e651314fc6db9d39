package reactor

// Timeouts of connections. A connection has no timer: it has two fields, and setting a timeout sets one of them. One pass
// over the table finds what has expired, and on the way when the next pass is due. A connection that is busy moves its
// deadline with each request and costs nothing else; when no deadline is set there is no pass and no wake-up.

import "time"

// sweepInterval is the least time between two passes: it bounds what they cost, and how late a timeout may be.
const sweepInterval = int64(50 * time.Millisecond)

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
	for s.at < len(r.fds.slots) {
		t := r.fds.slots[s.at].conn
		s.at++
		if t != nil {
			r.current = t
			t.expire(s.last)
		}
	}
	r.current = nil
	s.at, s.next = 0, never
	s.by(s.found)
}

// expire looks at the two deadlines of a connection.
func (t *transport) expire(now int64) {
	s := &t.r.sweeps
	if t.progress != 0 {
		if limit := later(t.progress, t.writeLimit()); limit <= now {
			t.doom(ErrTimeout)
			return
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
	}
}
