package reactor

// Output. The loop has one buffer, lent to the connection whose read is being handled: its answers, however many, leave
// in one write when the callback returns. Everything else, output made elsewhere and what a socket did not take, is kept
// in a buffer of the connection, taken from a pool and given back as soon as it is empty. Large pieces are sent at once,
// from where they lie.
//
// The order of the bytes is kept by one rule: a connection that has a buffer of its own writes into that.

import (
	"math"
	"slices"
	"syscall"

	"github.com/valyala/bytebufferpool"
)

const (
	// gatherSize is the loop's output buffer: what a batch of pipelined requests is answered with in one write.
	gatherSize = 64 << 10

	// directSize is from where on copying costs more than the system call that it may save.
	directSize = 16 << 10

	// piecesPerWrite is how many pieces one writev(2) sends.
	piecesPerWrite = 64

	// availableMin is the room that AvailableBuffer offers at least, so that an answer of ordinary size fits.
	availableMin = 4 << 10
)

// gathered is the loop's output buffer and the connection that it is lent to.
type gathered struct {
	owner *transport
	buf   []byte
}

// drop takes the buffer back from a callback that did not return, with whatever is in it.
func (g *gathered) drop() {
	if g.owner != nil && len(g.buf) > 0 {
		g.owner.flags |= cut
	}
	g.owner = nil
	g.buf = g.buf[:0]
}

// gathers reports whether output of t goes to the loop's buffer now.
func (t *transport) gathers() bool { return t.r.out.owner == t && t.out == nil }

func (t *transport) Write(p []byte) {
	if t.flags&mute != 0 || len(p) == 0 {
		return
	}
	if t.gathers() {
		t.gather(p)
		return
	}
	if t.out != nil && behind(t.out.B, p) { // it lies in our buffer, which must not go back to the pool before it is sent
		t.keep(p)
		if len(p) >= directSize {
			t.sendQueued()
		}
		t.touch()
		return
	}
	if len(p) >= directSize {
		t.sendQueued()
		if t.out == nil {
			t.send(p)
			t.touch()
			return
		}
	}
	t.keep(p)
	t.touch()
}

// gather adds p to the loop's buffer, or sends both when that is the cheaper way.
func (t *transport) gather(p []byte) {
	g := &t.r.out
	switch {
	case behind(g.buf, p):
		g.buf = g.buf[:len(g.buf)+len(p)]
		return
	case len(p) < directSize && len(p) <= cap(g.buf)-len(g.buf):
		g.buf = append(g.buf, p...)
		return
	}
	t.push()
	switch {
	case t.flags&doomed != 0:
	case t.out != nil:
		t.keep(p)
	case len(p) < directSize:
		g.buf = append(g.buf, p...)
	default:
		t.send(p)
	}
}

func (t *transport) AvailableBuffer() []byte {
	if t.flags&mute != 0 {
		return nil
	}
	if t.gathers() {
		g := &t.r.out
		if cap(g.buf)-len(g.buf) < availableMin {
			t.push()
		}
		if t.gathers() {
			return g.buf[len(g.buf):]
		}
	}
	b := t.own(availableMin)
	t.touch()
	return b.B[len(b.B):]
}

// behind reports whether p was appended to what AvailableBuffer gave: whether it lies right behind buf, in its room.
func behind(buf, p []byte) bool {
	return len(p) > 0 && len(p) <= cap(buf)-len(buf) && &p[0] == &buf[:len(buf)+1][len(buf)]
}

// Buffered is what no socket has taken yet.
func (t *transport) Buffered() int {
	n := t.unsent()
	if t.r.out.owner == t {
		n += len(t.r.out.buf)
	}
	if t.cold != nil {
		n += int(min(t.fileBytes(), int64(math.MaxInt-n)))
	}
	return n
}

// unsent is what the connection's own buffer holds.
func (t *transport) unsent() int {
	if t.out == nil {
		return 0
	}
	return len(t.out.B) - t.sent
}

// Unsent is what all connections of this reactor hold back together: accepted output that no socket has taken, without
// what is still gathered for the read that is being handled. It is for the loop.
func (r *Reactor) Unsent() int { return r.unsent }

// push sends what is gathered for t.
func (t *transport) push() {
	if g := &t.r.out; len(g.buf) > 0 {
		p := g.buf
		g.buf = g.buf[:0] // p stays intact: nothing is gathered before send has copied what is left of it
		t.send(p)
	}
}

// send writes p, before which nothing is queued, and keeps what the socket does not take.
func (t *transport) send(p []byte) {
	if t.flags&dead != 0 {
		return
	}
	n := t.write(p)
	if n < len(p) && t.flags&doomed == 0 {
		t.keep(p[n:])
		t.hold(n > 0)
	}
}

func (t *transport) WriteSequence(pieces ...[]byte) {
	if t.flags&mute != 0 {
		return
	}
	total, lent := 0, false
	for _, p := range pieces {
		total += len(p)
		lent = lent || t.out != nil && behind(t.out.B, p) // as in Write
	}
	if total >= directSize && !lent {
		t.sendQueued()
		if t.out == nil {
			t.sendPieces(pieces)
			t.touch()
			return
		}
	}
	for _, p := range pieces {
		t.Write(p)
	}
}

// sendPieces sends what is gathered and the pieces behind it, before which nothing else is queued, and keeps what the
// socket does not take.
func (t *transport) sendPieces(pieces [][]byte) {
	r := t.r
	all := r.pieces[:0]
	if g := &r.out; g.owner == t {
		all = append(all, g.buf)
		g.buf = g.buf[:0] // stays intact, as in push
	}
	all = append(all, pieces...)
	rest := all
	for len(rest) > 0 && t.flags&dead == 0 {
		var whole bool
		if rest, whole = t.writev(rest); !whole {
			for _, p := range rest {
				t.keep(p)
			}
			break
		}
	}
	clear(all) // they are their owners' again
	r.pieces = all[:0]
}

// writev is one writev(2), of as many pieces as it takes. It returns the rest, and whether the socket took all that it was
// given. It dooms the connection when that fails.
func (t *transport) writev(pieces [][]byte) (rest [][]byte, whole bool) {
	asked := 0
	some := pieces[:min(len(pieces), piecesPerWrite)]
	for _, p := range some {
		asked += len(p)
	}
	if asked == 0 {
		return pieces[len(some):], true
	}
	t.r.watch.sends(asked)
	n, errno := t.r.sys.Writev(int(t.fd), some)
	t.r.watch.sent(asked)
	if errno != 0 && !passing(errno) {
		t.doom(lost(errno))
		return nil, true
	}
	t.taken += int64(n)
	if n < asked {
		t.hold(n > 0)
	}
	whole = n == asked
	for n > 0 || len(pieces) > 0 && len(pieces[0]) == 0 {
		if n < len(pieces[0]) {
			pieces[0] = pieces[0][n:]
			break
		}
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	return pieces, whole
}

// sendQueued writes the connection's own buffer, if the socket may take it.
func (t *transport) sendQueued() {
	if t.out == nil || t.flags&(full|doomed) != 0 {
		return
	}
	if t.cold != nil && !t.sendFiles() {
		return
	}
	if p := t.out.B[t.sent:]; len(p) > 0 {
		n := t.write(p)
		t.took(n)
		if n < len(p) {
			t.hold(n > 0)
			return
		}
	}
	t.release()
}

// took notes that the socket has taken n bytes of the connection's own buffer.
func (t *transport) took(n int) {
	t.sent += n
	t.r.unsent -= n
	if n > 0 && cap(t.out.B) >= outputShrink && len(t.out.B)-t.sent <= cap(t.out.B)/4 {
		t.shrink()
	}
}

// shrink exchanges the connection's own buffer for one that fits what is left in it.
func (t *transport) shrink() {
	rest := t.out.B[t.sent:]
	if len(rest) == 0 && (t.cold == nil || len(t.cold.files) == 0) {
		return // it goes back in a moment
	}
	b := t.r.takeBuffer(len(rest))
	b.B = append(b.B, rest...)
	t.r.giveBuffer(t.out)
	t.out, t.sent = b, 0
}

// write is one write(2). It dooms the connection when that fails.
func (t *transport) write(p []byte) int {
	t.r.watch.sends(len(p))
	n, errno := t.r.sys.Write(int(t.fd), p)
	t.r.watch.sent(len(p))
	if errno != 0 && !passing(errno) {
		t.doom(lost(errno))
	}
	t.taken += int64(n)
	return n
}

// passing reports whether errno only means that the socket takes nothing just now. A kernel may be short of memory for it.
func passing(errno syscall.Errno) bool {
	return errno == syscall.EAGAIN || errno == syscall.EINTR || errno == syscall.ENOBUFS
}

// hold notes that the socket is full: the poller will say when it is not.
func (t *transport) hold(moved bool) {
	t.flags |= full
	t.startClock(moved)
}

// keep copies p to the connection's own buffer, unless there is too much in it already.
func (t *transport) keep(p []byte) {
	if len(p) == 0 || t.exceeds(len(p)) {
		return
	}
	t.r.unsent += len(p)
	if t.out != nil && behind(t.out.B, p) {
		t.out.B = t.out.B[:len(t.out.B)+len(p)]
		return
	}
	b := t.own(len(p))
	b.B = append(b.B, p...)
}

// exceeds reports whether n bytes more would be too many to wait in memory, and dooms the connection if so.
func (t *transport) exceeds(n int) bool {
	limit := t.options.MaxBuffered
	if limit <= 0 || n <= limit-t.unsent()-t.givenBytes() {
		return false
	}
	t.doom(ErrWriteBound)
	return true
}

// own returns the connection's own buffer with room for n bytes behind what it holds. What was sent makes room first.
func (t *transport) own(n int) *bytebufferpool.ByteBuffer {
	if t.out == nil {
		t.out = t.r.takeBuffer(n)
	}
	b := t.out
	if cap(b.B)-len(b.B) < n {
		if t.sent >= len(b.B)-t.sent { // else moving it could cost more than it saves
			b.B = b.B[:copy(b.B, b.B[t.sent:])]
			t.sent = 0
		}
		b.B = slices.Grow(b.B, n)
	}
	return b
}

// release gives the connection's own buffer back.
func (t *transport) release() {
	if t.out != nil {
		t.r.unsent -= len(t.out.B) - t.sent
		t.r.giveBuffer(t.out)
		t.out = nil
	}
	t.sent = 0
	t.stopClock()
	t.flags &^= full
}
