package tlslayer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"
)

// ask has a client send a request and wait for its echo.
func (g *rig) ask(cc *tls.Config) error {
	c := g.dial(cc)
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(c, got)
	return err
}

// failures notes why handshakes have failed. It is the loop's.
type failures struct {
	failed []error
	built  int
}

func (f *failures) BuildProtocol(*Conn) reactor.Protocol { f.built++; return &peer{onData: echo} }
func (f *failures) HandshakeFailed(_ *Conn, err error)   { f.failed = append(f.failed, err) }

// TestCrowded holds that handshakes that are never finished make room for others, the one that has
// waited longest first.
func TestCrowded(t *testing.T) {
	const most, strays = 20, 100
	f := &failures{}
	g := start(t, serverConfig(), HandshakeOptions{Max: most}, f)
	hello := clientHello(t)
	var conns []net.Conn
	for i := range strays {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
		part := hello[:10] // some go no further than a part of a record, and some than the server's answer
		if i%2 == 1 {
			part = hello
		}
		_, _ = c.Write(part)
		if i%10 == 0 {
			if err := g.ask(clientConfig()); err != nil {
				t.Errorf("a good client, after %d others: %v", i, err)
			}
		}
	}
	g.until("room", func() bool { return len(f.failed) >= strays-most && g.hs.Len() <= most })
	g.do(func() {
		for _, err := range f.failed {
			if err != errCrowded {
				t.Errorf("failed with %v", err)
			}
		}
		if f.built != strays/10 {
			t.Errorf("%d handshakes were completed", f.built)
		}
	})
	if _, err := io.ReadAll(conns[0]); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// clientHello is what a client sends first.
func clientHello(t testing.TB) []byte {
	e := newEngine(clientConfig(), true, netip.AddrPort{}, netip.AddrPort{})
	t.Cleanup(e.abandon)
	if _, _, err := e.advance(nil, false); err != nil {
		t.Fatal(err)
	}
	return e.mem.out
}

// TestComputingOffTheLoop holds that a function of the tls.Config may block: the loop goes on, at
// most Parallel of them run, and what arrives meanwhile is bounded.
func TestComputingOffTheLoop(t *testing.T) {
	const parallel, clients = 2, 5
	release := make(chan struct{})
	var inside, most atomic.Int32
	sc := serverConfig()
	sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "localhost" {
			return nil, nil
		}
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		inside.Add(-1)
		return nil, nil
	}
	var conns []*Conn
	before := runtime.NumGoroutine()
	g := start(t, sc, HandshakeOptions{Parallel: parallel}, AcceptorFunc(func(c *Conn) reactor.Protocol {
		conns = append(conns, c)
		return &peer{onData: echo}
	}))
	cc := clientConfig()
	cc.ServerName, cc.InsecureSkipVerify = "other", true
	quick := g.dial(cc)
	if err := quick.Handshake(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, clients)
	for range clients {
		go func() { done <- g.ask(clientConfig()) }()
	}
	g.until("the steps", func() bool { return inside.Load() == parallel && g.hs.Len() == clients })
	if _, err := quick.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(quick, make([]byte, 5)); err != nil {
		t.Errorf("while others compute: %v", err)
	}
	g.do(func() {
		if st := conns[0].ConnectionState(); !st.HandshakeComplete || st.ServerName != "other" {
			t.Errorf("%+v", st)
		}
	})
	close(release)
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := most.Load(); n != parallel {
		t.Errorf("%d computed at the same time", n)
	}
	quick.Close()
	if !soon(func() bool { return runtime.NumGoroutine() <= before+4 }) { // the loop and its watch
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}

func soon(f func() bool) bool {
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// TestLostWhileComputing holds that a step whose connection is lost, or whose reactor ends, is
// given up when it returns.
func TestLostWhileComputing(t *testing.T) {
	for name, end := range map[string]func(g *rig, c net.Conn){
		"reset": func(g *rig, c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"timeout":        func(*rig, net.Conn) {},
		"the reactor's":  func(g *rig, _ net.Conn) { g.r.Stop() },
		"too many bytes": func(_ *rig, c net.Conn) { go func() { _, _ = c.Write(make([]byte, 16<<20)) }() },
	} {
		t.Run(name, func(t *testing.T) {
			release, inside := make(chan struct{}), make(chan struct{})
			sc := serverConfig()
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				close(inside)
				<-release
				return nil, nil
			}
			f := &failures{}
			var l *lower
			g := &rig{t: t, hs: NewHandshakes(HandshakeOptions{Timeout: 300 * time.Millisecond})}
			g.serve(func() reactor.Protocol {
				l = Server(sc, g.hs, f).(*lower)
				return l
			})
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.Write(clientHello(t))
			<-inside
			end(g, c)
			switch name {
			case "the reactor's":
				time.AfterFunc(10*time.Millisecond, func() { close(release) })
				return // serve's cleanup waits for the end of Run, and Run for the step
			case "too many bytes":
				g.until("reading to pause", func() bool { return l.hs != nil && l.hs.pausing })
				g.do(func() {
					if n := len(l.pending); n > mostWaiting+64<<10 {
						t.Errorf("%d bytes wait", n)
					}
				})
			}
			g.until("the loss", func() bool { return len(f.failed) == 1 })
			close(release)
			g.until("the coroutine's end", func() bool { return l.e.hs == nil || l.e.hs.over })
			g.do(func() {
				if !errors.Is(f.failed[0], ErrHandshake) || len(f.failed) != 1 || f.built != 0 {
					t.Errorf("failed with %v, built %d", f.failed, f.built)
				}
			})
		})
	}
}

// TestGoexit holds that a function of the tls.Config that ends its goroutine fails its own
// handshake only, and that those which wait for their turn go on.
func TestGoexit(t *testing.T) {
	sc := serverConfig()
	sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName == "localhost" {
			runtime.Goexit()
		}
		return nil, nil
	}
	f := &failures{}
	g := start(t, sc, HandshakeOptions{Parallel: 1}, f)
	bad, good := clientConfig(), clientConfig()
	good.ServerName, good.InsecureSkipVerify = "other", true
	done := make(chan error, 6)
	for i := range cap(done) {
		cc := good
		if i%2 == 0 {
			cc = bad
		}
		go func() {
			if err := g.ask(cc); (err == nil) != (cc == good) {
				done <- fmt.Errorf("client %d: %v", i, err)
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	g.do(func() {
		if len(f.failed) != 3 || !errors.Is(f.failed[0], ErrHandshake) {
			t.Errorf("failed: %v", f.failed)
		}
	})
}

// TestBytesBetweenSteps holds that bytes wait that come when the last step has returned and the end
// of the tick has not come.
func TestBytesBetweenSteps(t *testing.T) {
	b := newBench(t)
	p := &peer{}
	sc := serverConfig()
	sc.ClientAuth = tls.RequestClientCert
	w := b.connect(Server(sc, b.hs, p))
	l, c := w.proto.(*lower), newEnd(t, clientConfig(), true)
	b.receive(w, append(c.feed(nil, false), c.sent()...))
	finished := c.feed(w.sent(), false)
	_ = c.e.write([]byte("early"))
	early := c.sent()
	w.proto.DataReceived(finished)
	if !soon(func() bool { return b.r.ThreadCalls() == 0 }) {
		t.Fatal("the step does not return")
	}
	b.r.CallFromThread(func() {
		if l.hs == nil || !l.hs.stepped {
			t.Error("this test tests nothing")
		}
		w.proto.DataReceived(early)
	})
	b.rest(w)
	if string(p.data) != "early" {
		t.Errorf("received %q", p.data)
	}
	b.lose(w, reactor.ErrConnectionDone)
}

// TestFinishedOnTheLoop holds that the last step computes on the loop, together with what follows,
// if it can call no function of the tls.Config, and off the loop otherwise.
func TestFinishedOnTheLoop(t *testing.T) {
	for name, tc := range map[string]struct {
		set    func(sc, cc *tls.Config)
		onLoop bool
	}{
		"nothing set":         {func(_, _ *tls.Config) {}, true},
		"anew":                {func(sc, _ *tls.Config) { sc.CurvePreferences = []tls.CurveID{tls.CurveP384} }, true},
		"TLS 1.2":             {func(_, cc *tls.Config) { cc.MaxVersion = tls.VersionTLS12 }, false},
		"client certificates": {func(sc, _ *tls.Config) { sc.ClientAuth = tls.RequestClientCert }, false},
		"GetConfigForClient": {func(sc, _ *tls.Config) {
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}, false},
		"WrapSession": {func(sc, _ *tls.Config) {
			sc.WrapSession = func(s tls.ConnectionState, ss *tls.SessionState) ([]byte, error) { return sc.EncryptTicket(s, ss) }
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, p := newBench(t), &peer{}
			sc, cc := serverConfig(), clientConfig()
			tc.set(sc, cc)
			w := b.connect(Server(sc, b.hs, p))
			l, c := w.proto.(*lower), newEnd(t, cc, true)
			to := append(c.feed(nil, false), c.sent()...)
			for {
				b.receive(w, to)
				if to = c.feed(w.sent(), false); c.open || name == "TLS 1.2" {
					break
				}
			}
			if !c.open {
				to = append(to, c.sent()...)
			} else {
				_ = c.e.write([]byte("early"))
				to = append(to, c.sent()...)
			}
			w.proto.DataReceived(to)
			if done := l.hs == nil; done != tc.onLoop || done && string(p.data) != "early" {
				t.Errorf("on the loop: %t, received %q", done, p.data)
			}
			b.rest(w)
			b.lose(w, reactor.ErrConnectionDone)
		})
	}
}

// TestFinishes shows which flights of a client may compute on the loop.
func TestFinishes(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                  false,
		"\x17\x03\x03\x00\x01x":             true,
		"\x14\x03\x03\x00\x01\x01":          false,
		"\x14\x03\x03\x00\x01\x01\x17":      true,
		"\x14\x03\x03\x00\x01\x01\x16":      false,
		"\x16\x03\x03\x00\x01x":             false,
		"\x15\x03\x03\x00\x02\x01\x00":      false,
		"\x14\x03\x03\x00":                  false,
		"\x14\x02\x03\x00\x01\x01\x17":      false,
		"\x14\x03\x03\xff\xff\x01\x17":      false,
		"\x14\x03\x03\x00\x09\x01\x17":      false,
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n": false,
	} {
		if got := finishes([]byte(in)); got != want {
			t.Errorf("%q: %t", in, got)
		}
	}
}

// TestSharedByLoops holds that the loops of a server share the bounds.
func TestSharedByLoops(t *testing.T) {
	h := NewHandshakes(HandshakeOptions{Max: 10, Parallel: 1})
	fs := [3]failures{}
	var rigs []*rig
	for i := range fs {
		g := &rig{t: t} // whose end does not mean that of h
		rigs = append(rigs, g.serve(func() reactor.Protocol { return Server(serverConfig(), h, &fs[i]) }))
	}
	hello := clientHello(t)
	for i := range 60 {
		c, err := net.Dial("tcp", rigs[i%3].addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(hello)
		if i%6 == 0 {
			if err := rigs[i/6%3].ask(clientConfig()); err != nil {
				t.Error(err)
			}
		}
	}
	for i, g := range rigs {
		g.until("room", func() bool { return h.Len() <= 10 && len(fs[i].failed) >= 10 })
	}
}

// TestLoopBuffersAfterAPanic holds that a buffer of the loop is not used again that was in use when
// a protocol panicked: the protocol may have kept it, and whatever it does to it must not reach
// another connection.
func TestLoopBuffersAfterAPanic(t *testing.T) {
	var kept, room []byte
	var made int
	g := start(t, serverConfig(), HandshakeOptions{}, AcceptorFunc(func(*Conn) reactor.Protocol {
		made++
		if made == 2 {
			return &peer{onData: echo}
		}
		return &peer{onData: func(p *peer, b []byte) {
			kept, room = b, p.c.Room(100)
			room = append(room, "of the first"...)
			panic("ouch")
		}}
	}))
	_ = g.ask(clientConfig())
	if err := g.ask(clientConfig()); err != nil {
		t.Fatal(err)
	}
	g.do(func() {
		if string(kept) != "hello" || string(room) != "of the first" {
			t.Fatalf("kept %q, %q", kept, room)
		}
		l := buffersOf(g.r)
		if len(l.plain) > 0 && &l.plain[0] == &kept[0] || len(l.tail) > 0 && &l.tail[0] == &room[0] {
			t.Error("the buffers are used again")
		}
	})
}
