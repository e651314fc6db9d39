package server

import (
	"errors"
	"fmt"

	"microhttp/parser"
	"microhttp/reactor"
)

// From HTTP to another protocol, on the same connection (RFC 9110, 7.8). Upgrade checks the request and notes the
// protocol. The connection switches when the answer is given, so that OnHead, OnDone and a panic of the handler mean what
// they mean for any answer. What follows from there is in shell.go.

// upgrade is the protocol that a connection switches to.
type upgrade struct {
	token string
	p     reactor.Protocol
}

// ErrNoUpgrade says that a request does not ask for the protocol that Upgrade was called with, or cannot switch to it.
// Upgrade returns it wrapped with the reason.
var ErrNoUpgrade = errors.New("server: the connection is not upgraded")

var (
	errNotAsked  = fmt.Errorf("%w: the request does not ask for it in Upgrade and Connection of HTTP/1.1", ErrNoUpgrade)
	errNotGet    = fmt.Errorf("%w: the request is no GET", ErrNoUpgrade)
	errHasBody   = fmt.Errorf("%w: the request has a body", ErrNoUpgrade)
	errNoToken   = fmt.Errorf("%w: the request does not name the protocol in Upgrade", ErrNoUpgrade)
	errForbidden = fmt.Errorf("%w: the server has begun its answer", ErrNoUpgrade)
)

// Upgrade answers with 101 (Switching Protocols) and gives the connection to p (RFC 9110, 7.8). The request must be a GET of
// HTTP/1.1 without a body, with token in Upgrade and "upgrade" in Connection. Otherwise Upgrade returns an error that wraps
// ErrNoUpgrade and changes nothing: the handler then answers as usual.
//
// The connection switches when the handler has returned. In a Blocking handler it switches within Upgrade. The fields that
// were set on w are sent with the 101, and functions of OnHead are called before. If the status is changed after Upgrade, by
// SetStatus, Error or OnPanic, the connection is not upgraded and w is sent as usual. The response is done when the 101 has
// been handed over; its Status is 101.
//
// p gets every byte that followed the request. All its methods are called on the loop. From here on:
//
//   - The time-outs of requests and of idle connections end. SetTimeout of the Transport is p's.
//   - SendTimeout, MinDataRate for output, MaxBufferedBytes, MaxConns and the close reasons hold as before.
//   - The Transport of p is a Holder. What p keeps in memory counts when p says so.
//   - Shutdown calls a p that is a ShutdownHandler, and waits for p to end the connection. For any other p it ends the
//     connection after a short grace. When the context of Shutdown ends, the connection is aborted.
//   - p may be a reactor.HalfCloser, a reactor.CloseWriteHandler and a reactor.TimeoutHandler. It may call SetProtocol.
//
// Upgrade panics for a token that is none, for a nil p, and where a table of what goes with what forbids it.
func (w *Response) Upgrade(token string, p reactor.Protocol) error {
	x := w.x
	x.req.open()
	mustBeFieldName(token)
	if p == nil {
		panic("server: Upgrade to a nil Protocol")
	}
	x.must(verbUpgrade)
	if err := x.req.asksFor(token); err != nil {
		return err
	}
	w.DelHeader("Upgrade")
	w.DelHeader("Connection")
	w.DelHeader("Content-Length")
	u := &upgrade{token, p}
	if x.mode == modeBlocking {
		return x.upgradeOffLoop(u)
	}
	x.mode, x.upgrade = modeUpgraded, u
	w.status = 101
	return nil
}

// AwaitPeer calls wait, which may block until the peer of the connection has read, sent or left. It is for a Blocking handler
// that has upgraded its connection: meanwhile the handler takes no place of MaxBlocking, as in Read of a hijacked connection.
// AwaitPeer returns when wait has returned and the handler has a place again. Any goroutine of the handler may call it, until
// the handler returns. It panics outside of Blocking handlers.
func (w *Response) AwaitPeer(wait func()) {
	if w.x.mode != modeUpgraded || !w.x.detached {
		panic("server: AwaitPeer is for Blocking handlers that have upgraded their connection")
	}
	w.x.job.giveBack()
	defer w.x.job.takeAgain()
	wait()
}

// asksFor says why a request is no upgrade to a protocol.
func (r *Request) asksFor(token string) error {
	h := &r.head
	switch {
	case !h.Upgrade:
		return errNotAsked
	case h.MethodID != parser.MethodGet:
		return errNotGet
	case h.HasBody():
		return errHasBody
	case !r.lists("Upgrade", token):
		return errNoToken
	}
	return nil
}

// lists reports whether the list of a field has a token, over all lines.
func (r *Request) lists(name, token string) bool {
	for i := range r.head.Fields {
		f := &r.head.Fields[i]
		if !parser.EqualFold(f.Name.In(r.raw), name) {
			continue
		}
		for member := range parser.Tokens(f.Value.In(r.raw)) {
			if parser.EqualFold(member, token) {
				return true
			}
		}
	}
	return false
}

// switches reports whether the answer that the handler has made is an upgrade. If it is, the connection stands between
// the two protocols, until settle hands it over.
func (c *conn) switches(x *exchange) bool {
	if x.res.status != 101 { // it was taken back
		x.mode, x.upgrade = modeInline, nil
		return false
	}
	c.intake, c.output = intakeSwitched, outputSwitched
	return true
}

// handOver sends the 101 and gives the connection, and what came after the request, to the new protocol.
func (c *conn) handOver() {
	x := c.cur
	u := x.upgrade
	c.cur = nil
	c.writeSwitching(x, u.token)
	x.finish(nil)
	c.w.release(x)
	c.become(u.p)
}

// writeSwitching writes the head of the 101. A peer that awaits 100 (Continue) gets that first, body or not (RFC 9110, 7.8).
func (c *conn) writeSwitching(x *exchange, token string) {
	w := &x.res
	b := c.t.Room(0)
	if x.req.lists("Expect", "100-continue") {
		b = append(b, continueLine...)
	}
	if w.flags&ownDate == 0 {
		b = c.w.appendStart(b, 101, false)
	} else {
		b = append(b, statusLines[101]...)
	}
	b = append(b, "Connection: upgrade\r\n"...)
	b = appendField(b, "Upgrade", token)
	b = append(b, w.fields.b...)
	c.t.Commit(append(b, "\r\n"...))
	x.given = true
}

// become makes p the protocol of the connection.
func (c *conn) become(p reactor.Protocol) {
	var unread []byte
	in := c.in
	if c.in = nil; in != nil {
		unread = in.B
	}
	c.recount()
	c.phase, c.ends, c.behind = phaseServed, 0, 0
	c.t.SetTimeout(0)
	c.t.RegisterProducer(nil) // the place is the protocol's
	if c.paused {
		c.paused = false
		c.t.ResumeReading()
	}
	sh := newShell(c, p)
	sh.base().deliver(c.t, sh, unread, c.eof)
	if in != nil {
		inputs.Put(in)
	}
}

// upgradeOffLoop upgrades within a Blocking handler, which waits for the loop.
func (x *exchange) upgradeOffLoop(u *upgrade) error {
	w := &x.res
	w.status = 101
	if len(w.before) > 0 {
		decideHead(w, &x.req)
		if w.status != 101 {
			return errForbidden
		}
	}
	return x.switchOffLoop(func(c *conn) {
		c.writeSwitching(x, u.token)
		c.intake, c.output = intakeSwitched, outputSwitched
		c.become(u.p)
	})
}

// switchOffLoop takes the connection away from HTTP for a Blocking handler: do does so, on the loop. What the handler has
// written to a Stream has been fetched before.
func (x *exchange) switchOffLoop(do func(c *conn)) error {
	c := x.req.conn
	result := make(chan error, 1)
	posted := c.w.loop.CallFromThread(func() {
		streams := c.output == outputStreaming && x.fate.Load() == fateTaken
		if c.cur != x || !streams && (c.output != outputOwed || !x.leave(ErrHijacked)) {
			if c.cur == x {
				result <- c.over()
			} else {
				result <- x.lostTo()
			}
			return
		}
		defer func() { result <- nil }()
		x.mode = modeUpgraded
		x.endBody(ErrHijacked)
		c.cur = nil
		do(c)
	})
	if !posted {
		return ErrServerClosed
	}
	return <-result
}
