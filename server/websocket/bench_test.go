package websocket

import (
	"testing"
	"time"

	"microhttp/reactor"
)

// taken is a Transport that takes all that is written.
type taken struct {
	reactor.Transport
	scratch []byte
	bytes   int
}

func (n *taken) Room(int) []byte          { return n.scratch[:0] }
func (n *taken) Commit(p []byte)          { n.bytes += len(p) }
func (n *taken) Write(p []byte)           { n.bytes += len(p) }
func (n *taken) Buffered() int            { return 0 }
func (n *taken) SetTimeout(time.Duration) {}

// BenchmarkEcho is what a message of 64 bytes costs in user mode, without the transport.
func BenchmarkEcho(b *testing.B) {
	c, t, in := benchConn()
	frame := make([]byte, len(in))
	b.ReportAllocs()
	for b.Loop() {
		copy(frame, in)
		c.DataReceived(frame)
	}
	if t.bytes != b.N*66 {
		b.Errorf("%d bytes came back", t.bytes)
	}
}

func benchConn() (*Conn, *taken, []byte) {
	t := &taken{scratch: make([]byte, 4096)}
	c := &Conn{kept: &nothing, h: &Handler{OnMessage: func(c *Conn, kind Kind, p []byte) { c.Write(kind, p) }}, t: t}
	in := append([]byte{0x82, 0x80 | 64, 1, 2, 3, 4}, make([]byte, 64)...)
	return c, t, in
}

// A message that comes in one piece is not copied, and its echo allocates nothing.
func TestEchoAllocatesNothing(t *testing.T) {
	c, _, in := benchConn()
	frame := make([]byte, len(in))
	if n := testing.AllocsPerRun(100, func() {
		copy(frame, in)
		c.DataReceived(frame)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
