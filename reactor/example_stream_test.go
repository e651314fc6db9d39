package reactor_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"microhttp/reactor"
)

// A caller says hello and hangs up when it is answered. It makes its own protocol, for it connects once.
type caller struct{ t reactor.Transport }

func (c *caller) BuildProtocol(netip.AddrPort) reactor.Protocol { return c }

func (c *caller) ConnectionFailed(conn *reactor.Connector, reason error) {
	fmt.Println("cannot reach", conn.Target(), reactor.ReasonName(reason))
}

func (c *caller) ConnectionMade(t reactor.Transport) {
	c.t = t
	t.Write([]byte("hello"))
}

func (c *caller) DataReceived(p []byte) {
	fmt.Printf("client: %s\n", p)
	c.t.LoseConnection()
}

func (c *caller) ConnectionLost(reason error) { fmt.Println("client:", reactor.ReasonName(reason)) }

// An echo server and its client, on one loop.
func ExampleReactor_ConnectTCP() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(newEcho), nil)
	if err != nil {
		panic(err)
	}
	if _, err := r.ConnectTCP(port.Addr().String(), &caller{}, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// client: hello
	// client: done
	// server: reactor: connection done
}

// A persistent client connects until somebody is there.
type persistent struct {
	caller
	attempts int
	onThird  func()
}

func (p *persistent) ConnectionFailed(conn *reactor.Connector, reason error) {
	p.attempts++
	fmt.Println("attempt", p.attempts, reactor.ReasonName(reason))
	if p.attempts == 3 {
		p.onThird()
	}
	conn.Reactor().CallLater(time.Millisecond, func() {
		if err := conn.Connect(); err != nil {
			panic(err)
		}
	})
}

func (p *persistent) BuildProtocol(netip.AddrPort) reactor.Protocol { return &p.caller }

func ExampleConnector_Connect() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	client := &persistent{onThird: func() { // at last the server starts
		if _, err := r.ListenUnix(path, reactor.FactoryFunc(newEcho), nil); err != nil {
			panic(err)
		}
	}}
	if _, err := r.ConnectUnix(path, client, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// attempt 1 connect-failed
	// attempt 2 connect-failed
	// attempt 3 connect-failed
	// client: hello
	// client: done
	// server: reactor: connection done
}

// A room is what its members have in common. Everything happens on one goroutine, so it needs no lock.
type room struct{ members []*member }

func (r *room) BuildProtocol(netip.AddrPort) reactor.Protocol { return &member{room: r} }

func (r *room) say(format string, args ...any) {
	line := fmt.Appendf(nil, format+"\n", args...)
	for _, m := range r.members {
		m.t.Write(line)
	}
}

// A member first says who it is, and then what it has to say, a line each.
type member struct {
	room *room
	t    reactor.Transport
	name string
	line []byte // as much of it as has arrived
}

func (m *member) ConnectionMade(t reactor.Transport) { m.t = t }

func (m *member) DataReceived(p []byte) {
	for {
		piece, rest, whole := bytes.Cut(p, []byte("\n"))
		m.line = append(m.line, piece...) // p is lent: what is kept is copied
		if !whole {
			return
		}
		if m.name == "" {
			m.name = string(m.line)
			m.room.members = append(m.room.members, m)
			m.room.say("%s is here", m.name)
		} else {
			m.room.say("%s: %s", m.name, m.line)
		}
		m.line, p = m.line[:0], rest
	}
}

func (m *member) ConnectionLost(error) {
	m.room.members = slices.DeleteFunc(m.room.members, func(other *member) bool { return other == m })
	m.room.say("%s has left", m.name)
}

// A visitor of the room says its lines, each when it has heard the answer to the one before.
type visitor struct {
	t     reactor.Transport
	lines []string
	heard strings.Builder
	done  func()
}

func (v *visitor) BuildProtocol(netip.AddrPort) reactor.Protocol       { return v }
func (v *visitor) ConnectionFailed(_ *reactor.Connector, reason error) { panic(reason) }
func (v *visitor) ConnectionMade(t reactor.Transport)                  { v.t = t; v.next() }
func (v *visitor) DataReceived(p []byte)                               { v.heard.Write(p); v.next() }
func (v *visitor) ConnectionLost(error)                                { v.done() }

func (v *visitor) next() {
	if len(v.lines) == 0 {
		v.t.LoseConnection()
		return
	}
	v.t.Write([]byte(v.lines[0] + "\n"))
	v.lines = v.lines[1:]
}

func Example_chatRoom() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", &room{}, nil)
	if err != nil {
		panic(err)
	}
	ann := &visitor{lines: []string{"Ann", "is anybody here?", "then I go"}}
	ann.done = func() { fmt.Print(ann.heard.String()); r.Stop() }
	if _, err := r.ConnectTCP(port.Addr().String(), ann, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// Ann is here
	// Ann: is anybody here?
	// Ann: then I go
}

// A fetcher sends a file to whoever connects, with a line before it.
type fetcher struct{ path string }

func (f *fetcher) ConnectionMade(t reactor.Transport) {
	file, err := os.Open(f.path)
	if err != nil {
		panic(err)
	}
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	t.Write(fmt.Appendf(nil, "%d bytes:\n", info.Size()))
	t.Send(reactor.FileRange(file, 0, info.Size())) // and closes it
	t.LoseConnection()
}

func (f *fetcher) DataReceived([]byte)  {}
func (f *fetcher) ConnectionLost(error) {}

func ExampleTransport() {
	file, err := os.CreateTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	fmt.Fprintln(file, "the content of a file")
	file.Close()

	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return &fetcher{path: file.Name()}
	}), nil)
	if err != nil {
		panic(err)
	}
	reader := &listener{done: r.Stop}
	if _, err := r.ConnectTCP(port.Addr().String(), reader, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// 22 bytes:
	// the content of a file
}

// A sower gives everybody the same bytes, which are never copied.
type sower struct{ seed []byte }

func (s sower) ConnectionMade(t reactor.Transport) {
	t.Write([]byte("sown: "))
	t.Send(reactor.Given(s.seed))
	t.LoseConnection() // when all of it is sent
}

func (s sower) DataReceived([]byte)  {}
func (s sower) ConnectionLost(error) {}

func ExampleTransport_give() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	seed := bytes.Repeat([]byte("corn "), 10_000)
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return sower{seed}
	}), nil)
	if err != nil {
		panic(err)
	}
	reader := &counter{done: r.Stop}
	if _, err := r.ConnectTCP(port.Addr().String(), reader, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: 50006 bytes
}

// A counter counts what it hears.
type counter struct {
	listener
	n    int
	done func()
}

func (c *counter) BuildProtocol(netip.AddrPort) reactor.Protocol { return c }
func (c *counter) DataReceived(p []byte)                         { c.n += len(p) }
func (c *counter) ConnectionLost(error)                          { fmt.Println(c.n, "bytes"); c.done() }

// A listener prints what it hears when that ends.
type listener struct {
	heard strings.Builder
	done  func()
}

func (l *listener) BuildProtocol(netip.AddrPort) reactor.Protocol       { return l }
func (l *listener) ConnectionFailed(_ *reactor.Connector, reason error) { panic(reason) }
func (l *listener) ConnectionMade(reactor.Transport)                    {}
func (l *listener) DataReceived(p []byte)                               { l.heard.Write(p) }
func (l *listener) ConnectionLost(error)                                { fmt.Print(l.heard.String()); l.done() }
