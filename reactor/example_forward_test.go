package reactor_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"microhttp/reactor"
)

// A half is one of the two connections of a forwarder. What it receives it sends through the other.
type half struct {
	t     reactor.Transport
	other *half
	to    string // where the first half has the second one connect to
}

func (h *half) ConnectionMade(t reactor.Transport) {
	h.t = t
	if h.other == nil {
		t.PauseReading() // until there is another half
		if _, err := t.Reactor().ConnectTCP(h.to, h, nil); err != nil {
			t.AbortConnection()
		}
		return
	}
	h.other.other = h
	h.t.RegisterProducer(h.other.t) // so that the other half does not read while this one cannot send
	h.other.t.RegisterProducer(h.t)
	h.other.t.ResumeReading()
}

// BuildProtocol and ConnectionFailed make the first half the factory of the second one.
func (h *half) BuildProtocol(netip.AddrPort) reactor.Protocol { return &half{other: h} }

func (h *half) ConnectionFailed(*reactor.Connector, error) { h.t.AbortConnection() }

func (h *half) DataReceived(p []byte) { h.other.t.Write(p) }

// ReadConnectionLost passes the end of one direction on. The producer is unregistered first: it has finished.
func (h *half) ReadConnectionLost() {
	h.other.t.RegisterProducer(nil)
	h.other.t.CloseWrite()
}

// ConnectionLost passes the end on: an orderly one as such, and any other as a reset, lest it looks like an orderly one.
func (h *half) ConnectionLost(reason error) {
	switch {
	case h.other == nil || h.other.t == nil:
	case reason == reactor.ErrConnectionDone:
		h.other.t.LoseConnection()
	default:
		h.other.t.AbortConnection()
	}
}

// A forwarder of connections with back-pressure in both directions: a Transport is a Producer, and is the producer of the
// Transport that its bytes go to.
func ExampleTransport_forwarder() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	target, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return &greeter{} }), nil)
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return &half{to: target.Addr().String()}
	}), nil)
	if err != nil {
		panic(err)
	}
	go func() {
		defer r.Stop()
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "Ada")
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			panic(err)
		}
		answer, err := io.ReadAll(conn)
		fmt.Printf("%q %v\n", answer, err)
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// the answer is sent
	// "Hello, Ada!" <nil>
}

// A greeter reads a name to its end, and greets. It is a CloseWriteHandler.
type greeter struct {
	t    reactor.Transport
	name []byte
}

func (g *greeter) ConnectionMade(t reactor.Transport) { g.t = t }
func (g *greeter) DataReceived(p []byte)              { g.name = append(g.name, p...) }
func (g *greeter) ConnectionLost(error)               {}

func (g *greeter) ReadConnectionLost() {
	g.t.Write(fmt.Appendf(nil, "Hello, %s!", g.name))
	g.t.CloseWrite()
}

func (g *greeter) WriteConnectionLost() { fmt.Println("the answer is sent") }
