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
	p    parser.Parser
	cur  *exchange                  // the request that is arriving or whose answer is owed
	in   *bytebufferpool.ByteBuffer // input that is not consumed yet
	prev *conn                      // in the worker's ring
	next *conn

	state   state
	phase   phase
	begun   bool // cur has its whole head: its body is arriving
	choked  bool // the peer does not read: nothing is parsed until its output has drained
	waiting bool // much was answered in one go: nothing is parsed until the flush shows whether the peer reads
	paused  bool // reading is paused
	eof     bool // the peer has half-closed
	bye     bool // the answer just given was the last one
	asked   bool // … and the peer had asked for that
	drained int  // bytes thrown away while draining
}

type state uint8

const (
	reading state = iota
	answering
	draining
	leaving
	gone
)

// phase is what the connection's one timeout is for.
type phase uint8

const (
	phaseNew   phase = iota // the first byte of a new connection
	phaseIdle               // the first byte of a further request
	phaseHead               // the rest of a head
	phaseBody               // the rest of a body
	phaseOwed               // nothing: it is not the peer's turn
	phaseDrain              // the peer's end, behind the last answer
	phases
)

const (
	// highWater and lowWater are the unsent output of a connection at which nothing
	// further is produced for it, and at which that begins again.
	highWater = 64 << 10
	lowWater  = 16 << 10
	// maxGathered is the output of one batch of requests beyond which the rest of
	// the batch waits for the flush to show whether the peer reads at all.
	maxGathered = 256 << 10
	// maxPipelined is the input that is kept while an answer is owed; beyond it
	// reading pauses.
	maxPipelined = 64 << 10
	// lingerTime and lingerBytes bound how long a connection goes on reading after
	// its last answer, so that a peer that still sends gets to read that answer
	// instead of a reset (RFC 9112, 9.6).
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 20
)

// ConnectionMade implements reactor.Protocol.
func (c *conn) ConnectionMade(t reactor.Transport) {
	c.t = t
	c.w.add(c)
	t.RegisterProducer(c)
	c.setTimeout(phaseNew)
}

// DataReceived implements reactor.Protocol.
func (c *conn) DataReceived(p []byte) {
	switch {
	case c.state == draining:
		if c.drained += len(p); c.drained > lingerBytes {
			c.leave()
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
			c.refuse(x, err.(*parser.Error))
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
	x.req.conn = c
	x.req.raw = head
	h := &x.req.head
	if h.Expect100 && more == 0 && h.HasBody() {
		c.t.Write(continueLine)
	}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

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
	x.req.received = c.w.loop.Now()
	broken := false
	switch h := &x.req.head; {
	case h.MethodID == parser.MethodConnect:
		x.res.Error(501) // an origin server tunnels nothing (RFC 9110, 9.3.6)
		x.res.flags |= closeAfter
	case h.HTTPS:
		x.res.Error(421) // this connection is not secured (RFC 9110, 7.4)
	default:
		broken = x.serve(c.w.srv.serve)
	}
	switch {
	case x.detached:
		c.own(x)
		c.state = answering
		if broken {
			c.abort() // ConnectionLost finds out who has x
		}
	case x.aborted:
		c.own(x) // and drop it: who knows who still refers to it
		c.cur = nil
		x.finish(ErrPanic)
		c.abort()
	default:
		c.answer(x)
		c.conclude(x)
		if c.cur == x {
			c.cur = nil
		}
		c.w.release(x)
	}
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
		x.finish(ErrPeerGone)
		return
	}
	c.cur = nil
	if x.aborted {
		x.finish(ErrPanic)
		c.abort()
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
	case busy:
		c.setTimeout(phaseOwed)
	case c.eof:
		c.endOfInput()
		return
	case c.begun:
		c.setTimeout(phaseBody)
	case c.in != nil || c.cur != nil:
		c.setTimeout(phaseHead)
	default:
		c.setTimeout(phaseIdle)
	}
	if pause := busy && c.in != nil && len(c.in.B) >= maxPipelined; pause != c.paused {
		c.paused = pause
		if pause {
			c.t.PauseReading()
		} else {
			c.t.ResumeReading()
		}
	}
}

// setTimeout enters a phase. Only an idle connection's time begins anew each time;
// a peer that drips bytes gains nothing.
func (c *conn) setTimeout(ph phase) {
	if ph == c.phase && ph != phaseIdle && ph != phaseNew {
		return
	}
	if ph == phaseHead && c.phase == phaseNew {
		c.phase = ph // its time began with the connection
		return
	}
	c.phase = ph
	d := c.w.srv.conf.timeouts[ph]
	if c.w.closing && (ph <= phaseIdle || ph == phaseDrain) {
		d = shutdownGrace
	}
	c.t.SetTimeout(d)
}

// keepInput keeps bytes that came while nothing may be parsed.
func (c *conn) keepInput(p []byte) {
	if c.in == nil {
		c.in = bytebufferpool.Get()
	}
	c.in.B = append(c.in.B, p...)
	c.settle()
}

// keepRest keeps what consume left of a read.
func (c *conn) keepRest(b []byte, n int) {
	if n < len(b) && c.state <= answering {
		c.in = bytebufferpool.Get()
		c.in.B = append(c.in.B, b[n:]...)
		return
	}
	if n < len(b) {
		c.asked = false // it sent more than it said: let it read our answer
	}
}

// consumeKept consumes what was kept and closes the gap.
func (c *conn) consumeKept() {
	b := c.in.B
	n := c.consume(b)
	if n < len(b) && c.state <= answering {
		c.in.B = b[:copy(b, b[n:])]
		return
	}
	if n < len(b) {
		c.asked = false
	}
	c.dropInput()
}

func (c *conn) dropInput() {
	if c.in != nil {
		bytebufferpool.Put(c.in)
		c.in = nil
	}
}

// PauseProducing implements reactor.Producer: the peer does not read as fast as we
// answer.
func (c *conn) PauseProducing() {
	c.choked = true
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
	case !c.choked && c.t.Buffered() > highWater:
		c.w.loop.CallFromThread(c.recheck)
	default:
		c.waiting = false
		c.resume()
	}
}
