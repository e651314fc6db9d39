package server

import (
	"microhttp/parser"
	"microhttp/reactor"

	"github.com/valyala/bytebufferpool"
)

// conn is the protocol of one connection. Bytes go to the parser, whole heads to the handlers, bodies to wherever a
// handler asked for them, answers to the transport. Where it stands is a pair of states; steps.go derives from it what
// comes next.
//
// It is idle when it has neither a request nor bytes. It then owns no buffer at all.
type conn struct {
	t    reactor.Transport
	w    *worker
	id   uint64 // see Request.ConnID
	p    parser.Parser
	cur  *exchange                  // the request that is arriving or whose answer is owed
	in   *bytebufferpool.ByteBuffer // input that is not consumed yet
	prev *conn                      // in the worker's ring
	next *conn

	ends   int64 // when the phase does, on the worker's clock; 0 is never
	behind int64 // when the peer falls behind the least data rate, unless more comes, or takes more: see stillTakes
	held   int   // what this connection was last counted to hold: see memory.go

	intake     intake
	output     output
	phase      phase
	outputFull bool        // the peer does not read: no request is parsed until the output has drained
	yields     bool        // much was answered in one go: the next request waits for the flush of this tick
	paused     bool        // reading is paused
	eof        bool        // the peer has half-closed
	lingers    bool        // the end waits for the peer's, since the peer may still send
	cut        bool        // it is being reset
	hijacked   bool        // a Blocking handler has taken it, and Shutdown does not wait for it
	secure     bool        // t is a layer of TLS
	why        CloseReason // why it ends, or has ended
	drained    uint32      // bytes thrown away since the last answer
}

// maxGathered is the output of one batch of requests beyond which the rest of the batch waits for the next tick, so
// that a flush shows first whether the peer reads at all.
const maxGathered = 256 << 10

// ConnectionMade implements reactor.Protocol.
func (c *conn) ConnectionMade(t reactor.Transport) {
	c.t = t
	_, c.secure = t.(secured)
	c.w.add(c)
	t.RegisterProducer(c)
	c.begin()
}

// DataReceived implements reactor.Protocol.
func (c *conn) DataReceived(p []byte) {
	switch c.step() {
	case stepEnd:
		if c.drained += uint32(len(p)); c.drained > c.w.srv.conf.linger {
			c.leaveFor(ErrLinger)
		}
		return
	case stepGone:
		return
	}
	if c.step() == stepBody && c.cur != nil {
		c.cur.body.came = true
	}
	if c.in == nil {
		c.keepRest(p, c.consume(p))
	} else {
		c.in.B = append(c.in.B, p...)
		c.consumeKept()
	}
	c.settle()
	if c.phase.arriving() {
		c.credit(len(p))
	}
}

// parses reports whether the parser may go on.
func (c *conn) parses() bool { return c.parsesIn(c.step()) }

func (c *conn) parsesIn(st step) bool {
	switch st {
	case stepParse:
		return !c.outputFull && !c.yields
	case stepBody:
		b := &c.cur.body
		return b.flows() && (b.to != bodyToBuffer || !c.outputFull) // a peer that does not read is not read from
	}
	return st == stepDiscard
}

// consume parses and serves what b holds and returns how much of it is done with.
func (c *conn) consume(b []byte) int {
	at := 0
	for {
		st := c.step()
		if !c.parsesIn(st) {
			return at
		}
		if c.cur == nil && st == stepParse {
			c.cur = c.w.take()
		}
		x, h := c.cur, &c.w.discarded
		if x != nil {
			h = x.parsedHead()
		}
		ev, n, err := c.p.Next(b[at:], h)
		if err != nil {
			c.failAt(err.(*parser.Error), b[at:])
			return len(b)
		}
		at += n
		if st == stepBody && x.req.head.Chunked && c.tooLarge(x) {
			return len(b)
		}
		switch ev {
		case parser.NeedMore:
			switch {
			case st == stepBody:
				x.req.ownBody()
			case at < len(b):
				c.intake = intakeHead
			case c.intake == intakeIdle && x != nil: // there were only empty lines
				c.letGo()
			}
			return at
		case parser.EventHead:
			if c.w.crowded && c.w.refuses() {
				x.req.raw = b[at-n : at]
				c.fail(errCrowded)
				return len(b)
			}
			c.headComplete(x, b[at-n:at], len(b)-at)
			if c.answered(len(b) - at) {
				return at
			}
		case parser.EventBody:
			if st != stepBody {
				continue
			}
			c.bodyPiece(x, h.Body.In(b[at-n:at]))
			if x.body.to == bodyToBuffer && c.p.TakeEnd() && c.requestEnd(x, h, nil, len(b)-at) {
				return at
			}
		case parser.EventEnd:
			if st != stepBody {
				c.intake = intakeIdle
			} else if c.requestEnd(x, h, b[at-n:at], len(b)-at) {
				return at
			}
		}
	}
}

// requestEnd takes the end of a request whose body was asked for, of which tail is the trailer section. It reports what
// answered does.
func (c *conn) requestEnd(x *exchange, h *parser.Head, tail []byte, more int) bool {
	c.bodyEnd(x, h, tail)
	return c.answered(more)
}

// answered reports whether a request was answered and no byte of another one is there. Else more bytes follow.
func (c *conn) answered(more int) bool {
	switch {
	case c.intake != intakeIdle:
		return false
	case more > 0:
		c.gathered()
		return false
	}
	return true
}

// gathered has the rest of a batch wait for the flush of this tick when its answers are many.
func (c *conn) gathered() {
	if c.t.Buffered() >= maxGathered && !c.yields {
		c.yields = true
		c.w.loop.CallFromThread(c.goOn)
	}
}

// headComplete calls the handlers for a head that is complete, of which more bytes were read.
func (c *conn) headComplete(x *exchange, head []byte, more int) {
	x.req.begin(c)
	x.req.raw = head
	h := &x.req.head
	if !h.HasBody() {
		c.p.TakeEnd()
		c.intake = intakeComplete
		c.serve(x)
		return
	}
	c.intake = intakeBody
	x.hasBody, x.body.awaited, x.body.came = true, h.Expect100, more > 0
	if h.Chunked || h.ContentLength > int64(more) {
		x.keepHead() // what the handler peeks at stays valid while the body arrives
	}
	c.serve(x)
}

// serve calls the handlers that take the head.
func (c *conn) serve(x *exchange) {
	c.output = outputOwed
	c.phase = phaseServed
	switch h := &x.req.head; {
	case h.MethodID == parser.MethodConnect:
		c.logUnserved(x, 501, "CONNECT, and an origin server tunnels nothing")
		c.blame(ErrRefused)
		x.res.Error(501) // an origin server tunnels nothing (RFC 9110, 9.3.6)
		x.res.flags |= closeAfter
	case h.HTTPS && !c.secure:
		c.logUnserved(x, 421, notSecured)
		x.res.Error(421) // this connection is not secured (RFC 9110, 7.4)
	default:
		c.w.name()
		x.serve(c.w.srv.handler)
	}
	c.advance(x)
}

// advance moves an exchange on after a handler has run on the loop: it runs the leaf that was chosen, waits for what is
// outstanding, or gives the answer. There is one copy of it, since most requests come here twice.
//
//go:noinline
func (c *conn) advance(x *exchange) {
	for c.output < outputLast {
		switch l := x.leaf; {
		case x.fate.Load() != fateOpen && x.mode == modeInline && x.panicked():
			if x.fate.Load() == fateAborted {
				c.drop(x)
				return
			}
			c.give(x)
			return
		case l != nil:
			if c.beginLeaf(x, l) {
				return
			}
		case x.body.to == bodyToCallback && c.intake == intakeBody && !x.body.begun:
			x.body.begun = true
			c.ask(x, bodyToCallback, 0)
		case x.body.to == bodyToCallback && c.intake != intakeBody && !x.body.paused:
			x.passWhole()
		case x.waits():
			if c.eof && x.detached { // it came with an earlier request, or while the body was kept
				x.req.end()
			}
			return
		default:
			c.give(x)
			return
		}
	}
}

// beginLeaf calls the leaf that was chosen, and reports whether it is to be waited for.
func (c *conn) beginLeaf(x *exchange, l *leaf) (waits bool) {
	switch {
	case l.whole && c.intake == intakeBody:
		return c.ask(x, bodyToBuffer, l.max)
	case l.offLoop:
		return c.sendOff(x)
	}
	x.leaf = nil
	x.req.whole = x.req.whole || l.whole
	if len(x.headBuf) > 0 { // another request may have been served since the head
		x.name()
	}
	x.serve(l.h)
	return false
}

// give gives the answer that a handler has made.
func (c *conn) give(x *exchange) {
	if len(x.res.before) > 0 && !x.decide() {
		c.drop(x)
		return
	}
	if x.mode == modeUpgraded && c.switches(x) {
		return
	}
	if x.res.filters != nil { // the others have run
		c.pump(x)
		return
	}
	c.answer(x)
	if x.file == nil {
		c.conclude(x)
	}
}

// drop ends an exchange that gets no answer, since its handler has panicked.
func (c *conn) drop(x *exchange) {
	c.cur = nil // and it is not used again: other code may still refer to it
	c.blame(failedFor(x.res.err))
	mistakable := c.output == outputStreaming && !x.res.stream.showsCut()
	x.endBody(ErrPanic)
	x.finish(ErrPanic)
	if mistakable {
		c.abort() // the peer must not take the part for the whole
		return
	}
	c.output = outputLast // a reset could overtake the answers to earlier requests
	c.lingers = true
}

// letGo gives an exchange back that no handler has seen.
func (c *conn) letGo() {
	x := c.cur
	c.cur = nil
	c.w.release(x)
}

// conclude ends an exchange whose answer was given, and lets the next request begin.
func (c *conn) conclude(x *exchange) {
	if x.hasBody && x.body.to != bodyOver || x.detached {
		x.endBody(ErrAnswered)
	}
	x.finish(nil)
	if c.cur == x {
		c.cur = nil
	}
	switch {
	case c.output >= outputLast:
	case x.short: // the answer says so itself, and is sent as far as it goes
		c.blame(failedFor(x.res.err))
		c.output = outputLast
	case x.last || c.intake == intakeRefused:
		c.output = outputLast
	default:
		c.output = outputIdle
		if c.intake == intakeComplete {
			c.intake = intakeIdle
		}
	}
	c.w.release(x)
}

// complete takes an exchange back whose answer was made elsewhere, or whose stream was closed.
func (c *conn) complete(x *exchange) {
	switch {
	case x.mode == modeUpgraded: // the connection is another protocol's
		x.finish(nil)
		return
	case c.cur != x: // the server has answered in its place, or the connection is lost
		x.finish(x.reason)
		return
	case c.output == outputEnded:
		c.cur = nil
		x.endBody(c.over())
		x.finish(c.over())
		return
	case x.fate.Load() == fateAborted:
		c.drop(x)
	case c.output == outputOwed:
		c.give(x)
	default:
		c.conclude(x)
	}
	c.resume()
}

// goOn goes on with a batch whose answers were too many for one tick.
func (c *conn) goOn() {
	c.yields = false
	c.resume()
}

// resume goes on with what was kept while the connection was not parsing.
func (c *conn) resume() {
	if (c.in != nil || c.step() == stepBody) && c.parses() { // of a body that has come, the end may be left
		c.consumeKept()
	}
	c.settle()
}

// settle looks at where the connection stands after each thing that happened to it. It ends what is over, and sets the
// time-out and the reading that fit.
func (c *conn) settle() {
	c.w.checkHeld()
	st := c.step()
	if st == stepParse && c.cur == nil && c.in == nil && c.held == 0 && !c.eof && !c.paused && !c.outputFull && !c.yields {
		c.enter(phaseIdle) // as mostly
		return
	}
	switch st {
	case stepNever:
		never(c)
	case stepGone:
		return
	case stepSwitched:
		if c.cur != nil {
			c.handOver()
		}
		return
	case stepEnd:
		if c.phase != phaseDrain {
			c.end()
		}
		return
	case stepParse, stepDiscard, stepBody:
		if c.eof && c.parses() {
			c.endOfInput()
			return
		}
	}
	c.enter(c.phaseOf(st))
	if c.in != nil || c.cur != nil || c.held > 0 {
		c.recount()
	}
	if pause := c.keptInput() >= c.w.srv.conf.pipelined && !c.parses(); pause != c.paused {
		c.paused = pause
		if pause {
			c.t.PauseReading()
		} else {
			c.t.ResumeReading()
		}
	}
}

// keptInput is how much input waits to be parsed.
func (c *conn) keptInput() int {
	if c.in == nil {
		return 0
	}
	return len(c.in.B)
}

// inputs is the pool of the buffers for input. It has only those: the pool of bodies hands
// out larger ones than a few bytes of a head should hold.
var inputs bytebufferpool.Pool

// keepRest keeps what consume left of a read.
func (c *conn) keepRest(b []byte, n int) {
	switch {
	case n == len(b):
	case c.output < outputLast:
		c.in = inputs.Get()
		c.in.B = append(c.in.B, b[n:]...)
	default:
		c.lingers = true // the peer sends more than it said
	}
}

// consumeKept consumes what was kept and closes the gap.
func (c *conn) consumeKept() {
	var b []byte
	if c.in != nil {
		b = c.in.B
	}
	n := c.consume(b)
	switch {
	case n == len(b):
		c.dropInput()
	case c.output >= outputLast:
		c.lingers = true
		c.dropInput()
	case n > 0:
		c.in.B = b[:copy(b, b[n:])]
	}
}

func (c *conn) dropInput() {
	if c.in != nil {
		inputs.Put(c.in)
		c.in = nil
	}
}
