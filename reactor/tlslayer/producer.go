package tlslayer

// Producers, both ways. The producer of the protocol above is told of water marks and stopped as by
// the transport below. And the layer is the producer of the transport below, as long as it has more
// output than that: so it hears of each drain, and an end that was asked for waits for it.

import (
	"reflect"

	"microhttp/reactor"
)

// RegisterProducer implements reactor.Transport.
func (c *Conn) RegisterProducer(p reactor.Producer) {
	switch {
	case p == nil:
		c.unregister()
		return
	case c.flags&produced != 0:
		panic("tlslayer: RegisterProducer: another producer is registered; unregister it with RegisterProducer(nil)")
	case c.flags&gone != 0:
		p.StopProducing()
		return
	}
	source := reactor.SourceOf(p)
	if source.Lost() {
		return // it produces nothing any more
	}
	source.Feed(c)
	c.flags |= produced
	if !reflect.TypeOf(p).Comparable() || any(p) != any(c.proto) {
		c.uncommon().producer = p
	}
	c.touch()
}

// unregister forgets the producer. What has waited for it goes on.
func (c *Conn) unregister() {
	if u := c.rare; u != nil && u.producer != nil {
		reactor.SourceOf(u.producer).Unfeed(c)
		u.producer = nil
	}
	if c.flags&loseLater != 0 {
		c.flags |= losing
	}
	if c.flags&halfLater != 0 {
		c.flags |= halfClosing
	}
	c.flags &^= slowed | produced | loseLater | halfLater
	c.touch()
}

// waitsForProducer reports whether an orderly end has to wait: not when nothing can be written any
// more, and not for a connection that produces for itself, as an echo does.
func (c *Conn) waitsForProducer() bool {
	if c.flags&produced == 0 || c.flags&mute != 0 {
		return false
	}
	return !reactor.SourceOf(c.producer()).Is(c)
}

// producer is the one that is registered: most protocols are their own.
func (c *Conn) producer() reactor.Producer {
	if c.rare != nil && c.rare.producer != nil {
		return c.rare.producer
	}
	return c.proto.(reactor.Producer)
}

// tellProducer tells it which side of the water marks the output has come to. Below the low mark
// there is a drain that we hear of; between the marks there is one only if the transport below has
// told us to pause.
func (c *Conn) tellProducer() {
	if c.flags&produced == 0 || c.flags&mute != 0 {
		return
	}
	p := c.producer()
	high, low := c.marks.high, c.marks.low
	if m, ok := p.(reactor.MarkedProducer); ok {
		high, low = m.WaterMarks()
	}
	switch unsent := c.Buffered(); {
	case c.flags&slowed == 0 && unsent > high:
		c.flags |= slowed
		p.PauseProducing()
		c.touchLater()
	case c.flags&slowed != 0 && unsent <= low:
		c.flags &^= slowed
		p.ResumeProducing()
	case c.flags&(slowed|held) == slowed:
		c.touchLater() // the transport below has not looked yet: it has sent all by then, or tells us to pause
	}
}

// touchLater has settle called in the next tick.
func (c *Conn) touchLater() {
	if c.flags&(touched|gone) == 0 {
		c.flags |= touched
		c.r.FlushLater(c.below, (*lower)(c))
	}
}

// stopProducing is for a connection that is lost.
func (c *Conn) stopProducing() {
	if c.flags&produced == 0 {
		return
	}
	p := c.producer()
	c.unregister()
	p.StopProducing()
}

// feed registers with the transport below as long as there is more to send than it knows of.
func (c *Conn) feed() {
	if c.flags&dead != 0 {
		return
	}
	if c.flags&(produced|loseLater) != 0 || !c.sentAll() {
		c.feedNow()
	} else {
		c.unfeed()
	}
}

func (c *Conn) feedNow() {
	if c.flags&feeding == 0 {
		c.flags |= feeding
		c.below.RegisterProducer((*lower)(c))
	}
}

func (c *Conn) unfeed() {
	if c.flags&feeding != 0 {
		c.flags &^= feeding | held
		c.below.RegisterProducer(nil)
	}
}

// WaterMarks has the transport below say whenever its output has drained.
func (l *lower) WaterMarks() (high, low int) { return l.marks.low, l.marks.low }

// PauseProducing says that the transport below has enough.
func (l *lower) PauseProducing() { l.flags |= held }

// ResumeProducing says that it has not.
func (l *lower) ResumeProducing() {
	l.flags &^= held
	(*Conn)(l).touch()
}

// StopProducing is the loss of the transport below, which ConnectionLost tells.
func (l *lower) StopProducing() {}

// PauseProducing, ResumeProducing and StopProducing make a Conn a Producer of what it reads.
func (c *Conn) PauseProducing() { c.PauseReading() }

// ResumeProducing is ResumeReading.
func (c *Conn) ResumeProducing() { c.ResumeReading() }

// StopProducing is LoseConnection.
func (c *Conn) StopProducing() { c.LoseConnection() }
