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

	h *Handler
	t reactor.Transport // nil until it is open
	*kept
	blocking *BlockingConn // nil without Handler.Accept
	dec      decoder
	agreed   agreement
	text     utf8Check
	kind     opcode // of the message that comes
	squeezed bool   // it is compressed
	protocol uint16 // 1 and the index in Handler.Subprotocols, or 0

	state     state
	produces  bool // it is registered as a producer
	full      bool // the peer does not keep up
	waits     bool // rest is kept until the loop has gone round
	paused    bool // by Pause
	consuming bool
	ended     bool // the peer has half-closed
	pinged    bool // a pong is awaited
	half      bool // our end is closed
	closes    bool // the peer's close frame has come, and is answered when the handler of the blocking form reads on
	shook     bool // close frames of both were sent
}

// kept is what an idle connection does not have. Until something of it is set, Conn.kept is nothing, which is only read.
type kept struct {
	message []byte // what has come of a message
	control []byte // what has come of a control frame
	rest    []byte // input that waits until the peer reads
	window  []byte // what the peer's next message refers to
	context []byte // what our next message refers to
	drained func()
	behind  int // bytes sent while full
	unread  int // messages sent while full
	counted int // what the server was told last that is kept
	outcome CloseError
}

var nothing kept

// own returns what c keeps, to be changed.
func (c *Conn) own() *kept {
	if c.kept == &nothing {
		c.kept = &kept{}
	}
	return c.kept
}

// tidy lets go of what is kept when that is nothing.
func (c *Conn) tidy() {
	k := c.kept
	if k == &nothing || k.message != nil || k.rest != nil || k.window != nil || k.context != nil || len(k.control) > 0 {
		return
	}
	if k.drained == nil && k.unread == 0 && k.counted == 0 && k.outcome == (CloseError{}) {
		c.kept = &nothing
	}
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

// watched is the output that may wait before the transport is asked to tell when it is too much.
const watched = 8 << 10

// burst is how much output one read may cause before the rest of its input waits for the flush.
const burst = 256 << 10

// Subprotocol returns what was agreed on, or "".
func (c *Conn) Subprotocol() string {
	if c.protocol == 0 {
		return ""
	}
	return c.h.Subprotocols[c.protocol-1]
}

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
	t.SetTimeout(c.h.pingInterval())
	if c.h.OnOpen != nil && c.blocking == nil {
		c.h.OnOpen(c)
	}
}

// Close begins the close handshake with a code of 1000 or above, as a close frame may have, and a reason of at most 123
// bytes. Nothing can be sent after it, and OnMessage is not called any more. If the peer does not answer within
// Handler.CloseTimeout, the connection is ended without. A second call does nothing. Close panics for a code that may not
// be sent.
func (c *Conn) Close(code int, reason string) {
	mustBeCode(code)
	if c.state != open || c.t == nil {
		return
	}
	c.frame(opClose, closePayload(code, reason))
	if c.closes {
		c.concluded()
		return
	}
	c.own().outcome, c.state = CloseError{code, reason}, closing
	c.t.SetTimeout(c.h.closeTimeout())
	c.Resume() // for the peer's close frame
	c.changed()
}

// Pause stops OnMessage at once, until Resume or Close. The connection is not read from meanwhile, so that TCP slows the peer.
// Pings get no answer then, and none are sent.
func (c *Conn) Pause() {
	if c.state == open && c.t != nil && !c.paused {
		c.paused = true
		c.t.PauseReading()
	}
}

// Resume undoes Pause.
func (c *Conn) Resume() {
	if c.paused {
		c.paused = false
		c.goOn()
	}
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
	c.send(op, true, deflate(nil, p, c.agreed.serverWindow, c.context))
	c.keepContext(p)
	return true
}

// keepContext keeps what was sent compressed, for messages that refer to it.
func (c *Conn) keepContext(p []byte) {
	if c.agreed.serverTakes {
		c.own().context = keepWindow(c.context, p, sentWindow)
	}
}

// Full reports that the peer does not keep up.
func (c *Conn) Full() bool { return c.full || c.t != nil && c.t.Buffered() > burst }

// OnDrain sets a function that is called each time that the peer keeps up again.
func (c *Conn) OnDrain(f func()) { c.own().drained = f }

func (c *Conn) frame(op opcode, p []byte) { c.send(op, false, p) }

func (c *Conn) send(op opcode, compressed bool, p []byte) {
	if len(p) < 16<<10 {
		b := appendHead(c.t.Room(len(p)+10), op, compressed, len(p))
		c.t.Commit(append(b, p...))
	} else {
		c.t.Send(reactor.Lent(appendHead(nil, op, compressed, len(p))), reactor.Lent(p))
	}
	c.sent()
}

// sent follows when something was written. It registers a producer, which costs memory, once there is that much to send.
func (c *Conn) sent() {
	if !c.produces && !c.half && c.t.Buffered() >= watched {
		c.produces = true
		c.t.RegisterProducer(c)
	}
}

// retire is for a connection whose output is complete.
func (c *Conn) retire() {
	if c.half = true; c.produces {
		c.produces = false
		c.t.RegisterProducer(nil)
	}
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (c *Conn) TimeoutConnection() {
	switch {
	case c.closes:
		c.answerClose()
	case c.state == open && c.held(): // it is not read from; the server's SendTimeout watches whether it reads
		c.t.SetTimeout(c.h.pingInterval())
	case c.state == open && !c.pinged:
		c.pinged = true
		c.frame(opPing, nil)
		c.t.SetTimeout(c.h.pongTimeout())
	case c.state == open:
		c.own().outcome = CloseError{CloseAbnormal, "no pong"}
		c.t.AbortConnection()
	case c.t.Buffered() > 0:
		c.t.AbortConnection()
	default:
		c.retire()
		c.t.LoseConnection()
	}
}

// ShutdownBegun implements server.ShutdownHandler.
func (c *Conn) ShutdownBegun() { c.Close(CloseGoingAway, "the server ends") }

// ConnectionLost implements reactor.Protocol.
func (c *Conn) ConnectionLost(error) {
	if c.state == open {
		c.own().outcome = CloseError{CloseAbnormal, c.outcome.Reason}
	}
	c.state = lost
	c.changed()
	if c.h.OnClose != nil {
		c.h.OnClose(c, c.outcome)
	}
	c.kept = &nothing
}

// PauseProducing implements reactor.Producer.
func (c *Conn) PauseProducing() {
	c.full = true
	c.t.PauseReading()
	c.changed()
}

// ResumeProducing implements reactor.Producer.
func (c *Conn) ResumeProducing() {
	c.full = false
	if c.unread > 0 {
		c.behind, c.unread = 0, 0
	}
	c.changed()
	c.goOn()
	if c.drained != nil && c.state == open && !c.full {
		c.drained()
	}
}

// changed tells the blocking form how things stand.
func (c *Conn) changed() {
	if c.blocking != nil {
		c.blocking.observe(c)
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
