package reactor

// The queue of a connection's output: pieces in order, from the next to be sent to the last. There is one only while
// something waits, so an idle connection holds a nil pointer. The bytes that a connection keeps for itself are pieces of
// pooled buffers, and what is added to the last of them stands in the same buffer.
//
// A lent piece is in the queue only while Send runs. Send puts the pieces into the queue where they lie, sends what the
// socket takes, by one writev(2), and copies what is left of the lent ones. So there is one way of sending.

import (
	"math"
	"slices"

	"github.com/valyala/bytebufferpool"
)

const (
	// queuesKept is how many queues a loop keeps for connections that need one next, and piecesKept the longest of them.
	queuesKept = 64
	piecesKept = 16

	// heldMost is how many files and given pieces may wait in one connection. Each holds a descriptor, or a page.
	heldMost = 1024
)

type queue struct {
	pieces []Piece // those before at are gone
	at     int
	bytes  int      // in memory that wait
	files  int      // how many file ranges wait
	held   int      // how many file ranges and given pieces
	given  int      // of bytes, those that were given
	first  [2]Piece // what pieces begins with
}

// queue returns the connection's queue, made if there is none. What was gathered for the connection becomes its first
// piece. That is lent: keepLent must follow before anything else is gathered.
func (t *transport) queue() *queue {
	if t.out != nil {
		return t.out
	}
	r := t.r
	if n := len(r.queues); n > 0 {
		t.out = r.queues[n-1]
		r.queues = r.queues[:n-1]
	} else {
		t.out = &queue{}
		t.out.pieces = t.out.first[:0]
	}
	if g := &r.out; g.owner == t && len(g.buf) > 0 {
		t.enqueue(Lent(g.buf))
		g.buf = g.buf[:0]
	}
	return t.out
}

// release gives the queue back, and frees what is left in it. The connection has none when the first file is freed.
func (t *transport) release() {
	q := t.out
	t.out = nil
	t.stopClock()
	t.flags &^= full | roomLent
	if q == nil {
		return
	}
	t.r.unsent -= q.bytes
	t.r.held -= q.given
	q.bytes, q.given = 0, 0
	for ; q.at < len(q.pieces); q.at++ {
		p := q.pieces[q.at]
		q.pieces[q.at] = Piece{}
		if p.own != nil {
			t.r.giveBuffer(p.own)
		}
		t.r.free(&p)
	}
	q.pieces, q.at, q.files, q.held = q.pieces[:0], 0, 0, 0
	if len(t.r.queues) < queuesKept && cap(q.pieces) <= piecesKept {
		t.r.queues = append(t.r.queues, q)
	}
}

func (q *queue) empty() bool { return q.at == len(q.pieces) }

// enqueue adds a piece as the last. It is not empty, unless it is a buffer of our own. Beyond the bound the connection is doomed, and the piece is freed.
func (t *transport) enqueue(p Piece) {
	q := t.out
	n := p.Len()
	holds := p.file != nil || p.given
	if holds && q.held == heldMost {
		t.doom(ErrWriteBound)
		t.r.free(&p) // what that writes is dropped
		return
	}
	if q.at > piecesKept && q.at >= len(q.pieces)/2 {
		q.pieces = slices.Delete(q.pieces, 0, q.at)
		q.at = 0
	}
	q.pieces = append(q.pieces, p)
	if holds {
		q.held++
	}
	if p.file != nil {
		q.files++
		return
	}
	if p.given {
		q.given += int(n)
		t.r.held += int(n)
	}
	q.bytes += int(n)
	t.r.unsent += int(n)
}

// pop takes the first piece out, of which nothing is left. Freeing a file is the caller's.
func (t *transport) pop() {
	q := t.out
	p := &q.pieces[q.at]
	if p.file != nil || p.given {
		q.held--
	}
	if p.file != nil {
		q.files--
	}
	if p.own != nil {
		t.r.giveBuffer(p.own)
	}
	*p = Piece{}
	if q.at++; q.at == len(q.pieces) {
		q.pieces, q.at = q.pieces[:0], 0
	}
}

// took takes n bytes in memory off the front, which the socket has taken, and what is empty there.
func (t *transport) took(n int) {
	q := t.out
	q.bytes -= n
	t.r.unsent -= n
	for !q.empty() {
		p := &q.pieces[q.at]
		left := int(p.Len())
		k := min(n, left)
		switch {
		case p.file != nil:
			return
		case p.given:
			q.given -= k
			t.r.held -= k
		}
		switch {
		case k == left:
			t.pop()
		case p.own != nil:
			p.offset += int64(k)
			if k > 0 && cap(p.own.B) >= outputShrink && left-k <= cap(p.own.B)/4 {
				t.shrink(p)
			}
			return
		default:
			p.data = p.data[k:]
			return
		}
		n -= k
	}
}

// shrink exchanges a buffer for one that fits what is left in it.
func (t *transport) shrink(p *Piece) {
	b := t.r.takeBuffer(int(p.Len()))
	b.B = append(b.B, p.Bytes()...)
	t.r.giveBuffer(p.own)
	p.own, p.offset = b, 0
}

// own returns a buffer of the connection's own that is the last piece, with room for n bytes.
func (t *transport) own(n int) *bytebufferpool.ByteBuffer {
	q := t.queue()
	if last := len(q.pieces) - 1; last >= q.at && q.pieces[last].own != nil {
		return t.r.room(&q.pieces[last], n)
	}
	b := t.r.takeBuffer(n)
	t.enqueue(Piece{own: b})
	return b
}

// room makes room for n bytes in a buffer. What was sent makes room first, unless moving the rest could cost more than it
// saves.
func (r *Reactor) room(p *Piece, n int) *bytebufferpool.ByteBuffer {
	b := p.own
	if cap(b.B)-len(b.B) < n {
		if p.offset >= p.Len() {
			b.B = b.B[:copy(b.B, b.B[p.offset:])]
			p.offset = 0
		}
		before := cap(b.B)
		b.B = slices.Grow(b.B, n)
		r.held += cap(b.B) - before
	}
	return b
}

// keepLent copies what is left of lent pieces, and of given ones that are not worth their place. A connection that is doomed
// drops the lent ones.
func (t *transport) keepLent() {
	q := t.out
	t.exceeds(0)
	kept := q.at
	for i := q.at; i < len(q.pieces); {
		p := q.pieces[i]
		if !p.copied() {
			q.pieces[kept] = p
			kept, i = kept+1, i+1
			continue
		}
		end, n := i, 0
		for ; end < len(q.pieces) && q.pieces[end].copied(); end++ {
			n += len(q.pieces[end].data)
			if q.pieces[end].given {
				q.held--
				q.given -= len(q.pieces[end].data)
				t.r.held -= len(q.pieces[end].data)
			}
		}
		if t.flags&doomed != 0 {
			q.bytes -= n
			t.r.unsent -= n
			i = end
			continue
		}
		var b *bytebufferpool.ByteBuffer
		own := kept > q.at && q.pieces[kept-1].own != nil
		if own {
			b = t.r.room(&q.pieces[kept-1], n)
		} else {
			b = t.r.takeBuffer(n)
		}
		for ; i < end; i++ {
			b.B = append(b.B, q.pieces[i].data...)
		}
		if !own {
			q.pieces[kept] = Piece{own: b}
			kept++
		}
	}
	clear(q.pieces[kept:])
	if q.pieces = q.pieces[:kept]; q.empty() {
		q.pieces, q.at = q.pieces[:0], 0
	}
}

// copied reports whether the bytes of a piece are copied if they have to wait.
func (p *Piece) copied() bool {
	return p.own == nil && p.file == nil && (!p.given || len(p.data) < directSize)
}

// exceeds reports whether n bytes more would be too many to wait in memory, and dooms the connection if so.
func (t *transport) exceeds(n int) bool {
	limit := t.options.MaxBuffered
	if limit <= 0 || n <= limit-t.unsent() {
		return false
	}
	t.doom(ErrWriteBound)
	return true
}

// unsent is how many bytes wait in memory.
func (t *transport) unsent() int {
	if t.out == nil {
		return 0
	}
	return t.out.bytes
}

// fileBytes is how much of files is yet to be sent.
func (t *transport) fileBytes() (n int64) {
	if t.out == nil || t.out.files == 0 {
		return 0
	}
	for i := range t.out.pieces {
		if p := &t.out.pieces[i]; p.file != nil {
			n += min(p.left, math.MaxInt64-n)
		}
	}
	return n
}

// Buffered is what no socket has taken yet.
func (t *transport) Buffered() int {
	n := t.unsent()
	if t.r.out.owner == t {
		n += len(t.r.out.buf)
	}
	return n + int(min(t.fileBytes(), int64(math.MaxInt-n)))
}

// Unsent is what all connections of this reactor hold back together: accepted output that no socket has taken, without
// what is still gathered for the read that is being handled. It is for the loop.
func (r *Reactor) Unsent() int { return r.unsent }

// Held is how much memory the queues of this reactor take, by the capacity of their buffers: Unsent, and the room in those.
// It is for the loop.
func (r *Reactor) Held() int { return r.held }

// Held implements Transport.
func (t *transport) Held() int {
	if t.out == nil {
		return 0
	}
	n := t.out.given
	for i := range t.out.pieces {
		if b := t.out.pieces[i].own; b != nil {
			n += cap(b.B)
		}
	}
	return n
}
