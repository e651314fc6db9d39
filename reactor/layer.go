package reactor

// What a layer needs of the loop. A layer is a Protocol towards the Transport below it and a
// Transport towards the Protocol above it: TLS is one. Most of what a layer does it does inside the
// callbacks of the transport below. The rest is here: work at the end of a tick, the options of the
// socket, and values that belong to the loop.

import "slices"

// A Flusher is a layer that has something to do at the end of a tick.
type Flusher interface {
	// Flush is called once for each FlushLater.
	Flush()
}

// A flushing is a call that FlushLater asked for.
type flushing struct {
	f      Flusher
	bottom *transport
}

// FlushLater has f.Flush called once at the end of this tick, before the output of the tick goes
// out. below is the transport that f writes to: a panic in Flush ends the connection at the bottom
// of it, and once that is lost, Flush is not called. A call that is made while the layers of a tick
// are flushed waits for the next tick. It is for the loop only.
//
// A layer gathers what its protocol writes outside of the layer's own callbacks, and so handles it
// once.
func (r *Reactor) FlushLater(below Transport, f Flusher) {
	r.layers.add(flushing{f, below.Info().Socket().t})
}

// flushLayers makes the calls of FlushLater.
func (r *Reactor) flushLayers() {
	for r.layers.begin(); ; {
		l, ok := r.layers.take()
		switch {
		case !ok:
			return
		case l.bottom == nil:
			r.current = nil
			l.f.Flush()
		case l.bottom.flags&gone == 0:
			r.current = l.bottom
			r.watch.begin(servingDescriptor, l.bottom, l.bottom.FD(), nil)
			l.f.Flush()
		}
	}
}

// Local returns the value that belongs to this loop under key. The first call for a key makes it.
// It is for the loop only, and so are the values, which need no locks: a layer keeps there the
// buffers that all its connections of the loop share.
func (r *Reactor) Local(key any, make func() any) any {
	v, ok := r.locals[key]
	if !ok {
		if r.locals == nil {
			r.locals = map[any]any{}
		}
		v = make()
		r.locals[key] = v
	}
	return v
}

// AddHeld adds n bytes to what Held returns. A layer counts so what it keeps of the bytes of its
// connections, and takes it off again with a negative n. It is for the loop only.
func (r *Reactor) AddHeld(n int) { r.held += n }

// Options returns the options of the connection: those that its port or its connector was given,
// with the defaults filled in. The zero Socket returns the defaults.
func (s Socket) Options() TransportOptions {
	if s.t == nil {
		return TransportOptions{}.withDefaults()
	}
	return *s.t.options
}

// A Layered is a Transport above another one. Those who implement Transport have Below, so that the
// loop finds the connection that a Producer is.
type Layered interface {
	Transport
	// Below returns the transport below.
	Below() Transport
}

// sourceOf is the connection that a Producer is, if it is one.
func sourceOf(p Producer) (*transport, bool) {
	for {
		switch l := p.(type) {
		case *transport:
			return l, true
		case *LineTransport:
			p = l.Transport
		case Layered:
			p = l.Below()
		default:
			return nil, false
		}
	}
}

// A Source is the connection that a Producer is: a Transport, which produces what it reads. The
// zero Source is none. It is for layers, which have a RegisterProducer of their own. All methods
// are for the loop.
type Source struct{ t *transport }

// SourceOf returns the connection that p is, whatever layers there are in between.
func SourceOf(p Producer) Source {
	t, _ := sourceOf(p)
	return Source{t}
}

// Lost reports whether the connection is lost, and so produces nothing any more.
func (s Source) Lost() bool { return s.t != nil && s.t.flags&gone != 0 }

// Is reports whether t is the same connection, at any layer.
func (s Source) Is(t Transport) bool {
	bottom, ok := sourceOf(t)
	return ok && bottom == s.t
}

// Feed has t.RegisterProducer(nil) called when the connection is lost.
func (s Source) Feed(t Transport) {
	if s.t != nil {
		c := s.t.rare()
		c.consumers = append(c.consumers, t)
	}
}

// Unfeed takes Feed back.
func (s Source) Unfeed(t Transport) {
	if s.t == nil || s.t.cold == nil {
		return
	}
	for i, c := range s.t.cold.consumers {
		if c == t {
			s.t.cold.consumers = slices.Delete(s.t.cold.consumers, i, i+1)
			return
		}
	}
}

// A MarkedProducer is a Producer with water marks of its own in place of those of the
// TransportOptions. A layer is one: it has queued more output than the transport below knows of,
// and wants to hear of each drain.
type MarkedProducer interface {
	Producer
	// WaterMarks returns the high-water mark and the low-water mark, in unsent bytes.
	WaterMarks() (high, low int)
}
