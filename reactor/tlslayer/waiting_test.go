package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"microhttp/reactor"
)

// TestWaitingHandshakeIsSmall holds what a handshake takes that waits for the client's Finished: in
// the heap, of which crypto/tls has the most, and as the stack of its coroutine.
func TestWaitingHandshakeIsSmall(t *testing.T) {
	const n, mostHeap, mostStack = 200, 10_500, 8_700
	b := newBench(t)
	hello := clientHello(t)
	sc := serverConfig()
	shake := func() *wire {
		w := b.connect(Server(sc, b.hs, &peer{}))
		b.receive(w, hello)
		if len(w.sent()) == 0 {
			t.Fatal("no answer")
		}
		return w
	}
	b.lose(shake(), reactor.ErrConnectionDone)
	measure := func() (heap, stack int) {
		runtime.GC() // each halves a stack of which little is used
		runtime.GC()
		runtime.GC() // and pools are empty after two
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc), int(m.StackInuse)
	}
	heap, stack := measure()
	var wires []*wire
	for range n {
		wires = append(wires, shake())
	}
	moreHeap, moreStack := measure()
	heap, stack = (moreHeap-heap)/n, (moreStack-stack)/n
	t.Logf("%d bytes of heap, %d of stack", heap, stack)
	if heap > mostHeap || stack > mostStack && !raceEnabled {
		t.Errorf("a handshake that waits takes %d bytes of heap, want at most %d, and %d of stack, want at most %d",
			heap, mostHeap, stack, mostStack)
	}
	for _, w := range wires {
		if e := w.proto.(*lower).e; e.buffer(rawInput).Cap()+e.buffer(hand).Cap()+cap(*e.sending()) > 0 {
			t.Error("a handshake that waits keeps a buffer")
		}
		b.lose(w, reactor.ErrConnectionDone)
	}
}

// TestInputIsExchanged holds that handshakes whose input buffers go round are all completed,
// however their flights are cut, when the memory of one is written by others while it waits.
func TestInputIsExchanged(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // so that the pool keeps what it has
	for name, version := range versions {
		for _, long := range []bool{false, true} {
			b := newBench(t)
			sc, cc := serverConfig(), clientConfig()
			cc.MaxVersion = version
			if long { // a hello that outgrows the buffer that is lent
				for range 60 {
					cc.NextProtos = append(cc.NextProtos, strings.Repeat("p", 50))
				}
			}
			var wires []*wire
			var clients []*end
			for range 5 {
				p := &peer{onData: func(p *peer, d []byte) { p.c.Write(d) }}
				wires = append(wires, b.connect(Server(sc, b.hs, p)))
				clients = append(clients, newEnd(t, cc, true))
			}
			to := make([][]byte, len(wires))
			for i, c := range clients {
				to[i] = append(c.feed(nil, false), c.sent()...)
			}
			for going := true; going; {
				going = false
				for i, w := range wires {
					k := len(to[i]) - len(to[i])/3 // so that one waits within a flight while others go on
					b.receive(w, to[i][:k])
					to[i] = append(to[i][k:], clients[i].feed(w.sent(), false)...)
					going = going || len(to[i]) > 0
				}
			}
			for i, c := range clients {
				if !c.open || c.err != nil {
					t.Fatalf("%s, long %t: client %d: open %t, %v", name, long, i, c.open, c.err)
				}
				_ = c.e.write([]byte("hello"))
				b.receive(wires[i], c.sent())
				if c.feed(wires[i].sent(), false); string(c.plain) != "hello" {
					t.Errorf("%s, long %t: client %d received %q", name, long, i, c.plain)
				}
				b.lose(wires[i], reactor.ErrConnectionDone)
			}
		}
	}
}

// TestUnexchanged holds that all is well when the input buffer cannot be exchanged: it is kept.
func TestUnexchanged(t *testing.T) {
	lookUp.Do(findBuffers)
	if !exchanges {
		t.Fatal("bytes.Buffer.ReadFrom has changed: look at lend.go. Until then a handshake that waits keeps 2 KiB more")
	}
	defer func() { exchanges = true }()
	exchanges = false
	b := newBench(t)
	w, c := b.connect(Server(serverConfig(), b.hs, &peer{})), newEnd(t, clientConfig(), true)
	b.receive(w, c.feed(nil, false))
	if e := w.proto.(*lower).e; e.buffer(rawInput).Cap() != helloSize {
		t.Errorf("the input buffer is of %d bytes", e.buffer(rawInput).Cap())
	}
	b.receive(w, c.feed(w.sent(), false))
	if c.feed(w.sent(), false); !c.open || c.err != nil || w.proto.(*lower).hs != nil {
		t.Errorf("open %t, %v", c.open, c.err)
	}
	b.lose(w, reactor.ErrConnectionDone)
}

// stateOnFailure asks for the state of a connection whose handshake has failed.
type stateOnFailure struct {
	failure error
	state   tls.ConnectionState
}

func (s *stateOnFailure) BuildProtocol(*Conn) reactor.Protocol { return nil }
func (s *stateOnFailure) HandshakeFailed(c *Conn, err error) {
	s.failure, s.state = err, c.ConnectionState()
}

// TestStateOfTheLate holds that ConnectionState does not block when a handshake ends while a step of it
// computes: that has a lock of crypto/tls, and needs the loop to come back.
func TestStateOfTheLate(t *testing.T) {
	for name, ended := range map[string]func(w *wire){
		"timeout": func(w *wire) { w.proto.(reactor.TimeoutHandler).TimeoutConnection() },
		"loss":    func(w *wire) { w.lost = true; w.proto.ConnectionLost(reactor.ErrConnectionLost) },
	} {
		b := newBench(t)
		release, entered := make(chan struct{}), make(chan struct{})
		sc := serverConfig()
		sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			close(entered)
			<-release
			return nil, nil
		}
		s := &stateOnFailure{}
		w := b.connect(Server(sc, b.hs, s))
		w.proto.DataReceived(clientHello(t))
		<-entered
		ended(w)
		if s.failure == nil || s.state.Version != 0 {
			t.Errorf("%s: failed with %v, the state is %+v", name, s.failure, s.state)
		}
		close(release)
		b.rest(w)
		if c := (*Conn)(w.proto.(*lower)); c.computing || c.ConnectionState().HandshakeComplete {
			t.Errorf("%s: after the step: %+v", name, c.ConnectionState())
		}
		b.lose(w, reactor.ErrConnectionDone)
	}
}

// panicsOnFailure is an Acceptor of which HandshakeFailed panics.
type panicsOnFailure struct{ stateOnFailure }

func (*panicsOnFailure) HandshakeFailed(*Conn, error) { panic("in HandshakeFailed") }

// TestPanicOnLoss holds that a panic of HandshakeFailed leaves nothing counted.
func TestPanicOnLoss(t *testing.T) {
	b := newBench(t)
	w := b.connect(Server(serverConfig(), b.hs, &panicsOnFailure{}))
	b.receive(w, bytes.Clone(clientHello(t)[:100]))
	if b.r.Held() == 0 {
		t.Error("the part of a record is not counted")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		b.lose(w, errors.New("the end"))
	}()
	if n, h := b.r.Held(), b.hs.Len(); n != 0 || h != 0 {
		t.Errorf("%d bytes and %d handshakes are counted", n, h)
	}
}
