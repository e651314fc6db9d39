package server

import (
	"time"

	"microhttp/reactor"
)

// A connection has one timeout, and the phase that it is in says what it is for. In the
// phases in which a request arrives it is the earlier of two: the end of the time for the
// whole, and the time at which the peer falls behind the least data rate. The latter is a
// debt: it begins with the grace, each byte that comes pays for a moment of it, and who
// pays ahead gains no more than rateSavings. A peer that sends a byte each second so resets
// nothing.

// phase is what the connection's one time-out is for.
type phase uint8

const (
	phaseNew      phase = iota // the first byte of a new connection
	phaseIdle                  // the first byte of a further request
	phaseHead                  // the rest of a head
	phaseBody                  // the rest of a body that is buffered
	phaseStreamed              // the rest of a body that is streamed, which has no time but the least data rate
	phaseServed                // nothing yet: what follows a request has its own time
	phaseOwed                  // nothing: it is not the peer's turn
	phasePending               // the answer that a Pending owes, or a Stream or a paused body on the loop
	phaseDiscard               // the rest of a body whose answer was given
	phaseDrain                 // the peer's end, after the last answer
	phases
)

// arriving reports whether bytes that come count for the least data rate.
func (ph phase) arriving() bool { return ph == phaseHead || ph == phaseBody || ph == phaseStreamed }

// phaseOf is the phase that fits a step.
func (c *conn) phaseOf(st step) phase {
	switch {
	case st == stepDiscard:
		return phaseDiscard
	case st == stepParse && !c.parses():
		return phaseOwed
	case st == stepParse && (c.in != nil || c.cur != nil):
		return phaseHead
	case st == stepParse:
		return phaseIdle
	case st == stepBody && c.parses() && c.cur.body.to == bodyToBuffer:
		return phaseBody
	case st == stepBody && c.parses():
		return phaseStreamed
	case c.cur.body.to == bodyToBuffer:
		return phaseOwed
	case c.cur.mode != modeBlocking && c.cur.file == nil:
		return phasePending
	}
	return phaseOwed
}

// rateSavings is the time that bytes which come faster than MinDataRate can buy at most.
const rateSavings = 30 * time.Second

// enter enters a phase. Being in it already, or sending empty lines, gains no time.
func (c *conn) enter(ph phase) {
	switch {
	case ph == c.phase, ph == phaseIdle && c.phase == phaseNew:
		return
	case ph == phaseHead && c.phase == phaseNew:
		c.phase = ph                              // its time began with the connection
		if c.w.srv.conf.rate > 0 || c.w.closing { // then the timeout is the grace of an idle connection
			c.expectData(c.w.clock())
		}
		return
	}
	c.phase = ph
	d := c.w.srv.conf.timeouts[ph]
	switch {
	case c.w.closing && (ph == phaseIdle || ph == phaseDrain):
		d = c.w.srv.conf.idleGrace
	case ph.arriving():
		now := c.w.clock()
		c.ends = 0
		if d > 0 {
			c.ends = now + int64(d)
		}
		c.expectData(now)
		return
	}
	c.behind = 0 // see stillTakes
	c.t.SetTimeout(d)
}

// begin enters the phase of a new connection.
func (c *conn) begin() {
	c.phase = phaseNew
	d := c.w.srv.conf.timeouts[phaseNew]
	if d > 0 {
		c.ends = c.w.clock() + int64(d)
	}
	if c.w.closing {
		d = c.w.srv.conf.idleGrace
	}
	c.t.SetTimeout(d)
}

// expectData begins to hold the peer to the data rate.
func (c *conn) expectData(now int64) {
	c.behind = now + int64(c.w.srv.conf.grace)
	c.arm(now)
}

// credit is called when n more bytes have come, and a head or a body is not whole.
func (c *conn) credit(n int) {
	if rate := c.w.srv.conf.rate; rate > 0 {
		now := c.w.clock()
		paid := min(c.behind+int64(n)*int64(time.Second)/int64(rate), now+int64(rateSavings))
		c.behind = max(c.behind, paid) // the grace may be longer than that
		c.arm(now)
	}
}

// arm sets the timeout of a request that arrives.
func (c *conn) arm(now int64) {
	at := c.ends
	if c.w.srv.conf.rate > 0 && (at == 0 || c.behind < at) {
		at = c.behind
	}
	if at == 0 {
		c.t.SetTimeout(0)
		return
	}
	c.t.SetTimeout(max(time.Duration(at-now), 1))
}

// hurry ends the wait for a peer from whom nothing is to be expected but its end, when
// the server shuts down.
func (c *conn) hurry() {
	if sh, ok := c.t.(shelled); ok {
		sh.base().shutdown()
		return
	}
	if c.phase == phaseNew || c.phase == phaseIdle || c.phase == phaseDrain {
		c.t.SetTimeout(c.w.srv.conf.idleGrace)
	}
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (c *conn) TimeoutConnection() {
	st := c.step()
	switch {
	case st == stepGone:
		return
	case c.phase == phaseDrain && c.t.Buffered() > 0:
		c.phase = phaseServed
		c.enter(phaseDrain)                                 // anew: the peer still reads, and SendTimeout watches that
		c.behind = c.w.clock() + int64(reactor.WriteCredit) // so that a whole LingerTimeout follows when the peer has all: see stillTakes
		return
	case c.phase == phasePending && c.cur.live != nil:
		if l, ok := c.cur.live.sink.(*loopSink); ok {
			c.lookAtStream(l)
		}
		return
	case c.phase == phasePending && (c.cur.mode == modePending || c.cur.mode == modeHeld):
		c.answerForPending()
		return
	case c.phase == phasePending: // a body that was paused on the loop, and not resumed
		c.fail(ErrBodyTimeout)
	case c.phase.arriving() && c.ends != 0 && c.w.clock() >= c.ends:
		c.fail(errTimeout)
	case c.phase.arriving():
		c.fail(errTooSlow)
	case c.stillTakes():
		return
	default:
		c.leaveFor(c.silence()) // it has sent nothing since the last answer, or has had it
		return
	}
	c.settle()
}

// clock is the loop's time, in nanoseconds since the worker was made.
func (w *worker) clock() int64 { return int64(w.loop.Now().Sub(w.epoch)) }
