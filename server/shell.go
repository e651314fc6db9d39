package server

import (
	"microhttp/reactor"
)

// What is left of the server around a connection that speaks another protocol. The conn stays in the ring of its loop, so
// that Shutdown, MaxBufferedBytes and the counts find it. A shell stands between the transport and the protocol: it is the
// Protocol of the one and the Transport of the other.
//
// An optional interface that the new protocol lacks must be missing in the shell, too, since the transport then has a
// behaviour of its own. That matters for HalfCloser alone, so there are two kinds of shell. The other two are imitated.

// ShutdownHandler is a protocol that was upgraded to and wants to end its connection in its own way when the server shuts
// down.
type ShutdownHandler interface {
	// ShutdownBegun is called on the loop, once, when Shutdown begins, or after ConnectionMade if it has begun already.
	// Shutdown then waits until the protocol ends the connection, or the context of Shutdown ends.
	ShutdownBegun()
}

// Holder is implemented by the Transport of a protocol that a Response was upgraded to. Holds says how many bytes of memory
// the protocol keeps for this connection now: a message that is still arriving, a queue. They count for MaxBufferedBytes, in
// place of what was said before. It is for the loop.
type Holder interface{ Holds(n int) }

// shell is the shell of one connection.
type shell struct {
	reactor.Transport
	c *conn
	p reactor.Protocol

	ended    bool // the peer has half-closed before the protocol had the bytes that came before that
	timedOut bool // SetTimeout has expired, and the protocol is no TimeoutHandler
	told     bool // of Shutdown
}

// halfShell is the shell of a protocol that is a HalfCloser.
type halfShell struct{ shell }

// A shelled is a shell of either kind.
type shelled interface {
	reactor.Protocol
	base() *shell
}

func (s *shell) base() *shell { return s }

func newShell(c *conn, p reactor.Protocol) shelled {
	if _, ok := p.(reactor.HalfCloser); ok {
		return &halfShell{shell{c: c, p: p}}
	}
	return &shell{c: c, p: p}
}

// deliver makes sh, whose base is s, the protocol of t. eof says that the peer has half-closed, which t tells once only.
func (s *shell) deliver(t reactor.Transport, sh shelled, unread []byte, eof bool) {
	s.ended = eof
	t.SetProtocol(sh, unread)
	if s.ended && len(unread) == 0 {
		s.passEnd()
	}
}

// ConnectionMade implements reactor.Protocol.
func (s *shell) ConnectionMade(t reactor.Transport) {
	s.Transport = t
	s.c.t = s
	s.p.ConnectionMade(s)
	if s.c.w.closing {
		s.shutdown()
	}
}

// DataReceived implements reactor.Protocol.
func (s *shell) DataReceived(p []byte) {
	s.p.DataReceived(p)
	s.passEnd()
}

// passEnd passes on that the peer had half-closed before the connection switched.
func (s *shell) passEnd() {
	if !s.ended {
		return
	}
	s.ended = false
	if h, ok := s.p.(reactor.HalfCloser); ok {
		h.ReadConnectionLost()
		return
	}
	s.Transport.RegisterProducer(nil)
	s.Transport.LoseConnection()
}

// ReadConnectionLost implements reactor.HalfCloser.
func (s *halfShell) ReadConnectionLost() {
	s.c.eof = true
	s.p.(reactor.HalfCloser).ReadConnectionLost()
}

// WriteConnectionLost implements reactor.CloseWriteHandler.
func (s *shell) WriteConnectionLost() {
	if h, ok := s.p.(reactor.CloseWriteHandler); ok {
		h.WriteConnectionLost()
	}
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (s *shell) TimeoutConnection() {
	if h, ok := s.p.(reactor.TimeoutHandler); ok {
		h.TimeoutConnection()
		return
	}
	s.timedOut = true
	s.c.abortFor(ErrIdleTimeout)
}

// ConnectionLost implements reactor.Protocol.
func (s *shell) ConnectionLost(reason error) {
	s.c.ConnectionLost(reason)
	if s.timedOut && reason == reactor.ErrAborted {
		reason = reactor.ErrTimeout
	}
	s.p.ConnectionLost(reason)
}

// Write implements reactor.Transport. What is written counts for MaxBufferedBytes at once.
func (s *shell) Write(p []byte) {
	s.Transport.Write(p)
	s.c.w.checkHeld()
}

// Commit implements reactor.Transport.
func (s *shell) Commit(b []byte) {
	s.Transport.Commit(b)
	s.c.w.checkHeld()
}

// Send implements reactor.Transport.
func (s *shell) Send(pieces ...reactor.Piece) {
	s.Transport.Send(pieces...)
	s.c.w.checkHeld()
}

// SetProtocol implements reactor.Transport: the next protocol gets a shell, too.
func (s *shell) SetProtocol(p reactor.Protocol, unread []byte) {
	if s.c.output == outputEnded {
		return
	}
	sh := newShell(s.c, p)
	sh.base().deliver(s.Transport, sh, unread, s.c.eof)
}

// Holds implements Holder.
func (s *shell) Holds(n int) {
	c := s.c
	if c.output != outputSwitched {
		return
	}
	c.w.held += n - c.held
	c.held = n
	c.w.checkHeld()
}

// shutdown has the protocol end the connection, or ends it when the peer has had its grace.
func (s *shell) shutdown() {
	c := s.c
	if s.told || c.output != outputSwitched {
		return
	}
	s.told = true
	if h, ok := s.p.(ShutdownHandler); ok {
		h.ShutdownBegun()
		return
	}
	if c.hijacked {
		return
	}
	c.w.loop.CallLater(shutdownGrace, func() {
		if c.output == outputSwitched {
			c.leave()
		}
	})
}
