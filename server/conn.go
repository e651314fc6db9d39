package server

import (
	"time"

	"microhttp/parser"
	"microhttp/reactor"

	"github.com/valyala/bytebufferpool"
)

// conn is the protocol of one connection. Bytes go to the parser; what it reports
// moves the connection on:
//
//	reading ── a whole request ──▶ the handler ── answered ──▶ reading
//	   │                               └── answer owed ──▶ answering ──▶ reading
//	   ├── refused, or the last answer given ──▶ draining ──▶ gone
//	   └── nothing more to say ──▶ leaving ──▶ gone
//
// It is idle when it is reading and holds neither a request nor bytes; it then owns
// no buffer at all.
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
	behind int64 // when the peer falls behind the least data rate, unless more comes
	held   int   // what this connection was last counted to hold: see memory.go
	unsent int   // the output that waited at the last look that mattered: see slowreaders.go
	seen   int64 // when that was

	state   state
	phase   phase
	why     CloseReason // why it ends, or has ended
	begun   bool        // cur has its whole head: its body is arriving
	choked  bool        // the peer does not read: nothing is parsed until its output has drained
	waiting bool        // much was answered in one go: nothing is parsed until the flush shows whether the peer reads
	paused  bool        // reading is paused
	eof     bool        // the peer has half-closed
	bye     bool        // the answer just given was the last one
	asked   bool        // … and the peer had asked for that, and the answer is small
	cut     bool        // it is being reset
	drained uint32      // bytes thrown away while draining
}

type state uint8

const (
	reading state = iota
	answering
	draining
	leaving
	gone
)

// maxGathered is the output of one batch of requests beyond which the rest of the batch
// waits for the flush to show whether the peer reads at all.
const maxGathered = 256 << 10

// markPatience is how long the output is let be that is above MaxUnsentBytes even after the
// flush, when the transport has not said that it is too much: its own mark is a higher one,
// as may be with Factory.
const markPatience = 5 * time.Millisecond

// ConnectionMade implements reactor.Protocol.
func (c *conn) ConnectionMade(t reactor.Transport) {
	c.t = t
	c.w.add(c)
	t.RegisterProducer(c)
	c.begin()
}

// DataReceived implements reactor.Protocol.
func (c *conn) DataReceived(p []byte) {
	switch {
	case c.state == draining:
		if c.drained += uint32(len(p)); c.drained > c.w.srv.conf.linger {
			c.leaveFor(ErrLinger)
		}
		return
	case c.state >= leaving:
		return
	case c.state == answering || c.stalled():
		c.keepInput(p)
		return
	case c.in == nil:
		c.keepRest(p, c.consume(p))
	default:
		c.in.B = append(c.in.B, p...)
		c.consumeKept()
	}
	c.settle()
	if c.phase == phaseHead || c.phase == phaseBody {
		c.credit(len(p))
	}
}

// consume parses and serves what b holds and returns how much of it is done with.
func (c *conn) consume(b []byte) int {
	at := 0
	for c.state == reading && !c.stalled() {
		x := c.cur
		if x == nil {
			x = c.w.get()
		}
		ev, n, err := c.p.Next(b[at:], &x.req.head)
		if err != nil {
			c.refuseBytes(x, err.(*parser.Error), b[at:])
			if c.cur == nil {
				c.w.release(x)
			}
			return len(b)
		}
		at += n
		switch ev {
		case parser.NeedMore:
			if at < len(b) || c.begun {
				c.hold(x)
			}
			return at
		case parser.EventHead:
			if c.w.crowded && c.w.refuses() {
				c.refuseHead(x, errCrowded, b[at-n:at])
				if c.cur == nil {
					c.w.release(x)
				}
				return len(b)
			}
			c.beginRequest(x, b[at-n:at], len(b)-at)
		case parser.EventBody:
			x.req.addBody(x.req.head.Body.In(b[at-n : at]))
		case parser.EventEnd:
			if len(x.req.head.Trailers) > 0 {
				x.req.trailer = append([]byte(nil), b[at-n:at]...)
			}
			c.begun = false
			c.serve(x)
		}
	}
	return at
}

// beginRequest takes a head that has become complete; more is how many bytes came
// behind it.
func (c *conn) beginRequest(x *exchange, head []byte, more int) {
	c.begun = true
	x.req.begin(c)
	x.req.raw = head
	if x.req.head.Expect100 && more == 0 {
		c.awaited(x)
	}
}

// hold keeps a request for which more must arrive: it becomes the connection's, with
// copies of what the read buffer lent.
func (c *conn) hold(x *exchange) {
	if c.cur == nil {
		c.cur = x
		c.w.keep(x)
	}
	if c.begun && len(x.headBuf) == 0 {
		x.headBuf = append(x.headBuf, x.req.raw...)
		x.req.raw = x.headBuf
	}
	x.req.ownBody()
}

// serve calls the handler for a request that is whole, and answers if that is what
// the handler wanted.
func (c *conn) serve(x *exchange) {
	c.phase = phaseServed
	broken := false
	switch h := &x.req.head; {
	case h.MethodID == parser.MethodConnect:
		c.logUnserved(x, 501, "CONNECT, and an origin server tunnels nothing")
		c.blame(ErrRefused)
		x.res.Error(501) // an origin server tunnels nothing (RFC 9110, 9.3.6)
		x.res.flags |= closeAfter
	case h.HTTPS:
		c.logUnserved(x, 421, notSecured)
		x.res.Error(421) // this connection is not secured (RFC 9110, 7.4)
	default:
		c.w.name()
		broken = x.serve(c.w.srv.handler)
	}
	if x.blocking != nil {
		c.sendOff(x)
	}
	switch {
	case x.detached:
		c.own(x)
		c.state = answering
		if c.eof { // it came with an earlier request
			x.req.end()
		}
		if broken {
			c.abortFor(failedFor(x.res.err)) // ConnectionLost finds out who has x
		}
	case x.aborted:
		c.drop(x)
	default:
		c.answer(x)
		c.conclude(x)
		c.letGo(x)
	}
}

// drop breaks the connection off because of x, which is not used again: who knows who
// still refers to it.
func (c *conn) drop(x *exchange) {
	c.own(x)
	c.cur = nil
	x.finish(ErrPanic)
	c.giveUp(x)
}

// giveUp ends the connection because x will not be answered whole. If a part of the answer is out,
// it is broken off, since the peer must not take that for the whole. An answer that is shorter than
// its Content-Length says so itself, and is sent as far as it goes. Without a part of an answer the
// connection ends behind the answers to earlier requests: a reset could overtake them.
func (c *conn) giveUp(x *exchange) {
	why := failedFor(x.res.err)
	c.blame(why)
	if x.live == nil || why == ErrContentLength {
		c.linger()
	} else {
		c.abort()
	}
}

// letGo gives x back to the loop.
func (c *conn) letGo(x *exchange) {
	if c.cur == x {
		c.cur = nil
	}
	c.w.release(x)
}

// own makes x the connection's, and no longer the loop's to use again.
func (c *conn) own(x *exchange) {
	if c.cur != x {
		c.cur = x
		c.w.keep(x)
	}
}

// conclude ends an exchange whose answer was given, and the connection's turn with
// it.
func (c *conn) conclude(x *exchange) {
	x.finish(nil)
	if c.bye && c.state <= answering {
		c.state = leaving
	}
}

// complete takes back a detached exchange: its answer is made.
func (c *conn) complete(x *exchange) {
	if c.state == gone {
		x.finish(c.why)
		return
	}
	c.cur = nil
	if x.aborted {
		x.finish(ErrPanic)
		c.giveUp(x)
		return
	}
	if x.res.stream == nil {
		c.answer(x)
	}
	if c.state == answering {
		c.state = reading
	}
	c.conclude(x)
	c.resume()
}

// resume goes on with what was kept while the connection was not reading.
func (c *conn) resume() {
	if c.state == reading && !c.stalled() && c.in != nil {
		c.consumeKept()
	}
	c.settle()
}

// settle looks at where the connection stands after each thing that happened to it:
// it ends what is over, and sets the timeout and the reading that fit.
func (c *conn) settle() {
	c.w.checkHeld()
	switch c.state {
	case leaving:
		if c.bye {
			c.sayGoodbye()
		}
		return
	case draining, gone:
		return
	}
	busy := c.state == answering || c.stalled()
	switch {
	case c.state == answering && (c.cur.pending || c.cur.live != nil && !c.cur.offLoop):
		c.enter(phasePending)
	case busy:
		c.enter(phaseOwed)
	case c.eof:
		c.endOfInput()
		return
	case c.begun:
		c.enter(phaseBody)
	case c.in != nil || c.cur != nil:
		c.enter(phaseHead)
	default:
		c.enter(phaseIdle)
	}
	if c.in != nil || c.cur != nil || c.held > 0 {
		c.recount()
	}
	if pause := busy && c.in != nil && len(c.in.B) >= c.w.srv.conf.pipelined; pause != c.paused {
		c.paused = pause
		if pause {
			c.t.PauseReading()
		} else {
			c.t.ResumeReading()
		}
	}
}

// inputs is the pool of the buffers for input. It has only those: the pool of bodies hands
// out larger ones than a few bytes of a head should hold.
var inputs bytebufferpool.Pool

// keepInput keeps bytes that came while nothing may be parsed.
func (c *conn) keepInput(p []byte) {
	if c.in == nil {
		c.in = inputs.Get()
	}
	c.in.B = append(c.in.B, p...)
	c.settle()
}

// keepRest keeps what consume left of a read.
func (c *conn) keepRest(b []byte, n int) {
	if n < len(b) && c.state <= answering {
		c.in = inputs.Get()
		c.in.B = append(c.in.B, b[n:]...)
		return
	}
	if n < len(b) {
		c.asked = false // it sends more than it said
	}
}

// consumeKept consumes what was kept and closes the gap.
func (c *conn) consumeKept() {
	b := c.in.B
	n := c.consume(b)
	if n < len(b) && c.state <= answering {
		if n > 0 {
			c.in.B = b[:copy(b, b[n:])]
		}
		return
	}
	if n < len(b) {
		c.asked = false
	}
	c.dropInput()
}

func (c *conn) dropInput() {
	if c.in != nil {
		inputs.Put(c.in)
		c.in = nil
	}
}

// PauseProducing implements reactor.Producer: the peer does not read as fast as we
// answer.
func (c *conn) PauseProducing() {
	c.choked = true
	c.w.watchReaders()
	if x := c.cur; x != nil && x.live != nil {
		x.live.choke(true)
	}
	c.settle()
}

// ResumeProducing implements reactor.Producer.
func (c *conn) ResumeProducing() {
	if !c.choked || c.state == gone {
		return
	}
	c.choked = false
	if x := c.cur; x != nil && x.live != nil {
		x.live.choke(false)
	}
	c.resume()
}

// stalled reports that there is too much unsent output to make more.
func (c *conn) stalled() bool { return c.choked || c.waiting }

// gathered is called after each answer of a batch: a batch whose answers are large
// waits for the end of the tick before it goes on.
func (c *conn) gathered() {
	if !c.stalled() && c.t.Buffered() >= maxGathered {
		c.waiting = true
		c.w.loop.CallFromThread(c.recheck)
	}
}

// recheck ends the wait that gathered began, once a flush has shown whether the peer
// reads. If it does not, ResumeProducing will end the wait that PauseProducing began.
func (c *conn) recheck() {
	switch {
	case c.state == gone:
	case !c.choked && c.t.Buffered() > c.w.srv.conf.unsent:
		c.w.loop.CallLater(markPatience, c.recheck)
	default:
		c.waiting = false
		c.resume()
	}
}
