package tlslayer

// Input. Ciphertext comes in pieces of any length; crypto/tls gets whole records only, straight
// from where the transport below has read them. What is kept is less than one record, or, while
// reading is paused, what had been read by then. The plaintext goes into one buffer of the loop and
// is lent to the protocol.

import (
	"bytes"
	"fmt"
	"io"

	"microhttp/reactor"
)

// keep adds ciphertext to what is pending.
func (c *Conn) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.pending == nil {
		c.pending = c.loop.small(len(p))
	}
	c.pending = append(c.pending, p...)
}

// receive decrypts what it can of p and keeps the rest.
func (c *Conn) receive(p []byte) {
	if c.flags&(silent|undelivered|inEngine) != 0 {
		c.keep(p)
		return // settle goes on with it
	}
	for len(c.pending) > 0 {
		if n := missing(c.pending[c.begun:]); n > len(p) {
			c.keep(p)
			return
		} else if n > 0 {
			c.pending = append(c.pending, p[:n]...)
			p = p[n:]
			continue // a header may have become whole, and says how long its record is
		}
		if c.decryptPending(); len(c.pending) > 0 || c.flags&deaf != 0 {
			if c.flags&eof == 0 {
				c.keep(p)
			}
			return
		}
	}
	k := whole(p)
	if k > 0 {
		rest := c.decrypt(p[:k])
		if c.flags&eof != 0 {
			return
		}
		c.keep(rest)
		c.begun = len(rest)
	}
	c.keep(p[k:])
}

// missing returns how many bytes more are needed before anything about the last record of p is
// known: the rest of its header, or of its body. It is 0 when p ends where a record ends, or is no
// record.
func missing(p []byte) int {
	p = p[whole(p):]
	switch n := nextRecord(p); {
	case len(p) == 0:
		return 0
	case n == 0:
		return recordHeader - len(p)
	default:
		return n - len(p)
	}
}

// decryptPending decrypts the whole records that are pending.
func (c *Conn) decryptPending() {
	p, k := c.pending, c.ready()
	c.pending, c.begun = nil, 0
	rest := c.decrypt(p[:k])
	n := copy(p, rest)
	n += copy(p[n:], p[k:])
	if c.flags&(eof|dead) != 0 || n == 0 {
		c.loop.giveSmall(p)
		return
	}
	c.pending, c.begun = p[:n], len(rest)
}

// ready is how much of what is pending can be handed to crypto/tls. It may have taken a part of the
// first record already.
func (c *Conn) ready() int { return c.begun + whole(c.pending[c.begun:]) }

// deliver hands over what has waited: because reading was paused, or because it came along with the
// handshake.
func (c *Conn) deliver() {
	if c.flags&undelivered != 0 && c.flags&silent == 0 {
		c.handOver()
	}
	if c.flags&(deaf|undelivered) == 0 && (c.flags&inEngine != 0 || c.ready() > 0) {
		c.decryptPending()
	}
	if c.flags&cutOff != 0 && c.flags&(deaf|undelivered|inEngine) == 0 {
		c.freeInput()
		c.peerEnded(true)
	}
}

// decrypt hands over the plaintext of p, which holds whole records. What it returns is to be tried
// again when reading goes on: the protocol has paused it.
func (c *Conn) decrypt(p []byte) (rest []byte) {
	for {
		buf := c.loop.takePlain()
		n, rest, err := c.read(buf, p)
		p = rest
		c.flags &^= inEngine
		if err == nil {
			c.flags |= inEngine // the buffer was full before crypto/tls had no more
		}
		if len(c.e.mem.out) > 0 {
			c.sendAlerts()
		}
		if n > 0 {
			was := c.enter()
			c.proto.DataReceived(buf[:n])
			c.leave(was)
		}
		c.loop.givePlain(buf)
		switch {
		case c.flags&dead != 0:
			return nil
		case temporary(err):
			return p
		case err == io.EOF:
			if c.flags&(losing|loseLater) == 0 {
				c.ended()
			}
			return nil
		case err != nil:
			c.broken(err)
			return nil
		case c.flags&silent != 0:
			return p
		}
	}
}

// read is that of the engine, with an input buffer of the loop.
func (c *Conn) read(buf, p []byte) (n int, rest []byte, err error) {
	raw := c.loop.takeRaw()
	lent := c.e.lend(raw)
	n, rest, err = c.e.read(buf, p)
	if !c.e.more {
		switch back := c.e.takeBack(); {
		case back != nil && lent:
			raw, lent = back, false
		default:
			giveStepBuffer(back) // of the handshake
		}
	}
	if !lent {
		c.loop.giveRaw(raw)
	}
	return n, rest, err
}

// ended is the peer's close_notify. While reading is paused it waits until that is over.
func (c *Conn) ended() {
	if c.flags&paused != 0 {
		c.flags |= inEngine // crypto/tls will say it again
		return
	}
	c.peerEnded(false)
}

// broken ends a connection on which crypto/tls has found something wrong. Its alert is on the way.
func (c *Conn) broken(err error) {
	c.fail(fmt.Errorf("%w: %w", reactor.ErrConnectionLost, err))
}

// handOver hands over what SetProtocol took along.
func (c *Conn) handOver() {
	p := c.rare.unread
	c.rare.unread = nil
	c.flags &^= undelivered
	defer c.leave(c.enter()) // a panic may cost another connection, whose callback has called SetProtocol
	c.proto.DataReceived(p)
}

// undelivered reports whether the protocol has not seen all that has arrived.
func (c *Conn) undelivered() bool { return c.flags&undelivered != 0 }

// SetProtocol implements reactor.Transport.
func (c *Conn) SetProtocol(p reactor.Protocol, unread []byte) {
	if c.flags&gone != 0 {
		return
	}
	if c.flags&produced != 0 {
		c.uncommon().producer = c.producer() // it stays, though it may be the protocol that was
	}
	if len(unread) > 0 { // what is kept already, the protocol before has not got: so it is newer
		u := c.uncommon()
		u.unread = append(bytes.Clone(unread), u.unread...)
		c.flags |= undelivered
	}
	c.proto = p
	func() {
		defer c.leave(c.enter())
		p.ConnectionMade(c)
	}()
	if c.flags&undelivered != 0 && c.flags&silent == 0 {
		c.handOver()
	}
	c.touch()
}

// countInput tells the reactor how much memory our input takes.
func (c *Conn) countInput() {
	n := cap(c.pending)
	if c.hs != nil {
		n += cap(c.hs.input)
	}
	if n != c.counted {
		c.r.AddHeld(n - c.counted)
		c.counted = n
	}
}

// freeInput gives the input buffer back.
func (c *Conn) freeInput() {
	if c.pending != nil {
		c.loop.giveSmall(c.pending)
		c.pending, c.begun = nil, 0
	}
	c.flags &^= undelivered | inEngine
	if c.rare != nil {
		c.rare.unread = nil
	}
}
