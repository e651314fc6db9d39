package reactor

// How long a peer may take for the output that waits for it. A clock runs while some waits, and the peer pays for that time
// with what its kernel acknowledges: each byte buys 1/MinWriteRate seconds. What it has paid ahead is saved, up to
// WriteCredit; when that is used up, WriteTimeout runs, and at its end the connection is reset.
//
// Acknowledged bytes are the only honest measure. The level of the output says nothing, because a stream is refilled as it
// is read. What the socket accepts says little: the windows of TCP open in lumps, and a steady reader of 300 B/s may leave
// minutes between two of them. What the peer's program has read is not to be had.
//
// Nothing here is asked on the way of a write. The sweep looks at a connection while its output waits, several times in
// each WriteTimeout: it writes once, because a socket that has room may not say so yet, and asks the kernel how much is
// not acknowledged.

import "time"

// WriteCredit is how much time a peer can save by taking output faster than MinWriteRate.
const WriteCredit = 5 * time.Minute

// longestLook is the most time between two looks at one connection, and looksPerTimeout how many there are in a
// WriteTimeout at least.
const (
	longestLook     = 10 * time.Second
	looksPerTimeout = 4
)

// lookInterval is the time between two looks.
func lookInterval(limit time.Duration) time.Duration { return min(longestLook, limit/looksPerTimeout) }

// writeLimit is WriteTimeout, or what stands for it once the connection is ending; 0 is for ever.
func (t *transport) writeLimit() time.Duration {
	limit := t.options.WriteTimeout
	if linger := t.options.LingerTimeout; t.flags&(losing|loseLater) != 0 && linger > 0 && (limit <= 0 || linger < limit) {
		return linger
	}
	return max(limit, 0)
}

// startClock has the clock run, since output waits that the socket does not take. moved says that it took some just now.
// What the peer saved counts from here; a debt does too, less the time that it had without waiting output.
func (t *transport) startClock(moved bool) {
	limit := t.writeLimit()
	switch now := t.r.clock(); {
	case limit == 0:
	case t.flags&waiting == 0:
		t.flags |= waiting
		if t.paid < 0 {
			t.paid = now - max(-t.paid-now, 0)
		} else {
			t.paid = later(now, time.Duration(t.paid))
		}
		t.lookBy(now, limit)
	case moved && t.options.MinWriteRate <= 0:
		t.paid = now
	}
}

// stopClock has the clock stand, since no output waits. paid becomes what is saved, or, below zero, the time at which a
// debt is forgotten.
func (t *transport) stopClock() {
	if t.flags&waiting == 0 {
		return
	}
	t.flags &^= waiting | slow
	now := t.r.clock()
	switch saved := t.paid - now; {
	case t.options.MinWriteRate <= 0:
		t.paid = 0
	case saved >= 0:
		t.paid = saved
	default:
		t.paid = saved - now
	}
}

// restartClock has the WriteTimeout begin anew, if there is no rate that has a say in it.
func (t *transport) restartClock() {
	if t.flags&waiting != 0 && t.options.MinWriteRate <= 0 {
		t.paid = t.r.clock()
	}
}

// lookBy has the sweep look at the connection before its time can be over.
func (t *transport) lookBy(now int64, limit time.Duration) {
	t.dueBy(min(later(t.paid, limit), later(now, lookInterval(limit))))
}

// hurry has the clock go by the LingerTimeout, since the connection ends when all is sent.
func (t *transport) hurry() {
	switch limit := t.writeLimit(); {
	case t.flags&full == 0 || limit == 0:
	case t.flags&waiting == 0:
		t.startClock(false)
	default:
		t.lookBy(t.r.clock(), limit)
	}
}

// look is the sweep's look at output that waits. It returns the reason that the connection ends, if its time is over.
func (t *transport) look(now int64) error {
	t.flags &^= full
	t.sendQueued()
	if t.flags&waiting == 0 || t.flags&dead != 0 {
		t.touch() // its producer may go on
		return nil
	}
	limit := t.writeLimit()
	t.count(now, limit)
	if later(t.paid, limit) > now {
		t.lookBy(now, limit)
		t.touch()
		return nil
	}
	if t.flags&slow != 0 {
		return ErrSlowReader
	}
	return ErrTimeout
}

// count has the peer pay with what it has acknowledged since the last look. When that was is not known, so it counts as
// if it had been right after that look: so nothing that was saved lasts longer than WriteCredit.
func (t *transport) count(now int64, limit time.Duration) {
	acked := t.taken - t.inKernel()
	gained := acked - t.acked
	if gained <= 0 {
		return
	}
	t.acked = acked
	if t.options.MinWriteRate <= 0 {
		t.paid = now
		return
	}
	bought := min(float64(gained)/float64(t.options.MinWriteRate)*float64(time.Second), float64(WriteCredit))
	t.paid = max(t.paid, min(t.paid+int64(bought), now+int64(WriteCredit-lookInterval(limit))))
	if t.flags &^= slow; t.paid < now {
		t.flags |= slow // it reads, but not enough
	}
}

// inKernel is how much of what the socket has taken the peer's kernel has not. A Unix socket has one kernel at both ends.
func (t *transport) inKernel() int64 {
	if !t.remote.IsValid() || t.flags&oneKernel != 0 || t.fd < 0 {
		return 0
	}
	return int64(t.r.sys.Unacknowledged(int(t.fd)))
}

// Unacknowledged implements Transport.
func (t *transport) Unacknowledged() int {
	n := t.Buffered()
	if t.fd >= 0 {
		n = max(n, n+t.r.sys.Unacknowledged(int(t.fd))) // files may be longer than an int
	}
	return n
}
