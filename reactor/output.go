package reactor

// Output. The loop has one buffer, lent to the connection whose read is being handled: its answers, however many, leave
// in one write when the callback returns. Everything else, output made elsewhere and what a socket did not take, waits in
// the connection's queue (queue.go). Large pieces are sent at once, from where they lie.
//
// The order of the bytes is kept by one rule: a connection that has a queue adds to that.

import "syscall"

const (
	// gatherSize is the loop's output buffer: what a batch of pipelined requests is answered with in one write.
	gatherSize = 64 << 10

	// directSize is from where on copying costs more than the system call that it may save.
	directSize = 16 << 10

	// piecesPerWrite is how many pieces one writev(2) sends.
	piecesPerWrite = 64

	// roomMin is what Room offers at least, so that an answer of ordinary size fits.
	roomMin = 4 << 10
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
	switch {
	case t.flags&mute != 0 || len(p) == 0:
	case len(p) < directSize:
		t.flags &^= roomLent
		t.add(p)
	default:
		t.flags &^= roomLent
		t.queue()
		t.enqueue(Lent(p))
		t.sendNow()
	}
}

// add adds a copy of p, which is small.
func (t *transport) add(p []byte) {
	if t.gathers() {
		g := &t.r.out
		if len(p) > cap(g.buf)-len(g.buf) {
			t.push()
		}
		if t.gathers() {
			g.buf = append(g.buf, p...)
			return
		}
	}
	t.keep(p)
	t.touch()
}

func (t *transport) Room(n int) []byte {
	if g := &t.r.out; g.owner == t && t.out == nil && t.flags&mute == 0 && cap(g.buf)-len(g.buf) >= max(n, roomMin) { // as mostly
		t.flags |= roomLent
		return g.buf[len(g.buf):]
	}
	return t.makeRoom(n)
}

// makeRoom is Room where the loop's buffer has none.
//
//go:noinline
func (t *transport) makeRoom(n int) []byte {
	n = max(n, roomMin)
	if t.flags&mute != 0 {
		return make([]byte, 0, n) // for what is dropped then
	}
	if t.gathers() && n <= gatherSize {
		g := &t.r.out
		if cap(g.buf)-len(g.buf) < n {
			t.push()
		}
		if t.gathers() {
			t.flags |= roomLent
			return g.buf[len(g.buf):]
		}
	}
	if t.gathers() {
		t.push() // or the rest of the buffer would have to be moved
	}
	b := t.own(n)
	t.touch()
	t.flags |= roomLent
	return b.B[len(b.B):]
}

func (t *transport) Commit(b []byte) {
	if g := &t.r.out; g.owner == t && t.out == nil && t.flags&(roomLent|mute) == roomLent { // as mostly
		n := len(g.buf)
		if len(b) > 0 && cap(b) == cap(g.buf)-n && &b[0] == &g.buf[:n+1][n] {
			t.flags &^= roomLent
			g.buf = g.buf[:n+len(b)]
			return
		}
	}
	t.commit(b)
}

// commit is Commit of all but what lies in the loop's buffer as it should.
//
//go:noinline
func (t *transport) commit(b []byte) {
	switch {
	case t.flags&mute != 0:
		return
	case t.flags&roomLent == 0:
		panic("reactor: Commit of room that was not lent by the call before it")
	}
	t.flags &^= roomLent
	buf := &t.r.out.buf
	gathers := t.gathers()
	if !gathers {
		buf = &t.out.pieces[len(t.out.pieces)-1].own.B
	}
	n := len(*buf)
	switch room := cap(*buf) - n; {
	case cap(b) > room: // append has moved it: it is the caller's own memory, and given to us
		t.sendPiece(Given(b))
	case cap(b) < room || len(b) > 0 && &b[0] != &(*buf)[:n+1][n]:
		panic("reactor: Commit of a slice that is not the room that was lent")
	case gathers:
		*buf = (*buf)[:n+len(b)]
	case !t.exceeds(len(b)):
		*buf = (*buf)[:n+len(b)]
		t.out.bytes += len(b)
		t.r.unsent += len(b)
		if len(b) >= directSize {
			t.sendNow()
		}
		t.touch()
	}
}

func (t *transport) Send(pieces ...Piece) {
	if t.flags&mute != 0 {
		for i := range pieces {
			t.r.free(&pieces[i])
		}
		return
	}
	t.flags &^= roomLent
	size, small := 0, true
	for i := range pieces {
		p := &pieces[i]
		size += len(p.data)
		small = small && p.file == nil && size < directSize
	}
	if small {
		for i := range pieces {
			if p := pieces[i].data; len(p) > 0 && t.flags&doomed == 0 {
				t.add(p)
			}
		}
		return
	}
	t.queue()
	for i := range pieces {
		switch p := &pieces[i]; {
		case p.Len() == 0: // a file of it is free, and may be said to be when the queue is in order
		case t.flags&doomed != 0:
			t.r.free(p)
		default:
			t.enqueue(*p)
		}
	}
	t.sendNow()
	for i := range pieces {
		if p := &pieces[i]; p.Len() == 0 {
			t.r.free(p)
		}
	}
}

// sendPiece is Send of one piece of bytes.
func (t *transport) sendPiece(p Piece) {
	if len(p.data) < directSize {
		if len(p.data) > 0 {
			t.add(p.data)
		}
		return
	}
	t.queue()
	t.enqueue(p)
	t.sendNow()
}

// sendNow follows when pieces were put into the queue: it sends what is worth a system call of its own and keeps the rest.
func (t *transport) sendNow() {
	if t.out.bytes >= directSize && t.flags&(full|doomed) == 0 {
		t.sendBytes()
	}
	if t.keepLent(); t.out.empty() {
		t.release()
	}
	t.touch()
}

// push sends what is gathered for t, before which nothing is queued, and keeps what the socket does not take.
func (t *transport) push() {
	g := &t.r.out
	if len(g.buf) == 0 {
		return
	}
	p := g.buf
	g.buf = g.buf[:0] // p stays intact: nothing is gathered before what is left of it is copied
	if t.flags&dead != 0 {
		return
	}
	n := t.write(p, false)
	if n < len(p) && t.flags&doomed == 0 {
		t.keep(p[n:])
		t.hold(n > 0)
	}
}

// keep copies p to the end of the queue, unless there is too much in it already.
func (t *transport) keep(p []byte) {
	if len(p) == 0 || t.exceeds(len(p)) {
		return
	}
	b := t.own(len(p))
	b.B = append(b.B, p...)
	t.out.bytes += len(p)
	t.r.unsent += len(p)
}

// sendQueued sends what is queued, if the socket may take it. Of files it sends filePiece, for others are to have their turn.
func (t *transport) sendQueued() {
	q := t.out
	if q == nil || t.flags&(full|doomed) != 0 {
		return
	}
	for budget := int64(filePiece); t.sendBytes(); {
		if q.empty() {
			t.release()
			return
		}
		if budget == 0 {
			t.hold(true) // the socket may take more, and the poller will say so when others have had their turn
			return
		}
		n, asked := t.sendFile(&q.pieces[q.at], budget)
		budget -= n
		switch {
		case q.pieces[q.at].left == 0:
			p := q.pieces[q.at]
			t.pop()
			t.r.free(&p)
			if t.out != q || t.flags&(full|dead) != 0 {
				return // who was told that it is free has written, and so come here too, or has ended the connection
			}
		case n < asked:
			t.hold(n > 0)
			return
		}
	}
}

// sendBytes sends the bytes that stand before the first file, and reports whether the socket has taken them all.
func (t *transport) sendBytes() bool {
	q := t.out
	for {
		t.took(0) // what is empty
		if q.empty() || q.pieces[q.at].file != nil {
			return true
		}
		var n, asked int
		if next := q.at + 1; next == len(q.pieces) || q.pieces[next].file != nil {
			p := q.pieces[q.at].Bytes()
			n, asked = t.write(p, next < len(q.pieces)), len(p)
		} else {
			n, asked = t.writev(q.pieces[q.at:])
		}
		t.took(n)
		if n < asked {
			if t.flags&doomed == 0 {
				t.hold(n > 0)
			}
			return false
		}
	}
}

// writev is one writev(2) of the bytes at the front of pieces, as many as it takes. It dooms the connection when that fails.
func (t *transport) writev(pieces []Piece) (n, asked int) {
	r := t.r
	list := r.iovecs[:0]
	for i := range pieces {
		if pieces[i].file != nil || len(list) == piecesPerWrite {
			break
		}
		if p := pieces[i].Bytes(); len(p) > 0 {
			list = append(list, p)
			asked += len(p)
		}
	}
	r.watch.sends(asked)
	n, errno := r.sys.Writev(int(t.fd), list)
	r.watch.sent(asked)
	clear(list) // they are their owners'
	r.iovecs = list
	if errno != 0 && !passing(errno) {
		t.doom(lost(errno))
	}
	t.taken += int64(n)
	return n, asked
}

// write is one write(2), of what a file follows if more. It dooms the connection when that fails.
func (t *transport) write(p []byte, more bool) (n int) {
	var errno syscall.Errno
	t.r.watch.sends(len(p))
	if more && t.r.real {
		n, errno = sysWriteMore(int(t.fd), p)
	} else {
		n, errno = t.r.sys.Write(int(t.fd), p)
	}
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
