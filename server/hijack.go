package server

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"microhttp/reactor"
)

// A connection as a net.Conn, for code that blocks. It is a protocol on the loop and a buffer in each direction: what was
// received and not read, and what was written and not yet handed to the transport. Both have a bound.

const (
	// hijackHigh is the input at which the connection is no longer read from, and hijackLow where that goes on.
	hijackHigh = 64 << 10
	hijackLow  = hijackHigh / 4

	// hijackPiece is how much of a large Write is handed to the loop at once, and hijackQueue how much may be on its way.
	hijackPiece = 32 << 10
	hijackQueue = 64 << 10
)

// Hijack takes the connection from the server for a [Blocking] handler, and returns it as conn. The server sends nothing
// more on it. unread is what was received after the head of the request and was not used. conn does not return it again. A
// body that was not read is a part of it, as it came. conn is over the Transport, so it works with TLS, too.
//
//   - conn is for any goroutine, also after the handler has returned. The caller must close it.
//   - Read and Write block, until the deadlines. Write returns when the bytes are queued: a peer that does not read slows it.
//   - conn has CloseWrite() error, which half-closes. Close sends what is queued first, within Server.LingerTimeout.
//   - It counts in MaxConns until it is closed. SendTimeout and MaxBufferedBytes hold. A wait for the peer within the
//     handler takes no place of MaxBlocking.
//   - Shutdown does not wait for conn. Close of the server ends it, and so does the end of its loops.
//
// The response is done when the handler returns; what is written to w afterwards goes nowhere, and Err is nil. The error of
// Hijack is a CloseReason if the connection is lost, or ErrTimeout. Hijack panics where a table of what goes with what
// forbids it: outside of Blocking handlers, for one.
//
// What was written to a Stream before is sent first. The Stream is closed, without a last chunk: conn goes on where it ended.
func (w *Response) Hijack() (_ net.Conn, unread []byte, err error) {
	x := w.x
	x.req.open()
	x.must(verbHijack)
	h := &hijacked{c: x.req.conn, job: x.job}
	h.moved.L = &h.mu
	err = x.switchOffLoop(func(c *conn) {
		if c.in != nil {
			unread = append(unread, c.in.B...)
			c.dropInput()
		}
		c.intake, c.output, c.hijacked = intakeSwitched, outputSwitched, true
		c.w.open--
		c.become(h)
		c.w.checkDrained()
	})
	if err != nil {
		return nil, nil, err
	}
	if s := w.stream; s != nil {
		s.closed = true
		s.sink.lost(ErrHijacked) // also for a Write in another goroutine
	}
	return h, unread, nil
}

// hijacked is the connection.
type hijacked struct {
	c             *conn
	t             reactor.Transport
	local, remote net.Addr
	job           *job // of the handler, which may have returned

	mu      sync.Mutex
	moved   sync.Cond // something below has changed
	in      []byte    // what was received and not read
	paused  bool      // reading is
	eof     bool      // nothing follows in
	full    bool      // the peer does not read
	queued  int       // bytes on their way to the loop
	closed  bool
	err     error // the connection is lost
	read    deadline
	written deadline
}

// ConnectionMade implements reactor.Protocol.
func (h *hijacked) ConnectionMade(t reactor.Transport) {
	h.t = t
	i := t.Info()
	h.local, h.remote = netAddr(i.LocalAddr()), netAddr(i.RemoteAddr())
	t.RegisterProducer(h)
}

// netAddr is an address as net has it. A Unix socket has no AddrPort.
func netAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a)
}

// DataReceived implements reactor.Protocol.
func (h *hijacked) DataReceived(p []byte) {
	h.mu.Lock()
	h.in = append(h.in, p...)
	n := len(h.in)
	if n >= hijackHigh && !h.paused {
		h.paused = true
		h.t.PauseReading()
	}
	h.moved.Broadcast()
	h.mu.Unlock()
	h.holds(n)
}

func (h *hijacked) holds(n int) { h.t.(Holder).Holds(n) }

// ReadConnectionLost implements reactor.HalfCloser.
func (h *hijacked) ReadConnectionLost() { h.change(func() { h.eof = true }) }

// PauseProducing implements reactor.Producer.
func (h *hijacked) PauseProducing() { h.change(func() { h.full = true }) }

// ResumeProducing implements reactor.Producer.
func (h *hijacked) ResumeProducing() { h.change(func() { h.full = false }) }

// StopProducing implements reactor.Producer.
func (h *hijacked) StopProducing() {}

// ConnectionLost implements reactor.Protocol.
func (h *hijacked) ConnectionLost(error) {
	h.change(func() {
		h.err, h.eof = h.c.over(), true
	})
}

// change changes the state and wakes the goroutines that wait for it.
func (h *hijacked) change(f func()) {
	h.mu.Lock()
	f()
	h.moved.Broadcast()
	h.mu.Unlock()
}

// wait waits until ready. The caller has h.mu. The wait takes no place from other handlers: see places.go.
func (h *hijacked) wait(ready func() bool) {
	if ready() {
		return
	}
	h.job.giveBack()
	for !ready() {
		h.moved.Wait()
	}
	h.mu.Unlock()
	h.job.takeAgain() // which may take its time: the loop must not wait for it
	h.mu.Lock()
}

// Read implements net.Conn.
func (h *hijacked) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait(func() bool { return len(h.in) > 0 || len(p) == 0 || h.eof || h.closed || h.read.passed })
	switch {
	case h.closed:
		return 0, h.failed("read", net.ErrClosed)
	case h.read.passed:
		return 0, h.failed("read", os.ErrDeadlineExceeded)
	case len(p) == 0:
		return 0, nil
	case len(h.in) == 0 && h.err != nil && h.err != ErrPeerClosed:
		return 0, h.failed("read", h.err)
	case len(h.in) == 0:
		return 0, io.EOF
	}
	n := copy(p, h.in)
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil // an idle connection holds nothing
	}
	if h.paused && len(h.in) <= hijackLow {
		h.paused = false
		h.post(h.resumeReading)
	}
	return n, nil
}

func (h *hijacked) resumeReading() {
	h.mu.Lock()
	n, paused := len(h.in), h.paused
	h.mu.Unlock()
	h.holds(n)
	if !paused {
		h.t.ResumeReading()
	}
}

// Write implements net.Conn.
func (h *hijacked) Write(p []byte) (done int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		h.wait(func() bool {
			return !h.full && h.queued < hijackQueue || h.err != nil || h.closed || h.written.passed
		})
		switch {
		case h.closed:
			return done, h.failed("write", net.ErrClosed)
		case h.err != nil:
			return done, h.failed("write", h.err)
		case h.written.passed:
			return done, h.failed("write", os.ErrDeadlineExceeded)
		case done == len(p):
			return done, nil
		}
		piece := append([]byte(nil), p[done:min(len(p), done+hijackPiece)]...)
		h.queued += len(piece)
		if !h.post(func() { h.send(piece) }) {
			return done, h.failed("write", ErrServerClosed)
		}
		if done += len(piece); done == len(p) {
			return done, nil
		}
	}
}

// send sends a piece, on the loop.
func (h *hijacked) send(piece []byte) {
	h.t.Send(reactor.Given(piece))
	h.change(func() { h.queued -= len(piece) })
}

// Close implements net.Conn.
func (h *hijacked) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return h.failed("close", net.ErrClosed)
	}
	h.closed = true
	h.read.stop()
	h.written.stop()
	h.moved.Broadcast()
	h.post(func() {
		h.t.RegisterProducer(nil)
		h.t.LoseConnection()
	})
	return nil
}

// CloseWrite sends what is queued and half-closes.
func (h *hijacked) CloseWrite() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return h.failed("close", net.ErrClosed)
	case h.err != nil:
		return h.failed("close", h.err)
	}
	h.post(func() {
		h.t.RegisterProducer(nil)
		h.t.CloseWrite()
	})
	return nil
}

func (h *hijacked) post(f func()) bool { return h.c.w.loop.CallFromThread(f) }

// failed is an error as those of package net.
func (h *hijacked) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: h.remote.Network(), Source: h.local, Addr: h.remote, Err: err}
}

// LocalAddr implements net.Conn.
func (h *hijacked) LocalAddr() net.Addr { return h.local }

// RemoteAddr implements net.Conn.
func (h *hijacked) RemoteAddr() net.Addr { return h.remote }

// SetDeadline implements net.Conn.
func (h *hijacked) SetDeadline(t time.Time) error {
	if err := h.SetReadDeadline(t); err != nil {
		return err
	}
	return h.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (h *hijacked) SetReadDeadline(t time.Time) error { return h.setDeadline(&h.read, t) }

// SetWriteDeadline implements net.Conn.
func (h *hijacked) SetWriteDeadline(t time.Time) error { return h.setDeadline(&h.written, t) }

func (h *hijacked) setDeadline(d *deadline, at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return h.failed("set", net.ErrClosed)
	}
	d.set(at, h.change)
	h.moved.Broadcast()
	return nil
}
