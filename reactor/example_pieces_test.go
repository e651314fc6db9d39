package reactor_test

import (
	"fmt"
	"net/netip"
	"strings"

	"microhttp/reactor"
)

// serveOnce has p speak with a client that sends a line and prints what it gets.
func serveOnce(p reactor.Protocol, line string) {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return p }), nil)
	if err != nil {
		panic(err)
	}
	c := &lineSender{line: line, done: r.Stop}
	if _, err := r.ConnectTCP(port.Addr().String(), c, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
}

// A lineSender sends a line and prints all that it is answered.
type lineSender struct {
	line string
	got  strings.Builder
	done func()
}

func (c *lineSender) BuildProtocol(netip.AddrPort) reactor.Protocol       { return c }
func (c *lineSender) ConnectionFailed(_ *reactor.Connector, reason error) { panic(reason) }
func (c *lineSender) ConnectionMade(t reactor.Transport)                  { t.Write([]byte(c.line)) }
func (c *lineSender) DataReceived(p []byte)                               { c.got.Write(p) }
func (c *lineSender) ConnectionLost(error)                                { fmt.Print(c.got.String()); c.done() }

// An answerer calls a function for what it receives.
type answerer struct {
	t      reactor.Transport
	answer func(t reactor.Transport, p []byte)
}

func (a *answerer) ConnectionMade(t reactor.Transport) { a.t = t }
func (a *answerer) DataReceived(p []byte)              { a.answer(a.t, p) }
func (a *answerer) ConnectionLost(error)               {}

// A head, a page that all connections share and a file leave in order. The file is borrowed.
func ExampleTransport_send() {
	page := []byte("a page that never changes\n")
	file := memory{strings.NewReader("the content of a file\n")}
	free := 0
	serveOnce(&answerer{answer: func(t reactor.Transport, p []byte) {
		t.Send(
			reactor.Lent([]byte("head\n")),
			reactor.Given(page),
			reactor.FileRange(file, 4, 18).OnFree(func(bool) { free++ }),
		)
		t.LoseConnection()
	}}, "please\n")
	fmt.Println("given back:", free)
	// Output:
	// head
	// a page that never changes
	// content of a file
	// given back: 1
}

// A memory is a File without a descriptor.
type memory struct{ *strings.Reader }

func (memory) Fd() uintptr { return ^uintptr(0) }

// What is appended to Room is not copied.
func ExampleTransport_commit() {
	serveOnce(&answerer{answer: func(t reactor.Transport, p []byte) {
		b := t.Room(len(p) + 20)
		b = append(b, "you said: "...)
		b = append(b, p...)
		t.Commit(b)
		t.LoseConnection()
	}}, "hello\n")
	// Output:
	// you said: hello
}

// After its first line a connection speaks another protocol, which gets the rest of what was received.
func ExampleTransport_setProtocol() {
	shout := &answerer{answer: func(t reactor.Transport, p []byte) {
		t.Write([]byte(strings.ToUpper(string(p))))
		t.LoseConnection()
	}}
	serveOnce(&answerer{answer: func(t reactor.Transport, p []byte) {
		line, rest, _ := strings.Cut(string(p), "\n")
		fmt.Println("switching to", line)
		t.SetProtocol(shout, []byte(rest))
	}}, "shout\nis anybody here?\n")
	// Output:
	// switching to shout
	// IS ANYBODY HERE?
}

// A proxied transport is a layer that knows the client behind a proxy. All else is that of the transport below.
type proxied struct {
	reactor.Transport
	client netip.AddrPort
}

func (p *proxied) Info() reactor.Info { return proxiedInfo{p.Transport.Info(), p.client} }

type proxiedInfo struct {
	reactor.Info
	client netip.AddrPort
}

func (i proxiedInfo) RemoteAddr() netip.AddrPort { return i.client }

func ExampleInfo() {
	serveOnce(&answerer{answer: func(t reactor.Transport, p []byte) {
		layer := &proxied{t, netip.MustParseAddrPort("192.0.2.1:4711")}
		fmt.Println("the client is", layer.Info().RemoteAddr())
		fmt.Println("the proxy is on this machine:", t.Info().RemoteAddr().Addr().IsLoopback())
		if err := layer.Info().Socket().SetTOS(0x28); err != nil {
			panic(err)
		}
		tos, _ := layer.Info().Socket().TOS()
		fmt.Println("type of service:", tos)
		t.LoseConnection()
	}}, "hello\n")
	// Output:
	// the client is 192.0.2.1:4711
	// the proxy is on this machine: true
	// type of service: 40
}
