package tlslayer

// A layer without a socket: a Transport in memory on a reactor that the test drives.

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"microhttp/reactor"
)

// wire is the Transport below a layer.
type wire struct {
	r     *reactor.Reactor
	proto reactor.Protocol
	out   []byte // what the layer has written
	room  []byte

	producer                        reactor.Producer
	paused, losing, aborted, halved bool
	toldHalved, lost                bool
	slowed                          bool // the producer was told to pause
	timeout                         time.Duration
	full                            int // what Buffered says, beyond what was written
}

func (w *wire) Write(p []byte) {
	if !w.losing && !w.aborted && !w.halved {
		w.out = append(w.out, p...)
	}
}

func (w *wire) Room(n int) []byte {
	if cap(w.room) < n {
		w.room = make([]byte, 0, max(n, 4096))
	}
	return w.room
}
func (w *wire) Commit(b []byte) { w.Write(b) }
func (w *wire) Send(pieces ...reactor.Piece) {
	for i := range pieces {
		w.Write(pieces[i].Bytes())
	}
}
func (w *wire) Buffered() int                         { return w.full }
func (w *wire) Held() int                             { return w.full }
func (w *wire) Unacknowledged() int                   { return w.full }
func (w *wire) LoseConnection()                       { w.losing = true }
func (w *wire) AbortConnection()                      { w.aborted = true }
func (w *wire) CloseWrite()                           { w.halved = true }
func (w *wire) PauseReading()                         { w.paused = true }
func (w *wire) ResumeReading()                        { w.paused = false }
func (w *wire) PauseProducing()                       { w.PauseReading() }
func (w *wire) ResumeProducing()                      { w.ResumeReading() }
func (w *wire) StopProducing()                        { w.LoseConnection() }
func (w *wire) SetTimeout(d time.Duration)            { w.timeout = d }
func (w *wire) RegisterProducer(p reactor.Producer)   { w.producer, w.slowed = p, false }
func (w *wire) SetProtocol(reactor.Protocol, []byte)  {}
func (w *wire) Detach() (d reactor.Detached, _ error) { return d, errors.ErrUnsupported }
func (w *wire) Info() reactor.Info                    { return nowhere{} }
func (w *wire) String() string                        { return "wire" }
func (w *wire) Reactor() *reactor.Reactor             { return w.r }

type nowhere struct{}

func (nowhere) LocalAddr() (a netip.AddrPort)  { return a }
func (nowhere) RemoteAddr() (a netip.AddrPort) { return a }
func (nowhere) Socket() (s reactor.Socket)     { return s }

// bench is a reactor that is driven by its test, for any number of wires.
type bench struct {
	t  testing.TB
	r  *reactor.Reactor
	hs *Handshakes

	expects bool // reports, which are errors of the test else
	reports []error
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, hs: NewHandshakes(HandshakeOptions{})}
	r, err := reactor.New(reactor.Config{StallLimit: -1, ReportError: func(err error) {
		if b.reports = append(b.reports, err); !b.expects {
			b.t.Errorf("reported: %v", err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	b.r = r
	return b
}

// connect puts a layer on a wire.
func (b *bench) connect(p reactor.Protocol) *wire {
	w := &wire{r: b.r, proto: p}
	p.ConnectionMade(w)
	return w
}

// receive hands bytes to the layer, as far as it takes them, and waits until nothing computes.
func (b *bench) receive(w *wire, p []byte) {
	if !w.paused && !w.losing && !w.aborted && !w.lost && len(p) > 0 {
		w.proto.DataReceived(p)
	}
	b.rest(w)
}

// rest lets the loop go on until there is nothing to do.
func (b *bench) rest(w *wire) {
	l := w.proto.(*lower)
	for {
		computes := b.r.ThreadCalls() > 0 // what it found may come back after this Iterate
		if err := b.r.Iterate(0); err != nil {
			b.t.Fatal(err)
		}
		w.tellProducer()
		switch {
		case w.lost:
		case w.aborted:
			b.lose(w, reactor.ErrAborted)
		case w.losing && w.producer == nil:
			b.lose(w, reactor.ErrConnectionDone)
		case w.halved && !w.toldHalved:
			w.toldHalved = true
			l.WriteConnectionLost()
			continue
		}
		if l.flags&touched == 0 && !computes && b.r.ThreadCalls() == 0 && !l.computing {
			return
		}
		runtime.Gosched()
	}
}

// tellProducer tells the layer, which is the producer, which side of its marks the output has come
// to.
func (w *wire) tellProducer() {
	m, ok := w.producer.(reactor.MarkedProducer)
	if !ok || w.lost {
		return
	}
	switch high, low := m.WaterMarks(); {
	case !w.slowed && w.full > high:
		w.slowed = true
		m.PauseProducing()
	case w.slowed && w.full <= low:
		w.slowed = false
		m.ResumeProducing()
	}
}

func (b *bench) lose(w *wire, reason error) {
	if !w.lost {
		w.lost = true
		w.proto.ConnectionLost(reason)
	}
}

// sent takes what the layer has sent.
func (w *wire) sent() []byte {
	p := w.out
	w.out = nil
	return p
}

// shake completes the handshake of a layer with a client in memory. It returns what the server sent
// first.
func (b *bench) shake(t testing.TB, w *wire, c *end) (serverHello []byte) {
	t.Helper()
	to := append(c.feed(nil, false), c.sent()...)
	for len(to) > 0 {
		b.receive(w, to)
		p := w.sent()
		if serverHello == nil {
			serverHello = p
		}
		to = c.feed(p, false)
	}
	if !c.open || c.err != nil {
		t.Fatalf("the handshake has failed: %v", c.err)
	}
	return serverHello
}
