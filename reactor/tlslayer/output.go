package tlslayer

// Output. What is small is gathered, in a buffer of the loop while a callback of the protocol runs,
// and encrypted together when the callback ends, or at the end of the tick. What is large is
// encrypted at once, as long as the transport below sends it. When it does not, the plaintext waits
// here in a queue of pieces, and is encrypted as the peer reads: so a large answer that was Given,
// or a file, costs a slow reader no more than one chunk of ciphertext.
//
// The order of the bytes is kept by one rule: what is gathered comes after what is queued.

import (
	"fmt"
	"math"
	"runtime/debug"

	"microhttp/reactor"
)

const (
	// encryptMost is how much plaintext is encrypted for one write below, and in one tick for one
	// connection.
	encryptMost = 256 << 10

	// directSize is from where on a piece is not copied before it is encrypted.
	directSize = 16 << 10

	// tailMost is how much is gathered at most.
	tailMost = 64 << 10

	// roomMin is what Room offers at least.
	roomMin = 4 << 10

	// heldMost is how many files and given pieces may wait in one connection.
	heldMost = 1024
)

// output is the queue.
type output struct {
	pieces []piece // those before at are gone
	at     int
	bytes  int // in memory
	held   int // how many pieces are files or given
}

// A piece is a part of the output: bytes, or a range of a file.
type piece struct {
	data  []byte
	buf   []byte        // what data lies in, if that is ours
	given bool          // data was given
	file  reactor.Piece // or else a file: what is free when it has been sent
	f     reactor.File
	at    int64
	left  int64
}

// Write implements reactor.Transport.
func (c *Conn) Write(p []byte) {
	switch {
	case c.flags&mute != 0 || len(p) == 0:
	case len(p) < directSize:
		c.flags &^= roomLent
		c.gather(p)
	default:
		c.flags &^= roomLent
		c.send(p, false)
	}
}

// Room implements reactor.Transport.
func (c *Conn) Room(n int) []byte {
	n = max(n, roomMin)
	if c.flags&mute != 0 {
		return make([]byte, 0, n) // for what is dropped then
	}
	c.makeRoom(n)
	c.flags |= roomLent
	c.touch()
	return c.tail[len(c.tail):]
}

// Commit implements reactor.Transport.
func (c *Conn) Commit(b []byte) {
	switch {
	case c.flags&mute != 0:
		return
	case c.flags&roomLent == 0:
		panic("tlslayer: Commit of room that was not lent by the call before it")
	}
	c.flags &^= roomLent
	n := len(c.tail)
	switch room := cap(c.tail) - n; {
	case cap(b) > room: // append has moved it: it is the caller's own memory, and given to us
		c.Send(reactor.Given(b))
	case cap(b) < room || len(b) > 0 && &b[0] != &c.tail[:n+1][n]:
		panic("tlslayer: Commit of a slice that is not the room that was lent")
	case !c.exceeds(len(b)):
		c.tail = c.tail[:n+len(b)]
		c.touch()
	}
}

// Send implements reactor.Transport.
func (c *Conn) Send(pieces ...reactor.Piece) {
	if c.flags&mute != 0 {
		for i := range pieces {
			c.free(pieces[i])
		}
		return
	}
	c.flags &^= roomLent
	size, small := 0, true
	for i := range pieces {
		f, _, _ := pieces[i].File()
		size += len(pieces[i].Bytes())
		small = small && f == nil && size < directSize
	}
	for i := range pieces {
		p := &pieces[i]
		f, at, n := p.File()
		switch {
		case p.Len() == 0, c.flags&dead != 0:
			defer c.free(*p) // when the queue is in order
		case f != nil:
			c.enqueue(piece{file: *p, f: f, at: at, left: n})
		case small || len(p.Bytes()) < directSize:
			c.gather(p.Bytes())
		default:
			c.send(p.Bytes(), p.IsGiven())
		}
	}
	c.touch()
}

// gather adds a copy of p, which is small.
func (c *Conn) gather(p []byte) {
	if c.exceeds(len(p)) {
		return
	}
	c.makeRoom(len(p))
	c.tail = append(c.tail, p...)
	c.touch()
}

// makeRoom has the tail begin, or go on, with room for n bytes.
func (c *Conn) makeRoom(n int) {
	if c.tail != nil && cap(c.tail)-len(c.tail) < n && len(c.tail)+n > tailMost {
		c.flushTail()
	}
	switch {
	case c.tail == nil && c.flags&inside != 0 && n <= tailMost:
		c.tail = take(&c.loop.tail, tailMost)[:0]
	case c.tail == nil:
		c.tail = c.loop.small(n)
	case cap(c.tail)-len(c.tail) < n:
		b := append(make([]byte, 0, max(2*cap(c.tail), len(c.tail)+n)), c.tail...)
		c.giveTail(c.tail)
		c.tail = b
	}
}

// giveTail gives a buffer back that was the tail.
func (c *Conn) giveTail(b []byte) {
	if cap(b) == tailMost && c.loop.tail == nil {
		c.loop.tail = b[:tailMost]
		return
	}
	c.loop.giveSmall(b)
}

// flushTail encrypts what is gathered, or queues it.
func (c *Conn) flushTail() {
	t := c.tail
	c.tail = nil
	switch {
	case len(t) == 0:
	case c.clear():
		c.encrypt(t)
	default:
		c.enqueue(piece{data: append(c.loop.small(len(t)), t...)})
		last := &c.out.pieces[len(c.out.pieces)-1]
		last.buf = last.data
	}
	c.giveTail(t)
}

// send sends p, which is large: what it can at once.
func (c *Conn) send(p []byte, given bool) {
	c.flushTail()
	for len(p) > 0 && c.clear() {
		k := min(len(p), encryptMost)
		c.encrypt(p[:k])
		p = p[k:]
	}
	if len(p) == 0 || c.flags&dead != 0 || c.exceeds(len(p)) {
		return
	}
	if !given {
		p = append(make([]byte, 0, len(p)), p...)
	}
	c.enqueue(piece{data: p, given: given})
}

// clear reports whether what is encrypted now goes straight on.
func (c *Conn) clear() bool {
	return c.out == nil && c.flags&(held|dead) == 0 && c.below.Buffered() <= c.marks.high
}

// enqueue adds a piece.
func (c *Conn) enqueue(p piece) {
	if len(c.tail) > 0 {
		c.flushTail()
	}
	if c.out == nil {
		c.out = &output{}
	}
	q := c.out
	holds := p.f != nil || p.given
	if holds && q.held == heldMost {
		c.doom(reactor.ErrWriteBound)
		c.free(p.file)
		return
	}
	if holds {
		q.held++
	}
	if q.at > 16 && q.at >= len(q.pieces)/2 {
		n := copy(q.pieces, q.pieces[q.at:])
		clear(q.pieces[n:])
		q.pieces, q.at = q.pieces[:n], 0
	}
	q.pieces = append(q.pieces, p)
	c.count(len(p.data))
	c.touch()
}

// count counts n bytes more that wait in the queue.
func (c *Conn) count(n int) {
	c.out.bytes += n
	c.r.AddHeld(n)
}

// pump encrypts what waits, as much as goes straight on, and no more than others can wait for.
func (c *Conn) pump() {
	for budget := encryptMost; ; {
		switch {
		case c.out == nil:
			c.flushTail()
			return
		case c.flags&(held|fileRead|dead) != 0:
			return
		case budget <= 0 || c.below.Buffered() > c.marks.high:
			c.touchLater()
			return
		}
		n := c.encryptQueue(budget)
		if n == 0 {
			return
		}
		budget -= n
	}
}

// encryptQueue encrypts what comes first in the queue, at most that much, and writes it.
func (c *Conn) encryptQueue(most int) (done int) {
	var sent reactor.Piece
	c.chunk(func() { done, sent = c.encryptPieces(most) })
	c.free(sent) // only now, for it may write
	return done
}

// encryptPieces encrypts what comes first in the queue, up to the end of a file. It returns the
// file.
func (c *Conn) encryptPieces(most int) (done int, sent reactor.Piece) {
	for done < most && c.flags&dead == 0 && c.out != nil {
		p := &c.out.pieces[c.out.at]
		if p.f != nil {
			k := c.encryptFile(p, most-done)
			if done += k; k == 0 {
				break
			}
			if p.left == 0 {
				return done, c.pop()
			}
			continue
		}
		k := min(len(p.data), most-done)
		c.write(p.data[:k])
		p.data = p.data[k:]
		c.count(-k)
		if done += k; len(p.data) == 0 {
			c.pop()
		}
	}
	return done, sent
}

// pop takes the first piece out, of which nothing is left. It returns the file of it.
func (c *Conn) pop() reactor.Piece {
	q := c.out
	p := q.pieces[q.at]
	q.pieces[q.at] = piece{}
	if q.at++; q.at == len(q.pieces) {
		c.out = nil
	}
	if p.f != nil || p.given {
		q.held--
	}
	if p.buf != nil {
		c.loop.giveSmall(p.buf)
	}
	return p.file
}

// free says that a file is not needed any more. A panic of the function that is called so is
// reported, and does no harm.
func (c *Conn) free(p reactor.Piece) {
	defer func() {
		if v := recover(); v != nil {
			err := &reactor.PanicError{Value: v, Stack: debug.Stack()}
			c.r.CallFromThread(func() { panic(err) })
		}
	}()
	p.Free()
}

// encrypt encrypts p and writes it.
func (c *Conn) encrypt(p []byte) {
	m := &c.e.mem
	if size := len(p) + len(p)/16 + 128; size <= tailMost {
		m.out = c.below.Room(size)
		c.write(p)
		out := m.out
		m.out = nil
		c.below.Commit(out)
		return
	}
	c.chunk(func() { c.write(p) })
}

// chunk writes what f encrypts.
func (c *Conn) chunk(f func()) {
	m := &c.e.mem
	m.out = c.loop.takeCipher()
	f()
	out := m.out
	m.out = nil
	if c.flags&doomed == 0 {
		c.below.Write(out)
	}
	c.loop.giveCipher(out)
}

// write appends the records of p to mem.out. crypto/tls refuses to write when it has found
// something wrong.
func (c *Conn) write(p []byte) {
	if err := c.e.write(p); err != nil {
		c.doom(fmt.Errorf("%w: %w", reactor.ErrConnectionLost, err))
	}
}

// sendAlerts sends what crypto/tls has written of its own accord: the flights of the handshake,
// alerts, KeyUpdate.
func (c *Conn) sendAlerts() {
	m := &c.e.mem
	c.below.Write(m.out)
	giveStepBuffer(m.out)
	m.out = nil
}

// exceeds reports whether n bytes more would be too many to wait in memory, and dooms the
// connection if so.
func (c *Conn) exceeds(n int) bool {
	if c.marks.most <= 0 || n <= c.marks.most-c.unsent()-c.below.Buffered() {
		return false
	}
	c.doom(reactor.ErrWriteBound)
	return true
}

// unsent is how many bytes of plaintext wait in memory.
func (c *Conn) unsent() int {
	n := len(c.tail)
	if c.out != nil {
		n += c.out.bytes
	}
	return n
}

// sentAll reports whether nothing waits here.
func (c *Conn) sentAll() bool { return c.out == nil && len(c.tail) == 0 }

// Buffered implements reactor.Transport.
func (c *Conn) Buffered() int {
	n := int64(c.unsent() + c.below.Buffered())
	if c.out != nil {
		for i := c.out.at; i < len(c.out.pieces); i++ {
			n += min(c.out.pieces[i].left, math.MaxInt-n)
		}
	}
	return int(n)
}

// Held implements reactor.Transport.
func (c *Conn) Held() int {
	n := c.below.Held() + len(c.tail) + c.counted
	if c.out != nil {
		n += c.out.bytes
	}
	return n
}

// Unacknowledged implements reactor.Transport.
func (c *Conn) Unacknowledged() int {
	n := c.Buffered() - c.below.Buffered()
	return max(n, n+c.below.Unacknowledged())
}

// dropOutput drops what waits.
func (c *Conn) dropOutput() {
	if c.tail != nil {
		c.tail = nil // it may be the loop's, and a panic have left something in it
	}
	q := c.out
	c.out = nil
	if q == nil {
		return
	}
	c.r.AddHeld(-q.bytes)
	for i := q.at; i < len(q.pieces); i++ {
		if i == q.at && c.flags&fileRead != 0 && c.rare.read == nil {
			continue // the read that is under way frees it
		}
		if p := &q.pieces[i]; p.f != nil {
			c.free(p.file)
		}
	}
}
