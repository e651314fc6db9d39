package reactortest

// Both ends of a connection. Whatever a promise is about, each end also sees to it that it is told things in order: made
// first, lost last and once, and nothing while it is being told something.

import (
	"bytes"
	"net/netip"

	"microhttp/reactor"
)

// An end is the Protocol of one end of a connection. What a script wants done goes into the functions.
type end struct {
	reactor.Transport
	s    *script
	name string

	made, eof bool
	data      []byte // all that was received
	inside    bool   // one of its callbacks runs
	losses    int
	failures  int   // of attempts to connect it
	reason    error // of the last loss or failure

	halfClosed bool // WriteConnectionLost was called

	onMade, onEOF, onTimeout func()
	onHalfClosed             func()
	onData                   func(p []byte)
	onLost                   func(reason error)
}

func (s *script) newEnd(name string) *end {
	e := &end{s: s, name: name}
	s.ends = append(s.ends, e)
	return e
}

// enter is called first in each callback, and what it returns at its end, also after a panic.
func (e *end) enter(what string) (leave func()) {
	switch {
	case e.inside:
		e.s.Errorf("%s: %s inside another callback", e.name, what)
	case e.losses > 0:
		e.s.Errorf("%s: %s after ConnectionLost", e.name, what)
	case !e.made && what != "ConnectionMade":
		e.s.Errorf("%s: %s before ConnectionMade", e.name, what)
	}
	e.inside = true
	return func() { e.inside = false }
}

func (e *end) ConnectionMade(t reactor.Transport) {
	defer e.enter("ConnectionMade")()
	if e.made {
		e.s.Errorf("%s: ConnectionMade twice", e.name)
	}
	e.made, e.Transport = true, t
	if e.onMade != nil {
		e.onMade()
	}
}

func (e *end) DataReceived(p []byte) {
	defer e.enter("DataReceived")()
	if e.eof {
		e.s.Errorf("%s: DataReceived after ReadConnectionLost", e.name)
	}
	if len(p) == 0 {
		e.s.Errorf("%s: DataReceived of nothing", e.name)
	}
	e.data = append(e.data, p...)
	if e.onData != nil {
		e.onData(p)
	}
}

func (e *end) ConnectionLost(reason error) {
	defer e.enter("ConnectionLost")()
	e.losses++
	e.reason = reason
	if e.onLost != nil {
		e.onLost(reason)
	}
}

func (e *end) readConnectionLost() {
	defer e.enter("ReadConnectionLost")()
	if e.eof {
		e.s.Errorf("%s: ReadConnectionLost twice", e.name)
	}
	e.eof = true
	if e.onEOF != nil {
		e.onEOF()
	}
}

// WriteConnectionLost is no sign of anything else that the protocol wants, so every end has it.
func (e *end) WriteConnectionLost() {
	defer e.enter("WriteConnectionLost")()
	if e.halfClosed {
		e.s.Errorf("%s: WriteConnectionLost twice", e.name)
	}
	e.halfClosed = true
	if n := e.Buffered(); n > 0 {
		e.s.Errorf("%s: WriteConnectionLost with %d bytes unsent", e.name, n)
	}
	if e.onHalfClosed != nil {
		e.onHalfClosed()
	}
}

func (e *end) timeoutConnection() {
	defer e.enter("TimeoutConnection")()
	e.onTimeout()
}

// protocol is e with the optional methods that the script has a use for.
func (e *end) protocol() reactor.Protocol {
	switch {
	case e.onEOF != nil && e.onTimeout != nil:
		return struct {
			*end
			halfCloser
			timeoutHandler
		}{e, halfCloser{e}, timeoutHandler{e}}
	case e.onEOF != nil:
		return struct {
			*end
			halfCloser
		}{e, halfCloser{e}}
	case e.onTimeout != nil:
		return struct {
			*end
			timeoutHandler
		}{e, timeoutHandler{e}}
	}
	return e
}

type halfCloser struct{ of *end }

func (h halfCloser) ReadConnectionLost() { h.of.readConnectionLost() }

type timeoutHandler struct{ of *end }

func (h timeoutHandler) TimeoutConnection() { h.of.timeoutConnection() }

// atTheEnd is called when the reactor has ended.
func (e *end) atTheEnd() {
	if e.made && e.losses != 1 || !e.made && e.losses != 0 {
		e.s.Errorf("%s: made %v, ConnectionLost %d times", e.name, e.made, e.losses)
	}
}

// lost waits for ConnectionLost, or for ConnectionFailed of one that has never been made.
func (e *end) lost() error {
	e.s.Helper()
	e.s.until(e.name+" to be lost", func() bool { return e.losses+e.failures > 0 })
	return e.reason
}

// receives waits for the bytes that are wanted, all of them and no others.
func (e *end) receives(want []byte) {
	e.s.Helper()
	e.s.until(e.name+" to receive", func() bool { return len(e.data) >= len(want) || e.losses > 0 })
	if !bytes.Equal(e.data, want) {
		at := 0
		for at < min(len(want), len(e.data)) && e.data[at] == want[at] {
			at++
		}
		e.s.Fatalf("%s received %d bytes, want %d; they differ from byte %d on (lost: %v)",
			e.name, len(e.data), len(want), at, e.reason)
	}
}

// echo has e send back what it receives.
func (e *end) echo() { e.onData = func(p []byte) { e.Write(p) } }

// A dialler is the ClientFactory of one end.
type dialler struct {
	end   *end
	again func(c *reactor.Connector)
}

func (d *dialler) BuildProtocol(netip.AddrPort) reactor.Protocol {
	return d.end.s.layer.client(d.end)
}

func (d *dialler) ConnectionFailed(c *reactor.Connector, reason error) {
	d.end.failures++
	d.end.reason = reason
	if d.again != nil {
		d.again(c)
	}
}

// A setting is how a script wants its connection.
type setting struct {
	server, client func(e *end) // set the functions of an end
	listen         reactor.TransportOptions
	connect        reactor.TransportOptions
}

// listen opens a port whose connections go to what next returns; nil refuses them.
func (s *script) listen(o *reactor.TCPOptions, next func() *end) *reactor.Port {
	s.Helper()
	return must(s.r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return s.layer.server(next)
	}), o))(s)
}

// dial begins to connect to a port.
func (s *script) dial(p *reactor.Port, e *end, o *reactor.ConnectOptions) *reactor.Connector {
	s.Helper()
	return must(s.r.ConnectTCP(p.Addr().String(), &dialler{end: e}, o))(s)
}

// connect makes a connection and waits for both ends of it.
func (s *script) connect(c setting) (server, client *end) {
	s.Helper()
	server, client = s.newEnd("server"), s.newEnd("client")
	if c.server != nil {
		c.server(server)
	}
	if c.client != nil {
		c.client(client)
	}
	p := s.listen(&reactor.TCPOptions{TransportOptions: c.listen}, func() *end { return server })
	s.dial(p, client, &reactor.ConnectOptions{TransportOptions: c.connect})
	s.until("the connection", func() bool { return server.made && client.made })
	p.StopListening()
	return server, client
}

// pattern is n bytes in which a loss or a repetition shows.
func pattern(n int) []byte {
	p := make([]byte, 0, n+4)
	for i := 0; len(p) < n; i++ {
		p = append(p, byte(i>>16), byte(i>>8), byte(i), '.')
	}
	return p[:n]
}
