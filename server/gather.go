package server

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/valyala/bytebufferpool"
)

// Large bodies. The buffer of a small body grows as it arrives. One that outgrows pieceSize is gathered in pieces of that
// size, and joined once, when it is whole. Growing one buffer to 8 MiB would leave another 8 MiB of smaller ones to the
// garbage collector.
//
// Pieces lie outside of Go's heap, so the collector does not take a hundred half bodies for a reason to let the heap
// double. Each piece is given back by hand: when its body is joined, or when its body ends without being whole.

// pieceSize is the size of a piece in bytes. A body up to this size is never in pieces.
const pieceSize = 64 << 10

// sparePieces is how many pieces the process keeps for later use: 4 MiB.
const sparePieces = 64

// pieces are the pieces of all servers of the process. Any goroutine may use it.
var pieces struct {
	mu    sync.Mutex
	spare [][]byte
	inUse atomic.Int64
}

// takePiece returns a piece of pieceSize bytes. It panics when the system has no memory left, as Go does.
func takePiece() []byte {
	p := &pieces
	p.mu.Lock()
	var b []byte
	if n := len(p.spare); n > 0 {
		b, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	p.mu.Unlock()
	if b == nil {
		var err error
		b, err = syscall.Mmap(-1, 0, pieceSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic("server: no memory for a body: " + err.Error())
		}
	}
	p.inUse.Add(1)
	return b
}

func givePiece(b []byte) {
	p := &pieces
	p.inUse.Add(-1)
	p.mu.Lock()
	keep := len(p.spare) < sparePieces
	if keep {
		p.spare = append(p.spare, b)
	}
	p.mu.Unlock()
	if !keep {
		_ = syscall.Munmap(b) // which fails for what is no mapping alone
	}
}

// A gatherer gathers a body in pieces. The zero value is empty. It belongs to one goroutine at a time.
type gatherer struct {
	pieces [][]byte
	size   int
}

// add copies p behind what was gathered.
func (g *gatherer) add(p []byte) {
	for len(p) > 0 {
		n := copy(g.room(), p)
		g.size += n
		p = p[n:]
	}
}

// room is where the next bytes belong. Who puts n there adds n to size.
func (g *gatherer) room() []byte {
	at := g.size % pieceSize
	if g.size == len(g.pieces)*pieceSize {
		g.pieces = append(g.pieces, takePiece())
	}
	return g.pieces[len(g.pieces)-1][at:]
}

// moveTo appends what was gathered to b, and gives the pieces back on the way.
func (g *gatherer) moveTo(b []byte) []byte {
	left := g.size
	for _, piece := range g.pieces {
		n := min(left, pieceSize)
		b = append(b, piece[:n]...)
		left -= n
		givePiece(piece)
	}
	*g = gatherer{}
	return b
}

// drop gives the pieces back.
func (g *gatherer) drop() {
	for _, piece := range g.pieces {
		givePiece(piece)
	}
	*g = gatherer{}
}

// holds is what the pieces take in memory.
func (g *gatherer) holds() int { return len(g.pieces) * pieceSize }

// join makes one body of what has arrived.
func (r *Request) join() {
	if r.gathered.size == 0 {
		return
	}
	first := r.bodyBuf
	b := takeLargeBody(len(first.B) + r.gathered.size)
	b.B = r.gathered.moveTo(append(b.B, first.B...))
	bytebufferpool.Put(first)
	r.bodyBuf, r.body = b, b.B
}

// spareBodies has buffers of bodies above pieceSize, for later use.
var spareBodies sync.Pool // of *bytebufferpool.ByteBuffer

// takeLargeBody returns an empty buffer with room for n bytes.
func takeLargeBody(n int) *bytebufferpool.ByteBuffer {
	if b, _ := spareBodies.Get().(*bytebufferpool.ByteBuffer); b != nil && cap(b.B) >= n && cap(b.B) <= 2*n {
		return b
	}
	return &bytebufferpool.ByteBuffer{B: make([]byte, 0, n)}
}

// giveBody gives the buffer of a body back.
func giveBody(b *bytebufferpool.ByteBuffer) {
	if cap(b.B) <= pieceSize {
		bytebufferpool.Put(b)
		return
	}
	b.Reset()
	spareBodies.Put(b)
}
