package websocket

import (
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// Kind is what a message is.
type Kind uint8

// The kinds.
const (
	Text   = Kind(opText)
	Binary = Kind(opBinary)
)

// Conn is one WebSocket. It lives on the loop of its connection: all its methods are for that loop, and never block. Other
// goroutines come in through Reactor().CallFromThread, or a [Hub].
type Conn struct {
	// Data is the program's.
	Data any

	h        *Handler
	t        reactor.Transport // nil until it is open
	protocol string
	agreed   agreement
	dec      decoder
	text     utf8Check

	message  []byte // what has come of a message
	kind     opcode // of the message
	squeezed bool   // the message is compressed
	control  []byte // what has come of a control frame
	rest     []byte // input that waits until the peer reads
	window   []byte // what the peer's next message refers to
	writer   *deflater
	drained  func()

	state   state
	full    bool // the peer does not keep up
	waits   bool // rest is kept until the loop has gone round
	pinged  bool // a pong is awaited
	half    bool // our end is closed
	behind  int  // bytes sent while full
	unread  int  // messages sent while full
	held    int  // what the server was told last
	outcome CloseError
}

type state uint8

const (
	open    state = iota
	closing       // our close frame was sent, the peer's is awaited
	over          // both were sent, or the connection has failed: what comes has no meaning
	lost
)

var (
	_ reactor.HalfCloser     = (*Conn)(nil)
	_ reactor.TimeoutHandler = (*Conn)(nil)
	_ reactor.Producer       = (*Conn)(nil)
	_ server.ShutdownHandler = (*Conn)(nil)
)

// burst is how much output one read may cause before the rest of its input waits for the flush.
const burst = 256 << 10

// Subprotocol returns what was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.protocol }

// Reactor returns the loop that c lives on; nil before OnOpen.
func (c *Conn) Reactor() *reactor.Reactor {
	if c.t == nil {
		return nil
	}
	return c.t.Reactor()
}

// ConnectionMade implements reactor.Protocol.
func (c *Conn) ConnectionMade(t reactor.Transport) {
	c.t = t
	t.RegisterProducer(c)
	t.SetTimeout(c.h.pingInterval())
	if c.h.OnOpen != nil {
		c.h.OnOpen(c)
	}
}

// DataReceived implements reactor.Protocol.
func (c *Conn) DataReceived(p []byte) {
	if c.state == over {
		return
	}
	if c.state == open {
		c.pinged = false
		c.t.SetTimeout(c.h.pingInterval())
	}
	if len(c.rest) > 0 || c.full || c.waits {
		c.rest = append(c.rest, p...)
		c.count()
		return
	}
	c.rest = append(c.rest, p[c.consume(p):]...)
	c.count()
}

// count tells the server what is held.
func (c *Conn) count() {
	n := cap(c.message) + cap(c.rest) + cap(c.window)
	if h, ok := c.t.(server.Holder); ok && n != c.held {
		c.held = n
		h.Holds(n)
	}
}

// consume takes frames from p, and returns how much is done with.
func (c *Conn) consume(p []byte) int {
	at := 0
	for c.state < over {
		ev, n, err := c.dec.next(p[at:])
		piece := p[at : at+n]
		at += n
		if err != nil {
			c.fail(err)
			break
		}
		switch ev {
		case needMore:
			return at
		case frameHead:
			err = c.begin()
		case framePayload:
			err = c.payload(piece)
		case frameEnd:
			err = c.end()
			if at < len(p) && c.state == open && (c.full || c.t.Buffered() > burst) {
				c.hold()
				return at
			}
		}
		if err != nil {
			c.fail(err)
			break
		}
	}
	return len(p)
}

// hold stops the input until the output has gone.
func (c *Conn) hold() {
	c.t.PauseReading()
	if !c.full {
		c.waits = true
		c.t.Reactor().CallFromThread(func() {
			c.waits = false
			c.goOn()
		})
	}
}

// goOn takes up input that waited.
func (c *Conn) goOn() {
	if c.state == lost || c.full || c.waits {
		return
	}
	if rest := c.rest; len(rest) > 0 {
		n := c.consume(rest)
		if c.rest = nil; n < len(rest) {
			c.rest = rest[:copy(rest, rest[n:])]
		}
		c.count()
	}
	if c.state != lost && !c.full && !c.waits {
		c.t.ResumeReading()
	}
}

// begin takes a frame's head.
func (c *Conn) begin() *CloseError {
	d := &c.dec
	if d.op.control() {
		c.control = c.control[:0]
		return nil
	}
	if d.op != opContinuation {
		c.kind, c.squeezed, c.message, c.text = d.op, d.compressed, c.message[:0], utf8Check{}
	}
	most := int64(c.h.maxMessage())
	if c.squeezed {
		most += most>>8 + 1<<10 // what does not compress grows a little
	}
	if d.left > most-int64(len(c.message)) || c.h.MaxFrame > 0 && d.left > int64(c.h.MaxFrame) {
		return &CloseError{CloseTooLarge, "message too large"}
	}
	return nil
}

// payload takes a piece of a frame's payload.
func (c *Conn) payload(p []byte) *CloseError {
	if c.dec.op.control() {
		c.control = append(c.control, p...)
		return nil
	}
	if c.kind == opText && !c.squeezed && !c.text.write(p) {
		return notUTF8
	}
	c.message = append(c.message, p...)
	return nil
}

var notUTF8 = &CloseError{CloseInvalid, "text is not UTF-8"}

// end takes the end of a frame.
func (c *Conn) end() *CloseError {
	switch c.dec.op {
	case opPing:
		if c.state == open && c.t.Buffered() <= burst { // only the latest needs an answer (5.5.3), and this peer does not read
			c.frame(opPong, c.control)
		}
		return nil
	case opPong:
		return nil
	case opClose:
		return c.closed()
	}
	if !c.dec.fin {
		return nil
	}
	p, err := c.message, (*CloseError)(nil)
	if c.squeezed {
		room := min(max(4*len(p), 512), c.h.maxMessage()+1)
		if p, err = inflate(make([]byte, 0, room), p, c.window, c.h.maxMessage()); err != nil {
			return err
		}
		if c.agreed.clientTakes {
			c.window = keepWindow(c.window, p)
		}
		if c.kind == opText && !c.text.write(p) {
			return notUTF8
		}
	}
	if c.kind == opText && !c.text.whole() {
		return notUTF8
	}
	if c.state == open && c.h.OnMessage != nil {
		c.h.OnMessage(c, Kind(c.kind), p)
	}
	if cap(c.message) > 4<<10 || c.state == open && !c.busy() {
		c.message = nil // an idle connection holds little
	}
	return nil
}

// busy reports whether more messages are likely at once, whose buffer is worth keeping.
func (c *Conn) busy() bool { return len(c.rest) > 0 }

// closed takes the peer's close frame.
func (c *Conn) closed() *CloseError {
	got, err := parseClose(c.control)
	if err != nil {
		return err
	}
	c.outcome = got
	if c.state == open {
		c.frame(opClose, closePayload(got.Code, ""))
	}
	c.finish()
	return nil
}

// fail fails the connection (7.1.7): a close frame, and the end.
func (c *Conn) fail(err *CloseError) {
	c.outcome = *err
	if c.state == open {
		c.frame(opClose, closePayload(err.Code, err.Reason))
	}
	c.finish()
}

// finish ends our side. What the peer still sends is read and thrown away, so that no reset overtakes the close frame.
func (c *Conn) finish() {
	c.state = over
	c.message, c.control, c.rest, c.window, c.writer = nil, nil, nil, nil, nil
	c.t.ResumeReading()
	c.t.SetTimeout(c.h.closeTimeout())
	if !c.half {
		c.half = true
		c.t.RegisterProducer(nil)
		c.t.CloseWrite()
	}
}

// Close begins the close handshake with a code of 1000 or above, as a close frame may have, and a reason of at most 123
// bytes. Nothing can be sent after it, and OnMessage is not called any more. If the peer does not answer within
// Handler.CloseTimeout, the connection is ended without. A second call does nothing. Close panics for a code that may not
// be sent.
func (c *Conn) Close(code int, reason string) {
	if !validCode(code) {
		panic("websocket: Close with a code that no close frame has")
	}
	if c.state != open || c.t == nil {
		return
	}
	c.outcome = CloseError{code, reason}
	c.frame(opClose, closePayload(code, reason))
	c.state = closing
	c.t.SetTimeout(c.h.closeTimeout())
}

// Write sends a message; p is free on return. It reports false when the connection is closed or closing. A message for a
// peer that does not keep up waits in memory: look at Full, and go on in OnDrain's function. While a peer does not read,
// it is not read from, so an answer to each message needs no such care.
func (c *Conn) Write(kind Kind, p []byte) bool {
	if c.state != open || c.t == nil {
		return false
	}
	op := opcode(kind)
	if !c.agreed.on || len(p) == 0 {
		c.send(op, false, p)
		return true
	}
	if c.agreed.serverTakes {
		if c.writer == nil {
			c.writer = newDeflater(c.agreed.serverWindow)
		}
		c.send(op, true, c.writer.message(p))
		return true
	}
	c.send(op, true, deflate(nil, p, c.agreed.serverWindow))
	return true
}

// Full reports that the peer does not keep up.
func (c *Conn) Full() bool { return c.full || c.t != nil && c.t.Buffered() > burst }

// OnDrain sets a function that is called each time that the peer keeps up again.
func (c *Conn) OnDrain(f func()) { c.drained = f }

func (c *Conn) frame(op opcode, p []byte) { c.send(op, false, p) }

func (c *Conn) send(op opcode, compressed bool, p []byte) {
	if len(p) < 16<<10 {
		b := appendHead(c.t.Room(len(p)+10), op, compressed, len(p))
		c.t.Commit(append(b, p...))
		return
	}
	c.t.Send(reactor.Lent(appendHead(nil, op, compressed, len(p))), reactor.Lent(p))
}

// ReadConnectionLost implements reactor.HalfCloser.
func (c *Conn) ReadConnectionLost() {
	if c.state < over && len(c.rest) == 0 {
		if c.state == open {
			c.outcome = CloseError{Code: CloseAbnormal}
		}
		c.state = over
	}
	if !c.half {
		c.half = true
		c.t.RegisterProducer(nil)
	}
	c.t.LoseConnection()
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (c *Conn) TimeoutConnection() {
	switch {
	case c.state == open && (c.full || c.waits): // it is not read from; the server's SendTimeout watches whether it reads
		c.t.SetTimeout(c.h.pingInterval())
	case c.state == open && !c.pinged:
		c.pinged = true
		c.frame(opPing, nil)
		c.t.SetTimeout(c.h.pongTimeout())
	case c.state == open:
		c.outcome = CloseError{CloseAbnormal, "no pong"}
		c.t.AbortConnection()
	case c.t.Buffered() > 0:
		c.t.AbortConnection()
	default:
		if !c.half {
			c.half = true
			c.t.RegisterProducer(nil)
		}
		c.t.LoseConnection()
	}
}

// ShutdownBegun implements server.ShutdownHandler.
func (c *Conn) ShutdownBegun() { c.Close(CloseGoingAway, "the server ends") }

// ConnectionLost implements reactor.Protocol.
func (c *Conn) ConnectionLost(error) {
	if c.state == open {
		c.outcome = CloseError{CloseAbnormal, c.outcome.Reason}
	}
	c.state = lost
	c.rest, c.message, c.window, c.writer = nil, nil, nil, nil
	if c.h.OnClose != nil {
		c.h.OnClose(c, c.outcome)
	}
}

// PauseProducing implements reactor.Producer.
func (c *Conn) PauseProducing() {
	c.full = true
	c.t.PauseReading()
}

// ResumeProducing implements reactor.Producer.
func (c *Conn) ResumeProducing() {
	c.full, c.behind, c.unread = false, 0, 0
	c.goOn()
	if c.drained != nil && c.state == open && !c.full {
		c.drained()
	}
}

// StopProducing implements reactor.Producer.
func (c *Conn) StopProducing() {}

// later is d, or def where d is 0. A negative d is none.
func later(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}
