package reactortest

// Streams through a layer: what a reactor promises of a connection, a layer above it has to
// promise, too.

import (
	"testing"

	"microhttp/reactor"
)

// A Layer is put between each end of a connection and its Transport.
type Layer struct {
	// Server and Client return the protocol of the transport below, which comes to call build once,
	// for the protocol above. A build that returns nil refuses the connection. If that is not to
	// be, a Client calls failed instead, with the reason.
	Server func(build func() reactor.Protocol) reactor.Protocol
	Client func(build func() reactor.Protocol, failed func(reason error)) reactor.Protocol

	// Except names promises that the layer cannot keep, such as "Output/FilesGoInTheirPlace", each
	// with the reason.
	Except map[string]string

	// Only says which promises to test, for a suite that has little time. It is asked about each in
	// turn, before the first is tested. Nil is all.
	Only func(name string) bool
}

// chosen returns the promises about streams that are to be tested.
func (l *Layer) chosen(t *testing.T) (all []group) {
	t.Helper()
	known := map[string]bool{}
	for _, g := range groups {
		if !g.streams {
			continue
		}
		some := group{name: g.name, streams: true}
		for _, p := range g.promises {
			name := g.name + "/" + p.name
			known[name] = true
			if l.Only == nil || l.Only(name) {
				some.promises = append(some.promises, p)
			}
		}
		all = append(all, some)
	}
	for name := range l.Except {
		if !known[name] {
			t.Errorf("there is no promise %q", name)
		}
	}
	return all
}

// skip skips the test of a promise that the layer cannot keep.
func (l *Layer) skip(t *testing.T, promise string) {
	t.Helper()
	if why, ok := l.Except[promise]; ok {
		t.Skip(why)
	}
}

// server is the protocol of an accepted connection, whose end is what next returns.
func (l *Layer) server(next func() *end) reactor.Protocol {
	build := func() reactor.Protocol {
		if e := next(); e != nil {
			return e.protocol()
		}
		return nil
	}
	if l == nil {
		return build()
	}
	return l.Server(build)
}

// client is the protocol of a connection that was opened.
func (l *Layer) client(e *end) reactor.Protocol {
	if l == nil {
		return e.protocol()
	}
	return l.Client(e.protocol, func(reason error) {
		e.failures++
		e.reason = reason
	})
}

// Passing is a Layer that does nothing.
var Passing = Layer{
	Server: func(build func() reactor.Protocol) reactor.Protocol { return pass(build(), 0) },
	Client: func(build func() reactor.Protocol, _ func(error)) reactor.Protocol { return pass(build(), 0) },
}

// Cutting is a Layer between l and the transport that hands over the bytes in small pieces: the
// first ones one by one.
func Cutting(l Layer) Layer {
	return Layer{
		Server: func(build func() reactor.Protocol) reactor.Protocol { return pass(l.Server(build), oneByOne) },
		Client: func(build func() reactor.Protocol, failed func(error)) reactor.Protocol {
			return pass(l.Client(build, failed), oneByOne)
		},
		Except: l.Except,
		Only:   l.Only,
	}
}

// oneByOne is how many bytes a Cutting layer hands over each for itself.
const oneByOne = 32 << 10

// passing is the layer that does nothing, as its protocol sees it.
type passing struct {
	reactor.Transport
	cuts bool
	ones int // how many bytes are yet to be handed over one by one
}

var _ reactor.Layered = (*passing)(nil)

func (p *passing) Below() reactor.Transport { return p.Transport }

// SetProtocol puts the next protocol above the same layer.
func (p *passing) SetProtocol(next reactor.Protocol, unread []byte) {
	p.Transport.SetProtocol(p.below(next), unread)
}

// pass returns the layer that does nothing as the transport below sees it.
func pass(above reactor.Protocol, ones int) reactor.Protocol {
	if above == nil {
		return nil
	}
	return (&passing{cuts: ones > 0, ones: ones}).below(above)
}

// below returns a protocol that has the optional methods that above has: a protocol without them is
// treated otherwise.
func (p *passing) below(above reactor.Protocol) reactor.Protocol {
	b := passed{p, above}
	half, isHalf := above.(reactor.HalfCloser)
	write, isWrite := above.(reactor.CloseWriteHandler)
	timeout, isTimeout := above.(reactor.TimeoutHandler)
	if !isWrite {
		panic("reactortest: each protocol here is a CloseWriteHandler")
	}
	switch {
	case isHalf && isTimeout:
		return struct {
			passed
			reactor.HalfCloser
			reactor.CloseWriteHandler
			reactor.TimeoutHandler
		}{b, half, write, timeout}
	case isHalf:
		return struct {
			passed
			reactor.HalfCloser
			reactor.CloseWriteHandler
		}{b, half, write}
	case isTimeout:
		return struct {
			passed
			reactor.CloseWriteHandler
			reactor.TimeoutHandler
		}{b, write, timeout}
	}
	return struct {
		passed
		reactor.CloseWriteHandler
	}{b, write}
}

type passed struct {
	p     *passing
	above reactor.Protocol
}

func (b passed) ConnectionMade(t reactor.Transport) {
	b.p.Transport = t
	b.above.ConnectionMade(b.p)
}

// DataReceived does not look whether reading is paused between two pieces: they are of one read.
func (b passed) DataReceived(p []byte) {
	for n := 0; b.p.cuts && len(p) > 1; p = p[n:] {
		if n = 1; b.p.ones <= 0 {
			n = min(1+len(p)/3, len(p)-1)
		}
		b.p.ones -= n
		b.above.DataReceived(p[:n:n])
	}
	b.above.DataReceived(p)
}

func (b passed) ConnectionLost(reason error) { b.above.ConnectionLost(reason) }
