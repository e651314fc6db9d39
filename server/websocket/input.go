package websocket

import (
	"bytes"

	"microhttp/server"
)

// What the peer sends, from bytes to messages. Input that cannot be dealt with now waits in Conn.rest, while the connection is
// not read from: the peer does not read, a read has caused a burst of output, or the program has paused it.

// DataReceived implements reactor.Protocol.
func (c *Conn) DataReceived(p []byte) {
	if c.state == over || c.closes {
		return
	}
	if c.state == open {
		c.pinged = false
		c.t.SetTimeout(c.h.pingInterval())
	}
	if len(c.rest) == 0 && !c.held() {
		p = p[c.consume(p):]
	}
	if len(p) > 0 {
		c.own().rest = append(c.rest, p...)
	}
	c.count()
	c.tidy()
}

// held reports whether input waits.
func (c *Conn) held() bool { return c.full || c.waits || c.paused }

// count tells the server what is held.
func (c *Conn) count() {
	n := cap(c.message) + cap(c.rest) + cap(c.window) + cap(c.context)
	if c.blocking != nil {
		n += c.blocking.holds()
	}
	if n == c.counted {
		return
	}
	if h, ok := c.t.(server.Holder); ok {
		c.own().counted = n
		h.Holds(n)
	}
}

// consume takes frames from p, and returns how much is done with.
func (c *Conn) consume(p []byte) int {
	c.consuming = true
	n := c.frames(p)
	c.consuming = false
	return n
}

func (c *Conn) frames(p []byte) int {
	var lent []byte // the payload of a message or of a control frame, if it lies in p whole
	at := 0
	for c.state < over && !c.closes {
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
			if c.dec.left == 0 && c.lies() {
				err, lent = c.check(piece), piece // and the end of the frame follows at once
				break
			}
			err = c.payload(piece)
		case frameEnd:
			err = c.end(lent)
			lent = nil
			if err == nil && at < len(p) && c.state == open && (c.held() || c.t.Buffered() > burst) {
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

// lies reports whether the piece at hand is all of a message or of a control frame, if it ends its frame.
func (c *Conn) lies() bool {
	if c.dec.op.control() {
		return len(c.control) == 0
	}
	return c.dec.fin && c.dec.op != opContinuation && len(c.message) == 0
}

// hold stops the input until the output has gone, or until Resume.
func (c *Conn) hold() {
	c.t.PauseReading()
	if !c.held() {
		c.waits = true
		c.t.Reactor().CallFromThread(func() {
			c.waits = false
			c.goOn()
		})
	}
}

// goOn takes up input that waited.
func (c *Conn) goOn() {
	if c.state == lost || c.held() {
		return
	}
	if rest := c.rest; len(rest) > 0 && !c.consuming {
		n := c.consume(rest)
		if c.rest = nil; n < len(rest) {
			c.rest = rest[:copy(rest, rest[n:])]
		}
		c.count()
		c.tidy()
	}
	switch {
	case c.state == lost || c.held():
	case c.ended && len(c.rest) == 0 && !c.closes:
		c.readEnd()
	default:
		c.t.ResumeReading()
	}
}

// ReadConnectionLost implements reactor.HalfCloser.
func (c *Conn) ReadConnectionLost() {
	c.ended = true
	if len(c.rest) == 0 && !c.closes {
		c.readEnd()
	}
}

// readEnd is the end of the peer's bytes. Within a message it is the end of that, too.
func (c *Conn) readEnd() {
	if c.state == open {
		c.own().outcome = CloseError{Code: CloseAbnormal}
	}
	c.state = over
	c.changed()
	c.retire()
	c.t.LoseConnection()
}

// begin takes a frame's head.
func (c *Conn) begin() *CloseError {
	d := &c.dec
	if d.op.control() {
		if len(c.control) > 0 {
			c.control = nil
		}
		return nil
	}
	if d.op != opContinuation {
		c.kind, c.squeezed, c.text = d.op, d.compressed, utf8Check{}
		if len(c.message) > 0 {
			c.message = c.message[:0]
		}
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
		c.own().control = append(c.control, p...)
		return nil
	}
	err := c.check(p)
	c.own().message = append(c.message, p...)
	return err
}

// check checks a piece of text.
func (c *Conn) check(p []byte) *CloseError {
	if c.kind == opText && !c.squeezed && !c.dec.op.control() && !c.text.write(p) {
		return notUTF8
	}
	return nil
}

var notUTF8 = &CloseError{CloseInvalid, "text is not UTF-8"}

// end takes the end of a frame. lent is its payload if that was not kept.
func (c *Conn) end(lent []byte) *CloseError {
	control := c.control
	if lent != nil {
		control = lent
	}
	switch c.dec.op {
	case opPing:
		if c.state == open && c.t.Buffered() <= burst { // only the latest needs an answer (5.5.3), and this peer does not read
			c.frame(opPong, control)
		}
		return nil
	case opPong:
		return nil
	case opClose:
		return c.closed(control)
	}
	if !c.dec.fin {
		return nil
	}
	p, err := c.message, (*CloseError)(nil)
	if lent != nil {
		p = lent
	}
	if c.squeezed {
		room := min(max(4*len(p), 512), c.h.maxMessage()+1)
		if p, err = inflate(make([]byte, 0, room), p, c.window, c.h.maxMessage()); err != nil {
			return err
		}
		if c.agreed.clientTakes {
			c.own().window = keepWindow(c.window, p, maxWindow)
		}
		if c.kind == opText && !c.text.write(p) {
			return notUTF8
		}
	}
	if c.kind == opText && !c.text.whole() {
		return notUTF8
	}
	switch {
	case c.state != open:
	case c.blocking != nil:
		c.dropMessage() // it is the reader's
		if lent != nil && !c.squeezed {
			p = bytes.Clone(p)
		}
		c.blocking.deliver(c, Kind(c.kind), p)
	case c.h.OnMessage != nil:
		c.h.OnMessage(c, Kind(c.kind), p)
	}
	if cap(c.message) > 4<<10 || c.state == open && len(c.rest) == 0 {
		c.dropMessage() // an idle connection holds little
	}
	return nil
}

func (c *Conn) dropMessage() {
	if c.message != nil {
		c.message = nil
	}
}

// closed takes the peer's close frame.
func (c *Conn) closed(p []byte) *CloseError {
	got, err := parseClose(p)
	if err != nil {
		return err
	}
	c.own().outcome = got
	if c.state == open && c.blocking != nil && c.blocking.closes() {
		c.closes = true
		c.t.SetTimeout(c.h.closeTimeout())
		return nil
	}
	c.answerClose()
	return nil
}

// answerClose answers the peer's close frame, if ours was not sent before.
func (c *Conn) answerClose() {
	if c.state == open {
		c.frame(opClose, closePayload(c.outcome.Code, ""))
	}
	c.concluded()
}

// concluded is the end of the close handshake.
func (c *Conn) concluded() {
	c.closes, c.shook = false, true
	c.finish()
}

// fail fails the connection (7.1.7): a close frame, and the end.
func (c *Conn) fail(err *CloseError) {
	c.own().outcome = *err
	if c.state == open {
		c.frame(opClose, closePayload(err.Code, err.Reason))
	}
	c.finish()
}

// finish ends our side. What the peer still sends is read and thrown away, so that no reset overtakes the close frame.
func (c *Conn) finish() {
	c.state, c.paused = over, false
	if c.kept != &nothing {
		c.kept = &kept{outcome: c.outcome, counted: c.counted}
	}
	c.t.ResumeReading()
	c.t.SetTimeout(c.h.closeTimeout())
	c.changed()
	if !c.half {
		c.retire()
		c.t.CloseWrite()
	}
	if c.ended {
		c.t.LoseConnection()
	}
}
