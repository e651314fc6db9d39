package tlslayer

// What a Conn can be asked for, beside output and producers. Most of it is noted in flags, for
// settle.

import (
	"errors"
	"strings"
	"time"

	"microhttp/reactor"
)

// LoseConnection implements reactor.Transport.
func (c *Conn) LoseConnection() {
	switch {
	case c.flags&(losing|loseLater|dead) != 0:
	case c.waitsForProducer():
		c.flags |= loseLater
		c.feedNow() // so that the transport below waits, too, and its clock runs
		c.below.LoseConnection()
	default:
		c.lose()
	}
}

// lose ends the connection when all is sent.
func (c *Conn) lose() {
	c.flags |= losing
	if c.flags&closedWrite == 0 && !c.sentAll() {
		c.feedNow()
		c.below.LoseConnection() // which waits until we have unregistered
	}
	c.touch()
}

// AbortConnection implements reactor.Transport.
func (c *Conn) AbortConnection() { c.doom(reactor.ErrAborted) }

// CloseWrite implements reactor.Transport.
func (c *Conn) CloseWrite() {
	if c.waitsForProducer() {
		c.flags |= halfLater
	} else {
		c.flags |= halfClosing
	}
	c.touch()
}

// PauseReading implements reactor.Transport.
func (c *Conn) PauseReading() {
	c.flags |= paused
	if c.flags&failed == 0 {
		c.below.PauseReading()
	}
}

// ResumeReading implements reactor.Transport.
func (c *Conn) ResumeReading() {
	c.flags &^= paused
	if c.flags&(losing|loseLater|eof|dead) == 0 {
		c.below.ResumeReading()
	}
	c.touch()
}

// SetTimeout implements reactor.Transport.
func (c *Conn) SetTimeout(d time.Duration) {
	if c.flags&failed == 0 { // else the timeout is that of the lingering
		c.below.SetTimeout(d)
	}
}

// Detach implements reactor.Transport.
func (c *Conn) Detach() (reactor.Detached, error) {
	return reactor.Detached{FD: -1}, errors.ErrUnsupported
}

// Info implements reactor.Transport.
func (c *Conn) Info() reactor.Info { return c.below.Info() }

// Reactor implements reactor.Transport.
func (c *Conn) Reactor() *reactor.Reactor { return c.r }

// String names the connection for logs, as "tls tcp 192.0.2.1:4711".
func (c *Conn) String() string {
	name := "tls " + c.below.String()
	const ending = ", ending"
	if c.flags&gone == 0 && c.flags&(losing|loseLater|failed) != 0 && !strings.HasSuffix(name, ending) {
		name += ending
	}
	return name
}
