package reactor

import (
	"io"
	"net/netip"
	"testing"
)

// Producers are told which side of the water marks the output has come to.

// A slow reader holds output in memory, and gives it all back once it has read.
func TestSlowReader(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		l := start(t, c)
		want := pattern(16 << 20)
		conn, rec := l.connect(nil, nil)
		l.do(func() { rec.Write(want) })
		l.do(func() {
			if rec.Buffered() == 0 {
				t.Error("the kernel took it all: this test tests nothing")
			}
			if n := len(l.Writers()); n != 1 {
				t.Errorf("%d writers, want 1", n)
			}
		})
		if got := readN(t, conn, len(want)); got != string(want) {
			t.Error("the bytes differ")
		}
		l.do(func() {
			if rec.Buffered() != 0 || rec.Transport.(*transport).out != nil {
				t.Error("a drained connection holds a buffer")
			}
			if len(l.Writers()) != 0 {
				t.Error("a drained connection is watched for writing")
			}
		})
	})
}

// A feeder is a producer that writes until it is told to pause.
type feeder struct {
	p       *recorder
	left    int
	paused  bool
	stopped bool
	pauses  int
	highest int
	inWrite bool
	t       *testing.T
}

func (f *feeder) feed() {
	for !f.paused && f.left > 0 {
		f.left--
		f.inWrite = true
		f.p.Write(make([]byte, 8<<10))
		f.inWrite = false
		f.highest = max(f.highest, f.p.Buffered())
		if f.left%2 == 0 { // the flush comes when the callback is over
			f.p.Reactor().CallFromThread(f.feed)
			return
		}
	}
	if f.left == 0 {
		f.p.RegisterProducer(nil)
		f.p.LoseConnection()
	}
}

func (f *feeder) StopProducing() { f.stopped = true }

func (f *feeder) PauseProducing() {
	if f.inWrite {
		f.t.Error("told within Write")
	}
	if f.p.Buffered() <= 100<<10 {
		f.t.Errorf("paused at %d", f.p.Buffered())
	}
	f.paused = true
	f.pauses++
}

func (f *feeder) ResumeProducing() {
	if f.inWrite {
		f.t.Error("told within Write")
	}
	if f.p.Buffered() > 10<<10 {
		f.t.Errorf("resumed at %d", f.p.Buffered())
	}
	f.paused = false
	f.feed()
}

// A producer that heeds the water marks never has much more than the high one in memory.
func TestWaterMarks(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		const pieces = 3000 // 24 MiB, more than any socket buffers
		l := start(t, c)
		conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{HighWater: 100 << 10, LowWater: 10 << 10}}, nil)
		f := &feeder{p: rec, left: pieces, t: t}
		l.do(func() { rec.RegisterProducer(f); f.feed() })
		eventually(t, "the producer to be paused", func() (paused bool) {
			l.do(func() { paused = f.paused })
			return paused
		})
		if n, err := io.Copy(io.Discard, conn); n != pieces*8<<10 || err != nil {
			t.Errorf("peer got %d bytes, %v", n, err)
		}
		rec.reason(l)
		if f.pauses == 0 || f.highest > 150<<10 || f.stopped {
			t.Errorf("%d pauses, %d bytes buffered, stopped: %v", f.pauses, f.highest, f.stopped)
		}
	})
}

// A selfProducer is a protocol that produces.
type selfProducer struct {
	*recorder
	pauses int
}

func (p *selfProducer) PauseProducing() { p.pauses++ }

func (p *selfProducer) ResumeProducing() {}

func (p *selfProducer) StopProducing() {}

// A protocol that is its own producer stays the producer when another protocol takes over, and costs the connection nothing.
func TestProducerOutlivesItsProtocol(t *testing.T) {
	l := start(t, Config{})
	p := &selfProducer{recorder: newRecorder()}
	port := l.listen(func(netip.AddrPort) Protocol { return p }, nil)
	dial(t, port)
	receive(t, p.made, "ConnectionMade")
	second := newRecorder()
	l.do(func() {
		p.RegisterProducer(p)
		if p.Transport.(*transport).cold != nil {
			t.Error("a producer that is the protocol is kept twice")
		}
		p.SetProtocol(second, nil)
		second.Write(make([]byte, 16<<20))
	})
	l.do(func() {
		if p.pauses != 1 {
			t.Errorf("paused %d times", p.pauses)
		}
		second.RegisterProducer(nil)
		second.AbortConnection()
	})
	second.reason(l)
}

// Once nothing can be written any more, a producer is not asked for more.
func TestProducerIsNotAskedAtTheEnd(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	f := &feeder{p: rec, left: 1, t: t}
	l.do(func() {
		rec.Write(make([]byte, 16<<20))
		rec.CloseWrite()
		rec.RegisterProducer(f)
	})
	if n, err := io.Copy(io.Discard, conn); n != 16<<20 || err != nil {
		t.Errorf("peer got %d bytes, %v", n, err)
	}
	conn.Close()
	rec.reason(l)
	if f.pauses > 0 || f.left != 1 || !f.stopped {
		t.Errorf("%d pauses, %d pieces left, stopped: %v", f.pauses, f.left, f.stopped)
	}
}
