package tlslayer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"microhttp/reactor"
)

// pair is a layer whose handshake is complete, on a wire, and its client.
func pair(t *testing.T, p *peer) (b *bench, w *wire, c *end) {
	t.Helper()
	b = newBench(t)
	w = b.connect(Server(serverConfig(), b.hs, p))
	c = newEnd(t, clientConfig(), true)
	b.shake(t, w, c)
	t.Cleanup(func() { b.lose(w, reactor.ErrConnectionDone) })
	return b, w, c
}

// TestDataWithTheHandshake holds that what comes together with the end of the handshake is not
// lost, however much it is.
func TestDataWithTheHandshake(t *testing.T) {
	for _, n := range []int{1, 1000, 60_000} {
		b := newBench(t)
		p := &peer{}
		w := b.connect(Server(serverConfig(), b.hs, p))
		c := newEnd(t, clientConfig(), true)
		b.receive(w, append(c.feed(nil, false), c.sent()...))
		last := c.feed(w.sent(), false)
		text := noise(n)
		_ = c.e.write(text)
		last = append(last, c.sent()...)
		b.receive(w, last[:len(last)-1])
		b.receive(w, last[len(last)-1:])
		if !bytes.Equal(p.data, text) {
			t.Errorf("received %d bytes of %d", len(p.data), n)
		}
		b.lose(w, reactor.ErrConnectionDone)
	}
}

// TestPausedInTheMiddle holds the same of a read that is larger than the plaintext that is handed
// over at a time, when the protocol pauses in the middle of it.
func TestPausedInTheMiddle(t *testing.T) {
	p := &peer{}
	b, w, c := pair(t, p)
	text := noise(200_000)
	_ = c.e.write(text)
	in := c.sent()
	p.onData = func(p *peer, _ []byte) { p.c.PauseReading() }
	w.proto.DataReceived(in[:len(in)-1]) // more than a reactor reads at a time
	b.rest(w)
	for range 10 {
		p.c.ResumeReading()
		b.rest(w)
	}
	b.receive(w, in[len(in)-1:])
	p.c.ResumeReading()
	b.rest(w)
	if !bytes.Equal(p.data, text) {
		t.Errorf("received %d bytes of %d, lost: %v", len(p.data), len(text), p.lost)
	}
}

// TestInputIsCounted holds that input that waits is part of what the loop holds, and no more when
// it has gone.
func TestInputIsCounted(t *testing.T) {
	p := &peer{}
	b, w, c := pair(t, p)
	idle := b.r.Held()
	_ = c.e.write(noise(16 << 10))
	in := c.sent()
	b.receive(w, in[:len(in)-1])
	if n := b.r.Held() - idle; n < 1000 || p.c.Held() != n {
		t.Errorf("%d bytes are held, %d by the connection", n, p.c.Held())
	}
	b.receive(w, in[len(in)-1:])
	if n := b.r.Held(); n != idle || p.c.Held() != 0 || idle != 0 {
		t.Errorf("%d bytes are held, %d by the connection; before %d", n, p.c.Held(), idle)
	}
	b.receive(w, in[:100])
	b.lose(w, reactor.ErrConnectionLost)
	if n := b.r.Held(); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

func TestNames(t *testing.T) {
	p := &peer{}
	g := start(t, serverConfig(), HandshakeOptions{}, p)
	c := g.dial(clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	g.until("the connection", func() bool { return p.c != nil })
	g.do(func() {
		name := "tls tcp " + c.NetConn().LocalAddr().String()
		if got := p.c.String(); got != name {
			t.Errorf("%q, want %q", got, name)
		}
		if _, err := p.c.Detach(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Detach: %v", err)
		}
		if got := p.c.Info().RemoteAddr().String(); got != c.NetConn().LocalAddr().String() || p.c.Info().Socket().FD() < 0 {
			t.Errorf("the peer is %s", got)
		}
		p.c.Write([]byte("hello"))
		if n := p.c.Unacknowledged(); n < 5 || p.c.Buffered() != 5 || p.c.Held() < 5 {
			t.Errorf("%d bytes are not acknowledged, %d buffered, %d held", n, p.c.Buffered(), p.c.Held())
		}
		p.c.LoseConnection()
		if got := p.c.String(); got != name+", ending" {
			t.Errorf("%q", got)
		}
	})
	g.until("the end", func() bool { return p.losses == 1 })
	g.do(func() {
		if got := p.c.String(); !strings.HasSuffix(got, ", lost") {
			t.Errorf("%q", got)
		}
	})
}

// TestAdapters holds what the adapters do: a factory gets the address of the peer, a nil protocol
// refuses the connection in an orderly way, and handshakes that fail are ignored.
func TestAdapters(t *testing.T) {
	var from netip.AddrPort
	f := Factory{reactor.FactoryFunc(func(remote netip.AddrPort) reactor.Protocol { from = remote; return nil })}
	for name, a := range map[string]Acceptor{"Factory": f, "AcceptorFunc": AcceptorFunc(func(*Conn) reactor.Protocol { return nil })} {
		g := start(t, serverConfig(), HandshakeOptions{}, a)
		c := g.dial(clientConfig())
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
			t.Errorf("%s: a refused client has read %q, %v", name, got, err)
		}
		if end := rawEnd(c); end != "FIN" {
			t.Errorf("%s: %s", name, end)
		}
		g.do(func() {
			if name == "Factory" && from.String() != c.NetConn().LocalAddr().String() {
				t.Errorf("the factory was told of %v", from)
			}
		})
		raw, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_, _ = raw.Write([]byte("no TLS at all"))
		_ = raw.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(raw); len(got) > 0 || err != nil {
			t.Errorf("%s: without TLS: %q, %v", name, got, err)
		}
	}
}

// TestLingeringIsBounded holds that a peer that goes on sending after an alert is cut off.
func TestLingeringIsBounded(t *testing.T) {
	p := &peer{}
	b, w, _ := pair(t, p)
	b.receive(w, []byte("no record"))
	if !w.halved || w.timeout != lingerTime || p.losses > 0 {
		t.Fatalf("half-closed %v, timeout %v, lost: %v", w.halved, w.timeout, p.lost)
	}
	p.c.SetTimeout(0) // is ignored, as all else
	p.c.Write([]byte("late"))
	p.c.PauseReading()
	for range lingerMost/plainSize + 1 {
		b.receive(w, make([]byte, plainSize))
	}
	if !w.aborted || p.losses != 1 || !errors.Is(p.lost, reactor.ErrConnectionLost) || errors.Is(p.lost, reactor.ErrAborted) {
		t.Errorf("aborted %v, lost with %v", w.aborted, p.lost)
	}
	p = &peer{}
	b, w, _ = pair(t, p)
	b.receive(w, []byte("no record"))
	w.proto.(reactor.TimeoutHandler).TimeoutConnection()
	if b.rest(w); !w.aborted || p.losses != 1 {
		t.Errorf("after its time: aborted %v, lost with %v", w.aborted, p.lost)
	}
}

// TestTooManyPieces holds that pieces which hold something are bounded, and files are freed
// whatever becomes of them.
func TestTooManyPieces(t *testing.T) {
	p := &peer{}
	b, w, _ := pair(t, p)
	w.full = 1 << 20 // the transport below takes nothing
	freed := 0
	file := memoryFile(noise(100))
	for range heldMost + 10 {
		p.c.Send(reactor.FileRange(file, 0, 100).OnFree(func(bool) {
			if freed++; freed%3 == 0 {
				panic("in OnFree")
			}
		}))
	}
	b.expects = true
	b.rest(w)
	if b.rest(w); !errors.Is(p.lost, reactor.ErrWriteBound) || freed != heldMost+10 {
		t.Errorf("lost with %v, freed %d", p.lost, freed)
	}
	if n := len(b.reports); n != freed/3 {
		t.Errorf("%d panics were reported of %d", n, freed/3)
	}
}

// A memoryFile is a file without a descriptor.
type memoryFile []byte

func (f memoryFile) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(f).ReadAt(p, at) }
func (f memoryFile) Fd() uintptr                            { return ^uintptr(0) }

// TestTooMuch holds that a writer without measure is lost, in small pieces and in large ones.
func TestTooMuch(t *testing.T) {
	for _, n := range []int{1000, 1 << 20} {
		p := &peer{}
		b, w, _ := pair(t, p)
		w.full = 1 << 20
		for range 100 << 20 / n {
			if p.c.Write(make([]byte, n)); p.c.flags&doomed != 0 {
				break
			}
		}
		if b.rest(w); !errors.Is(p.lost, reactor.ErrWriteBound) {
			t.Errorf("pieces of %d: lost with %v", n, p.lost)
		}
	}
}

// TestRoomIsVoid holds that a Commit is for the room that the call before it has lent, and for
// nothing else.
func TestRoomIsVoid(t *testing.T) {
	p := &peer{}
	b, w, c := pair(t, p)
	panics := func(what string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		f()
	}
	panics("without a Room", func() { p.c.Commit(nil) })
	room := append(p.c.Room(10), "lost"...)
	p.c.Write([]byte("hello "))
	panics("after a Write", func() { p.c.Commit(room) })
	panics("of another slice", func() { p.c.Room(10); p.c.Commit(make([]byte, 3, 5)) })
	p.c.Commit(append(p.c.Room(10), "world "...))
	large := p.c.Room(10)
	p.c.Commit(append(large, noise(100_000)...)) // append has moved it
	b.rest(w)
	if c.feed(w.sent(), false); string(c.plain) != "hello world "+string(noise(100_000)) {
		t.Errorf("the client received %d bytes", len(c.plain))
	}
}

// TestProducesForItself holds that a connection which produces for itself is not waited for, and
// that one which is lost takes no producer and no protocol.
func TestProducesForItself(t *testing.T) {
	to := &peer{}
	g := start(t, serverConfig(), HandshakeOptions{}, to)
	c := g.dial(clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	g.until("the connection", func() bool { return to.c != nil })
	g.do(func() {
		to.c.RegisterProducer(to.c) // which is not waited for
		to.c.StopProducing()
	})
	g.until("the end", func() bool { return to.losses == 1 })
	g.do(func() {
		to.c.RegisterProducer(to.c) // lost: nothing happens
		to.c.SetProtocol(&peer{onMade: func(*peer) { t.Error("a lost connection was handed over") }}, nil)
		if to.c.flags&produced != 0 {
			t.Error("a lost connection has a producer")
		}
	})
}
