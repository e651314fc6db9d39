package tlslayer

// The layer. Below it is a Transport that carries ciphertext, above it a Protocol that sees
// plaintext. Conn is what the Protocol gets; lower is the same struct as the transport below sees
// it.
//
// The methods of a Conn do not act, as those of a reactor's own connection do not. They note what
// is wanted, and settle derives what has to be done: plaintext to hand over, output to encrypt, a
// half-close, the end. It is called at the end of each callback from below, and else at the end of
// the tick.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"microhttp/reactor"
)

// An Acceptor makes the protocol of a connection whose handshake is complete. Each connection calls
// exactly one of the two methods, once, on its loop.
type Acceptor interface {
	// BuildProtocol is called when the handshake is complete. The protocol that it returns gets
	// ConnectionMade at once. Nil refuses the connection: it ends, with close_notify.
	BuildProtocol(c *Conn) reactor.Protocol

	// HandshakeFailed is called when the handshake will not be completed. The error wraps
	// ErrHandshake, and the reason of the loss if the connection was lost; or it is a
	// *reactor.PanicError, when a function of the tls.Config has panicked. The reactor reports that.
	//
	// The alert has been written by then. What is written to c.Below() goes out after it, before
	// the connection ends. A plaintext answer to a peer that does not speak TLS is sent so: its
	// error is a tls.RecordHeaderError.
	HandshakeFailed(c *Conn, err error)
}

// A Factory is a reactor.Factory used as an Acceptor. It ignores handshakes that fail.
type Factory struct{ reactor.Factory }

// BuildProtocol calls the factory with the address of the peer.
func (f Factory) BuildProtocol(c *Conn) reactor.Protocol {
	return f.Factory.BuildProtocol(c.Info().RemoteAddr())
}

// HandshakeFailed does nothing.
func (f Factory) HandshakeFailed(*Conn, error) {}

// AcceptorFunc is a function used as an Acceptor. It ignores handshakes that fail.
type AcceptorFunc func(c *Conn) reactor.Protocol

// BuildProtocol calls f.
func (f AcceptorFunc) BuildProtocol(c *Conn) reactor.Protocol { return f(c) }

// HandshakeFailed does nothing.
func (f AcceptorFunc) HandshakeFailed(*Conn, error) {}

// Server returns the protocol of one connection whose peer is a TLS client. A factory returns it
// from BuildProtocol, or SetProtocol puts it under a protocol later (STARTTLS).
//
// config needs a certificate, as for tls.Server, and must not be changed any more. One h bounds the
// handshakes of all connections that share it; nil is one of the connection's own, with the
// defaults.
func Server(config *tls.Config, h *Handshakes, a Acceptor) reactor.Protocol {
	return newLayer(config, h, a, false)
}

// Client returns the protocol of one connection whose peer is a TLS server. config needs a
// ServerName or InsecureSkipVerify, as for tls.Client. Renegotiation is refused, whatever config
// says. For the rest see Server.
func Client(config *tls.Config, h *Handshakes, a Acceptor) reactor.Protocol {
	if config != nil && config.Renegotiation != tls.RenegotiateNever {
		config = config.Clone()
		config.Renegotiation = tls.RenegotiateNever
	}
	return newLayer(config, h, a, true)
}

func newLayer(config *tls.Config, h *Handshakes, a Acceptor, client bool) reactor.Protocol {
	if h == nil {
		h = NewHandshakes(HandshakeOptions{})
	}
	c := &Conn{hs: &shaking{of: h, acceptor: a, config: config, client: client}}
	c.hs.c = c
	return (*lower)(c)
}

// A Conn is a TLS connection: the Transport of the protocol above. All methods but ConnectionState are
// for the loop's goroutine only. The comments of reactor.Transport hold, with these additions:
//
//   - Plaintext that is written within one callback is gathered and encrypted together, at its end.
//   - Large pieces that are Given, and files, are encrypted as the peer reads them.
//   - LoseConnection and CloseWrite send close_notify after all that is queued (RFC 8446, section
//     6.1).
//   - Detach returns errors.ErrUnsupported: the peer expects ciphertext.
//   - Buffered, Held and Unacknowledged count the plaintext that waits here and the ciphertext that
//     waits below. Held counts ciphertext that was received and is not a whole record yet, too.
//
// A peer that ends without close_notify has been cut off, perhaps by an attacker. The protocol
// above is then lost with ErrTruncated, after what is queued was sent, and ReadConnectionLost is
// not called.
type Conn struct {
	below   reactor.Transport
	r       *reactor.Reactor
	proto   reactor.Protocol
	loop    *loopBuffers
	e       *engine
	hs      *shaking  // nil when the handshake is over
	out     *output   // pieces that wait; nil if there are none
	tail    []byte    // small writes that are gathered; they come after out
	pending []byte    // ciphertext that is not decrypted yet: a part of a record, or more while reading is paused
	begun   int       // how much of pending belongs to records that crypto/tls has begun to read, and must come first
	counted int       // how much input the reactor was told that we hold
	rare    *uncommon // what few connections have
	marks   marks
	flags   flags

	// computing is set while a step of the handshake is queued or runs, perhaps of one that has failed: the loop must not touch
	// the engine. It is no flag, since ConnectionState looks at it on other goroutines.
	computing bool
}

// uncommon is what most connections never need.
type uncommon struct {
	fate     error // the reason that the protocol is told, in place of what the transport below says
	producer reactor.Producer
	read     *readBack
	drained  int    // how much was read while the connection lingered
	unread   []byte // plaintext that SetProtocol took along and could not hand over
}

// marks are the options of the connection that a layer has to imitate.
type marks struct{ high, low, most int }

type flags uint32

const (
	paused      flags = 1 << iota // PauseReading
	eof                           // the peer has sent close_notify
	cutOff                        // the transport below has ended its reading
	losing                        // LoseConnection: end when all is sent
	loseLater                     // the same, when the producer is unregistered
	halfClosing                   // CloseWrite: half-close when all is sent
	halfLater                     // the same, when the producer is unregistered
	closedWrite                   // close_notify was sent
	halfClosed                    // and the transport below has half-closed
	doomed                        // AbortConnection, or what comes to the same
	gone                          // lost
	touched                       // FlushLater was called
	inside                        // a callback of the protocol runs, and settle follows it
	roomLent                      // by Room, and nothing was written since
	produced                      // a producer is registered
	slowed                        // and was told to pause
	feeding                       // we are the producer of the transport below
	held                          // and were told to pause
	undelivered                   // rare.unread is handed over before anything is decrypted
	inEngine                      // crypto/tls may have plaintext, or records, that it was not asked for
	failed                        // the handshake has failed, and the connection lingers
	answered                      // the peer has ended, and had got all: what comes of our close_notify does not matter
	fileRead                      // a piece of a file is read off the loop
)

const (
	dead   = doomed | gone | failed
	silent = paused | losing | loseLater | dead // DataReceived is not called
	deaf   = silent | eof
	mute   = halfClosing | losing | dead // Write does nothing
)

// errUnfinished is output that a producer still had when the connection had to end.
var errUnfinished = fmt.Errorf("%w: the peer has half-closed while a producer had more to send: %w",
	reactor.ErrConnectionLost, io.ErrShortWrite)

// uncommon returns the part that few connections have.
func (c *Conn) uncommon() *uncommon {
	if c.rare == nil {
		c.rare = &uncommon{}
	}
	return c.rare
}

// ConnectionState returns what the handshake has agreed on. It is the zero value while the
// handshake is under way, and while a step computes of one that has taken too long. Once the
// handshake is complete it may be called from any goroutine.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if c.e == nil || c.computing || c.e.hs != nil && !c.e.hs.over {
		return tls.ConnectionState{} // the handshake holds a lock of crypto/tls
	}
	return c.e.conn.ConnectionState()
}

// Below returns the transport that carries the ciphertext. Once the handshake is complete nothing
// must be written to it.
func (c *Conn) Below() reactor.Transport { return c.below }

// lower is a Conn as a Protocol of the transport below.
type lower Conn

var (
	_ reactor.Transport         = (*Conn)(nil)
	_ reactor.Protocol          = (*lower)(nil)
	_ reactor.HalfCloser        = (*lower)(nil)
	_ reactor.CloseWriteHandler = (*lower)(nil)
	_ reactor.TimeoutHandler    = (*lower)(nil)
	_ reactor.Flusher           = (*lower)(nil)
	_ reactor.MarkedProducer    = (*lower)(nil)
)

// ConnectionMade begins the handshake.
func (l *lower) ConnectionMade(t reactor.Transport) {
	c := (*Conn)(l)
	c.below, c.r = t, t.Reactor()
	c.loop = buffersOf(c.r)
	t.RegisterProducer(nil) // what it produces is not for this peer
	info := t.Info()
	o := info.Socket().Options()
	c.marks = marks{o.HighWater, o.LowWater, o.MaxBuffered}
	c.e = newEngine(c.hs.config, c.hs.client, info.LocalAddr(), info.RemoteAddr())
	c.hs.plain = !c.hs.client && isPlain(c.hs.config)
	c.hs.config = nil
	t.SetTimeout(c.hs.of.timeout)
	c.hs.of.begin(c.hs)
	c.hs.advance()
}

// DataReceived takes ciphertext.
func (l *lower) DataReceived(p []byte) {
	c := (*Conn)(l)
	switch {
	case c.flags&failed != 0:
		c.drain(len(p))
		return
	case c.flags&dead != 0 || c.flags&(losing|loseLater|eof) != 0:
		return
	case c.hs != nil:
		c.keep(p)
		c.hs.advance()
	default:
		c.receive(p)
	}
	c.settle()
}

// ReadConnectionLost is the end of the bytes below. It is not the end of what the peer has to say:
// that is close_notify.
func (l *lower) ReadConnectionLost() {
	c := (*Conn)(l)
	c.flags |= cutOff
	switch {
	case c.flags&failed != 0:
		c.below.LoseConnection()
		return
	case c.hs != nil:
		c.hs.advance()
	}
	c.settle()
}

// WriteConnectionLost says that close_notify has been sent, and the end of the bytes below after
// it.
func (l *lower) WriteConnectionLost() {
	c := (*Conn)(l)
	if c.flags&dead != 0 {
		return
	}
	c.flags |= halfClosed
	if h, ok := c.proto.(reactor.CloseWriteHandler); ok {
		was := c.enter()
		h.WriteConnectionLost()
		c.leave(was)
	}
	c.settle()
}

// TimeoutConnection is the timeout of the handshake, or of the protocol.
func (l *lower) TimeoutConnection() {
	c := (*Conn)(l)
	switch h, ok := c.proto.(reactor.TimeoutHandler); {
	case c.flags&failed != 0:
		c.below.AbortConnection()
		return
	case c.hs != nil:
		c.hs.fail(fmt.Errorf("%w: it took too long: %w", ErrHandshake, reactor.ErrTimeout), false)
		return
	case ok:
		was := c.enter()
		h.TimeoutConnection()
		c.leave(was)
	default:
		c.doom(reactor.ErrTimeout)
	}
	c.settle()
}

// ConnectionLost is the end.
func (l *lower) ConnectionLost(reason error) {
	c := (*Conn)(l)
	c.flags |= gone
	if hs := c.hs; hs != nil {
		c.hs = nil
		defer hs.lost(reason) // last, since it may panic
	}
	reason = c.reason(reason)
	if c.proto != nil {
		defer c.proto.ConnectionLost(reason) // also when one of the callbacks before panics
	}
	c.freeInput()
	c.countInput()
	defer c.stopProducing()
	c.dropOutput()
}

// reason returns what the protocol is told, when the transport below says that.
func (c *Conn) reason(below error) error {
	if c.flags&answered != 0 && errors.Is(below, reactor.ErrConnectionLost) {
		below = reactor.ErrConnectionDone
	}
	if c.rare == nil || c.rare.fate == nil {
		return below
	}
	asked := reactor.ErrConnectionDone
	if c.flags&doomed != 0 {
		asked = reactor.ErrAborted
	}
	if c.flags&failed != 0 || errors.Is(below, asked) {
		return c.rare.fate
	}
	return below
}

// Flush is settle at the end of a tick.
func (l *lower) Flush() {
	c := (*Conn)(l)
	c.flags &^= touched
	if c.flags&gone == 0 {
		c.settle()
	}
}

// touch has settle called: after the callback of the protocol that runs, or at the end of the tick.
func (c *Conn) touch() {
	if c.flags&(touched|inside|gone) == 0 && c.below != nil {
		c.flags |= touched
		c.r.FlushLater(c.below, (*lower)(c))
	}
}

// enter and leave stand around each callback of the protocol, after which settle follows.
func (c *Conn) enter() (was flags) {
	was = c.flags & inside
	c.flags |= inside
	return was
}

func (c *Conn) leave(was flags) { c.flags = c.flags&^inside | was }

// settle does what the state of the connection calls for.
func (c *Conn) settle() {
	c.flags &^= roomLent
	if c.hs != nil {
		if c.hs.settle(); c.hs != nil {
			c.countInput()
			return
		}
	}
	c.deliver()
	c.countInput()
	if c.flags&dead != 0 {
		return
	}
	c.goOnWithFile()
	c.pump()
	if c.flags&dead != 0 {
		return
	}
	c.finish()
	c.tellProducer()
	c.feed()
}

// finish does what comes after all output, and ends the connection if it is over.
func (c *Conn) finish() {
	if !c.sentAll() {
		return
	}
	if c.flags&(losing|halfClosing) != 0 && c.flags&closedWrite == 0 {
		c.flags |= closedWrite
		_ = c.e.conn.CloseWrite() // memory takes it
		c.sendAlerts()
		if c.flags&losing == 0 {
			c.unfeed()
			c.below.CloseWrite()
		}
	}
	switch {
	case c.flags&losing != 0, c.flags&(halfClosed|eof) == halfClosed|eof && !c.undelivered():
		c.unfeed()
		c.below.LoseConnection()
	}
}

// peerEnded is the peer's close_notify, or, when the bytes end without it, the lack of it.
func (c *Conn) peerEnded(truncated bool) {
	c.flags |= eof
	c.below.PauseReading() // whatever follows close_notify is ignored (RFC 8446, section 6.1)
	h, ok := c.proto.(reactor.HalfCloser)
	switch {
	case !truncated && ok:
		was := c.enter()
		h.ReadConnectionLost()
		c.leave(was)
	case c.flags&slowed != 0:
		c.doom(errUnfinished)
	default:
		if truncated {
			c.uncommon().fate = ErrTruncated
		}
		if c.sentAll() && c.below.Buffered() == 0 {
			c.flags |= answered
		}
		c.lose()
	}
}

// doom ends the connection at once; the protocol is lost with reason.
func (c *Conn) doom(reason error) {
	if c.flags&(doomed|gone) != 0 {
		return
	}
	c.flags |= doomed
	c.uncommon().fate = reason
	if c.below != nil {
		c.below.AbortConnection()
	}
}
