package reactor

// Files in the output, and bytes that were given to it. All bytes that wait lie in the connection's own buffer, as without
// files; a queued file only knows how many of them go out before it. So the rule that keeps the order needs no second case:
// while a file waits, the connection has a buffer, if an empty one, and whoever writes then writes into that. Bytes of Give
// are queued as a file is, and never copied.
//
// sendfile(2) may sleep on a page that is not in memory, and while it does the loop does nothing else. So it is asked for a
// bounded piece, and for one in a tick.

import (
	"fmt"
	"io"
	"math"
)

const (
	// filePiece is what one tick sends of a connection's files: about as much as a socket takes at once.
	filePiece = 256 << 10

	// filesQueued is how many files may wait in one connection: each holds a descriptor, and a few words of memory.
	filesQueued = 1024
)

// errShortFile is a file that ends before what was promised of it; so the peer gets a reset, not an end that it could take
// for the true one.
var errShortFile = fmt.Errorf("the file is shorter than SendFile was told: %w", io.ErrUnexpectedEOF)

// A queuedFile is what is left of one SendFile, or of one Give.
type queuedFile struct {
	f      File
	given  []byte // in place of f
	offset int64
	left   int64
	before int // bytes of the connection's own buffer that go out first, behind the file before
}

func (t *transport) SendFile(f File, offset, n int64) {
	if t.flags&mute == 0 && t.gathers() {
		t.push()
	}
	if t.flags&mute != 0 || n <= 0 {
		t.r.closeFile(f)
		return
	}
	t.queue(queuedFile{f: f, offset: offset, left: n})
}

// queue queues q behind all that waits.
func (t *transport) queue(q queuedFile) {
	c := t.rare()
	if len(c.files) == filesQueued {
		t.r.closeFile(q.f)
		t.doom(ErrWriteBound)
		return
	}
	q.before = len(t.own(0).B) - t.sent
	for i := range c.files {
		q.before -= c.files[i].before
	}
	c.files = append(c.files, q)
	t.r.unsent += len(q.given)
	t.touch()
}

func (t *transport) Give(p []byte) {
	if len(p) < directSize {
		t.Write(p) // a place of its own would cost more
		return
	}
	if t.out != nil && behind(t.out.B, p) || behind(t.r.out.buf, p) {
		t.Write(p) // it is ours to lend, and not theirs to give
		return
	}
	if t.gathers() {
		t.push()
	}
	t.sendQueued()
	if t.flags&mute != 0 {
		return
	}
	if t.out == nil {
		n := t.write(p)
		t.touch()
		if p = p[n:]; len(p) == 0 || t.flags&doomed != 0 {
			return
		}
		t.hold(n > 0)
	}
	switch {
	case len(p) < directSize: // not worth keeping all of it in memory
		t.keep(p)
	case !t.exceeds(len(p)):
		t.queue(queuedFile{given: p, left: int64(len(p))})
	}
}

// sendFiles sends what is queued up to the last file, and reports whether all of that is done.
func (t *transport) sendFiles() bool {
	c := t.cold
	for budget := int64(filePiece); len(c.files) > 0; {
		q := &c.files[0]
		if q.before > 0 {
			n := t.write(t.out.B[t.sent : t.sent+q.before])
			t.took(n)
			q.before -= n
			if q.before > 0 {
				t.hold(n > 0)
				return false
			}
		}
		if budget == 0 {
			t.hold(true) // the socket may take more, and the poller will say so when others have had their turn
			return false
		}
		asked := min(q.left, budget)
		var n int64
		if q.given != nil {
			n = int64(t.write(q.given[q.offset : q.offset+asked]))
			t.r.unsent -= int(n)
		} else {
			n = int64(t.sendFile(q, int(asked)))
		}
		q.offset += n
		q.left -= n
		budget -= n
		switch {
		case q.left == 0:
			t.popFile()
			if t.out == nil || t.flags&(full|dead) != 0 {
				return false // its Close has written, and so come here too, or has ended the connection
			}
		case n < asked:
			t.hold(n > 0)
			return false
		}
	}
	return true
}

// sendFile is one sendfile(2). It dooms the connection when that fails.
func (t *transport) sendFile(q *queuedFile, n int) int {
	t.r.watch.sends(n)
	sent, errno := t.r.sys.SendFile(int(t.fd), q.f, q.offset, n)
	t.r.watch.sent(n)
	switch {
	case errno == 0 && sent == 0:
		t.doom(&lostError{errShortFile})
	case errno != 0 && !passing(errno):
		t.doom(lost(errno))
	}
	t.taken += int64(sent)
	return sent
}

// popFile ends the first file.
func (t *transport) popFile() {
	c := t.cold
	f := c.files[0].f
	if c.files[0].given != nil {
		t.r.unsent -= int(c.files[0].left)
	}
	n := copy(c.files, c.files[1:])
	c.files[n] = queuedFile{}
	c.files = c.files[:n]
	t.r.closeFile(f)
}

// dropFiles ends all files, sent or not.
func (t *transport) dropFiles() {
	for t.cold != nil && len(t.cold.files) > 0 {
		t.popFile()
	}
}

// givenBytes is how much of what was given is yet to be sent.
func (t *transport) givenBytes() (n int) {
	if t.cold != nil {
		for i := range t.cold.files {
			if q := &t.cold.files[i]; q.given != nil {
				n += int(q.left)
			}
		}
	}
	return n
}

// fileBytes is how much of files is yet to be sent, and of what was given.
func (t *transport) fileBytes() (n int64) {
	if t.cold != nil {
		for i := range t.cold.files {
			n += min(t.cold.files[i].left, math.MaxInt64-n)
		}
	}
	return n
}

// closeFile gives a file back. It may be the user's own type, whose panic must not keep others from being closed.
func (r *Reactor) closeFile(f File) {
	if c, ok := f.(io.Closer); ok { // which nil is not
		r.contained(func() { _ = c.Close() }) // it was only read: there is nothing to lose
	}
}
