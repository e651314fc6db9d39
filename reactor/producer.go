package reactor

// Producers: Twisted's IPushProducer and IConsumer. A connection tells its producer when its output has passed a water mark,
// waits for it before an orderly end, and stops it when the connection is lost. A connection is a producer too, of the bytes
// that it reads, and so can be the producer of another.

import "reflect"

// A Producer makes the output of a connection, over more than one callback. It is Twisted's IPushProducer. A connection
// whose producer is registered calls it on its loop, and never from inside a Write:
//
//   - PauseProducing when the unsent output has risen above HighWater;
//   - ResumeProducing when, after that, it has drained to LowWater;
//   - StopProducing once, when the connection is lost, before ConnectionLost. Nothing that is produced is sent any more.
//
// A registered producer has not finished. LoseConnection and CloseWrite therefore wait for it, until it is unregistered with
// RegisterProducer(nil).
type Producer interface {
	PauseProducing()
	ResumeProducing()
	StopProducing()
}

func (t *transport) RegisterProducer(p Producer) {
	switch {
	case p == nil:
		t.unregister()
		return
	case t.flags&produced != 0:
		panic("reactor: RegisterProducer: another producer is registered; unregister it with RegisterProducer(nil)")
	case t.flags&gone != 0:
		p.StopProducing()
		return
	}
	source := SourceOf(p)
	if source.Lost() {
		return // it produces nothing any more
	}
	source.Feed(t)
	t.flags |= produced
	if !same(p, t.proto) {
		t.rare().producer = p
	}
	t.touch()
}

// unregister forgets the producer. What has waited for it goes on.
func (t *transport) unregister() {
	if c := t.cold; c != nil {
		SourceOf(c.producer).Unfeed(t)
		c.producer = nil
	}
	t.flags &^= slowed | produced
	if t.flags&loseLater != 0 {
		t.flags |= losing
	}
	if t.flags&halfLater != 0 {
		t.flags |= halfClosing
	}
	t.flags &^= loseLater | halfLater
	t.touch()
}

// waitsForProducer reports whether an orderly end has to wait: not when nothing can be written any more, and not for a
// connection that produces for itself, as an echo does.
func (t *transport) waitsForProducer() bool {
	if t.flags&produced == 0 || t.flags&mute != 0 {
		return false
	}
	source, _ := sourceOf(t.producer())
	return source != t
}

// producer is the one that is registered: most protocols are their own.
func (t *transport) producer() Producer {
	if t.cold != nil && t.cold.producer != nil {
		return t.cold.producer
	}
	return t.proto.(Producer)
}

func same(p Producer, proto Protocol) bool {
	return reflect.TypeOf(p).Comparable() && any(p) == any(proto)
}

// tellProducer tells it which side of the water marks the output has come to.
func (t *transport) tellProducer() {
	if t.flags&mute != 0 || t.flags&slowed == 0 && t.out == nil && t.r.out.owner != t {
		return // as mostly: all is sent
	}
	p := t.producer()
	high, low := t.options.HighWater, t.options.LowWater
	if m, ok := p.(MarkedProducer); ok {
		high, low = m.WaterMarks()
	}
	switch unsent := t.Buffered(); {
	case t.flags&slowed == 0 && unsent > high:
		t.flags |= slowed
		p.PauseProducing()
	case t.flags&slowed != 0 && unsent <= low:
		t.flags &^= slowed
		p.ResumeProducing()
	}
}

// stopProducing is for a connection that is lost: it produces for no other any more, and nothing is produced for it.
func (t *transport) stopProducing() {
	for t.cold != nil && len(t.cold.consumers) > 0 {
		n := len(t.cold.consumers)
		t.cold.consumers[0].RegisterProducer(nil)
		if len(t.cold.consumers) == n { // a layer that keeps no promise
			t.cold.consumers = t.cold.consumers[1:]
		}
	}
	if t.flags&produced == 0 {
		return
	}
	p := t.producer()
	t.unregister()
	t.r.contained(p.StopProducing)
}

// PauseProducing, ResumeProducing and StopProducing make a connection a Producer.
func (t *transport) PauseProducing()  { t.PauseReading() }
func (t *transport) ResumeProducing() { t.ResumeReading() }
func (t *transport) StopProducing()   { t.LoseConnection() }
