package websocket

import "microhttp/server"

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
	c.rest = append(c.rest, p...)
	c.count()
}

// held reports whether input waits.
func (c *Conn) held() bool { return c.full || c.waits || c.paused }

// count tells the server what is held.
func (c *Conn) count() {
	n := cap(c.message) + cap(c.rest) + cap(c.window)
	if c.blocking != nil {
		n += c.blocking.holds()
	}
	if h, ok := c.t.(server.Holder); ok && n != c.counted {
		c.counted = n
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
			err = c.payload(piece)
		case frameEnd:
			err = c.end()
			if at < len(p) && c.state == open && (c.held() || c.t.Buffered() > burst) {
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
		c.outcome = CloseError{Code: CloseAbnormal}
	}
	c.state = over
	c.changed()
	if !c.half {
		c.half = true
		c.t.RegisterProducer(nil)
	}
	c.t.LoseConnection()
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
	switch {
	case c.state != open:
	case c.blocking != nil:
		c.message = nil // it is the reader's
		c.blocking.deliver(c, Kind(c.kind), p)
	case c.h.OnMessage != nil:
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
	if c.ended {
		c.t.LoseConnection()
	}
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
	c.state, c.paused = over, false
	c.message, c.control, c.rest, c.window, c.writer = nil, nil, nil, nil, nil
	c.t.ResumeReading()
	c.t.SetTimeout(c.h.closeTimeout())
	c.changed()
	if !c.half {
		c.half = true
		c.t.RegisterProducer(nil)
		c.t.CloseWrite()
	}
}
