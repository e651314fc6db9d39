package server

import (
	"strconv"

	"microhttp/parser"
)

// Every way in which a connection ends. Only the transport's ConnectionLost ends it in fact. What stands before that
// here decides how the peer gets to know.

// Refusals that the parser cannot know of.
var (
	errTimeout    = &parser.Error{Status: 408, Reason: "the request took too long to arrive"}
	errTooSlow    = &parser.Error{Status: 408, Reason: "the request arrives too slowly"}
	errCutShort   = &parser.Error{Status: 400, Reason: "the connection ended within the request"}
	errOverloaded = &parser.Error{Status: 503, Reason: "the server holds too much, and this connection the most"}
	errCrowded    = &parser.Error{Status: 503, Reason: "the server holds too much for requests that are not answered yet"}
)

// fail answers what the parser, a time-out or a bound refused. What the peer sends after it has no meaning. A head that
// is not whole has no handler yet and is answered here. A body that is not whole has one, which gets to know first.
func (c *conn) fail(err *parser.Error) { c.failAt(err, nil) }

// failAt is fail for what the parser has refused when it was given b.
func (c *conn) failAt(err *parser.Error, b []byte) {
	st := c.step()
	c.intake = intakeRefused
	c.blame(refusedFor(err))
	switch st {
	case stepParse:
		c.refuse(err, b)
	case stepBody:
		x := c.cur
		c.failBody(x, err, b)
		c.advance(x)
	case stepDiscard:
		c.output, c.lingers = outputLast, true
	}
}

// refuse answers a request that no handler has seen.
func (c *conn) refuse(err *parser.Error, given []byte) {
	if c.cur == nil { // not a byte of it has come
		c.cur = c.w.take()
	}
	x := c.cur
	c.logRefused(x, err, given)
	body := refusalText(err)
	b := c.w.appendStart(c.t.Room(0), err.Status, false)
	if err.Status == 503 {
		b = appendField(b, "Retry-After", "1")
	}
	b = appendField(b, "Content-Type", textPlain)
	b = appendField(b, "Connection", "close")
	b = append(b, lengthName...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	if x.req.head.MethodID != parser.MethodHead {
		b = append(b, body...)
	}
	c.t.Commit(b)
	c.letGo()
	c.output, c.lingers = outputLast, true
}

const textPlain = "text/plain; charset=utf-8"

// refusalText is the body of the answer to a request that was refused.
func refusalText(err *parser.Error) string {
	return strconv.Itoa(err.Status) + " " + StatusText(err.Status) + ": " + err.Reason + "\n"
}

// refusal makes w the answer that a refusal gives. The fields that describe no content stay.
func (w *Response) refusal(err *parser.Error) {
	w.Error(err.Status)
	w.body.clear()
	w.body.buf = append(w.body.buf, refusalText(err)...)
	if err.Status == 503 {
		w.SetHeader("Retry-After", "1")
	}
}

// end ends the connection after its last answer. The peer's own end is not waited for when the peer has asked for ours
// and sent nothing further, and the answer is small: should the peer send more now, the answer has reached it before
// the reset that follows. The wait is a shutdown, a read and a turn of the loop, a third of what such a connection
// costs.
//
// Otherwise end half-closes after what is queued and goes on reading, so that the kernel does not answer what the peer
// still sends with a reset that would overtake our answer (RFC 9112, 9.6).
func (c *conn) end() {
	c.lingers = c.lingers || c.in != nil
	c.dropInput()
	if conf := &c.w.srv.conf; !c.lingers || c.eof || conf.linger == 0 || conf.timeouts[phaseDrain] == 0 {
		c.leave()
		return
	}
	c.drained = 0
	c.recount()
	if c.paused {
		c.paused = false
		c.t.ResumeReading()
	}
	c.enter(phaseDrain)
	c.t.RegisterProducer(nil) // nothing more is produced
	c.t.CloseWrite()
}

// leave closes the connection after what is queued.
func (c *conn) leave() {
	c.output = outputEnded
	c.dropInput()
	c.dropRequest()
	c.recount()               // and have an answer watched that is not yet read
	c.t.RegisterProducer(nil) // nothing more is produced
	c.t.LoseConnection()
}

// abort resets the connection.
func (c *conn) abort() {
	c.output, c.cut = outputEnded, true
	c.dropInput()
	c.recount()
	c.t.AbortConnection()
}

// dropRequest lets go of a request whose head was still arriving.
func (c *conn) dropRequest() {
	if c.cur != nil && c.intake <= intakeHead {
		c.letGo()
	}
}

// ReadConnectionLost implements reactor.HalfCloser. A request that is whole still gets its answer.
func (c *conn) ReadConnectionLost() {
	c.eof = true
	switch {
	case c.step() == stepEnd:
		c.leave()
		return
	case c.cur != nil && c.cur.detached:
		c.cur.req.end()
		c.cur.peerEnded()
	}
	c.settle()
}

// endOfInput deals with a peer that has sent all that it will.
func (c *conn) endOfInput() {
	st := c.step()
	if st == stepParse && (c.in != nil || c.cur != nil) || st == stepBody {
		c.fail(errCutShort)
		c.settle()
		return
	}
	c.intake = intakeClosed
	c.leave()
}

// ConnectionLost implements reactor.Protocol.
func (c *conn) ConnectionLost(reason error) {
	intake := c.intake
	c.judge(reason)
	c.logEnd(reason)
	c.w.srv.ended[c.why].Add(1)
	c.output, c.intake = outputEnded, intakeClosed
	c.w.remove(c)
	c.dropInput()
	x := c.cur
	c.cur = nil
	c.recount()
	if x == nil {
		return
	}
	if intake <= intakeHead {
		c.w.release(x) // it was still arriving
		return
	}
	x.peerEnded()
	queued := x.job.withdraw()
	switch {
	case x.file == nil && (!x.leave(c.why) && x.live == nil || x.mode == modeBlocking && !queued):
		// Other code is filling it. It comes back through complete.
		x.req.end()
		x.endBody(c.why)
		c.w.recountMade(&x.counted, x.held)
	default:
		x.file = nil
		x.endBody(c.why)
		x.finish(c.why)
		c.w.release(x)
	}
	if x.live != nil {
		x.live.sink.lost(c.why)
	}
}
