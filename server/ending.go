package server

import "microhttp/parser"

// Every way in which a connection ends. Only the transport's ConnectionLost ends it
// in fact; what stands before it here decides how the peer gets to know.

// Refusals that the parser cannot know of.
var (
	errTimeout    = &parser.Error{Status: 408, Reason: "the request took too long to arrive"}
	errTooSlow    = &parser.Error{Status: 408, Reason: "the request arrives too slowly"}
	errCutShort   = &parser.Error{Status: 400, Reason: "the connection ended within the request"}
	errOverloaded = &parser.Error{Status: 503, Reason: "the server holds too much, and this connection the most"}
	errCrowded    = &parser.Error{Status: 503, Reason: "the server holds too much for requests that are not answered yet"}
)

// sayGoodbye ends the connection behind its last answer. Its peer's own end is not waited
// for when the peer has asked for ours and sent nothing further, and the answer is small:
// should it break its word now, the answer has reached it before the reset that follows.
// The wait is a shutdown, a read and a turn of the loop, a third of what such a connection
// costs.
func (c *conn) sayGoodbye() {
	c.bye = false
	if c.asked && c.in == nil {
		c.leave()
		return
	}
	c.linger()
}

// linger half-closes behind what is queued and goes on reading, so that the kernel
// does not answer what the peer still sends with a reset that would overtake our
// answer (RFC 9112, 9.6). A peer that has asked for the end is no exception: its word is
// no promise that it sends nothing more.
func (c *conn) linger() {
	c.dropInput()
	c.dropRequest()
	if c.eof {
		c.leave()
		return
	}
	if c.w.srv.conf.linger == 0 || c.w.srv.conf.timeouts[phaseDrain] == 0 {
		c.leave()
		return
	}
	c.state = draining
	c.recount()
	if c.paused {
		c.paused = false
		c.t.ResumeReading()
	}
	c.enter(phaseDrain)
	c.t.CloseWrite()
}

// leave closes the connection behind what is queued.
func (c *conn) leave() {
	c.state = leaving
	c.dropInput()
	c.dropRequest()
	c.recount() // and have an answer watched that is not yet read
	c.t.LoseConnection()
}

// abort resets the connection.
func (c *conn) abort() {
	c.state, c.bye, c.cut = leaving, false, true
	c.dropInput()
	c.recount()
	c.t.AbortConnection()
}

// dropRequest lets go of a request that was still arriving.
func (c *conn) dropRequest() {
	if x := c.cur; x != nil && !x.detached {
		c.cur = nil
		c.w.release(x)
	}
}

// ReadConnectionLost implements reactor.HalfCloser. A request that is whole still
// gets its answer.
func (c *conn) ReadConnectionLost() {
	c.eof = true
	switch {
	case c.state == draining:
		c.leave()
	case c.state == answering:
		c.cur.req.end()
		c.cur.peerEnded()
	case c.state == reading && !c.stalled():
		c.endOfInput()
	}
}

// endOfInput ends a connection whose peer has sent all that it will.
func (c *conn) endOfInput() {
	if c.in != nil || c.cur != nil {
		c.refuse(c.cur, errCutShort)
		return
	}
	c.leave()
}

// ConnectionLost implements reactor.Protocol.
func (c *conn) ConnectionLost(reason error) {
	c.state = gone
	c.judge(reason)
	c.logEnd(reason)
	c.w.srv.ended[c.why].Add(1)
	c.w.remove(c)
	c.dropInput()
	x := c.cur
	c.cur = nil
	c.recount()
	if x == nil {
		return
	}
	x.peerEnded()
	switch {
	case !x.detached:
		c.w.release(x) // it was still arriving
	case x.job != nil && x.job.withdraw():
		x.finish(c.why)
	case x.live != nil && !x.offLoop, x.takeForGone(c.why):
		x.finish(c.why)
	default: // Somebody is filling it. It comes back through complete.
		x.req.end()
		c.w.recountMade(&x.counted, x.held)
	}
	if x.live != nil {
		x.live.lost(c.why)
	}
}
