package reactor

// Files in the output.
//
// sendfile(2) may sleep on a page that is not in memory, and while it does the loop does nothing else. So it is asked for a
// bounded piece, and for one in a tick.

import (
	"fmt"
	"io"
)

// filePiece is what one tick sends of a connection's files: about as much as a socket takes at once, and some 150 µs of work.
const filePiece = 1 << 20

// errShortFile is a file that ends before what was promised of it; so the peer gets a reset, not an end that it could take
// for the true one.
var errShortFile = fmt.Errorf("the file is shorter than its range: %w", io.ErrUnexpectedEOF)

// sendFile is one sendfile(2), of at most that much of a file. It dooms the connection when that fails.
func (t *transport) sendFile(p *Piece, most int64) (sent, asked int64) {
	asked = min(p.left, most)
	if asked > kernelUnsent && t.flags&wide == 0 && t.r.real {
		t.r.wide.widen(t)
	}
	t.r.watch.sends(int(asked))
	n, errno := t.r.sys.SendFile(int(t.fd), p.file, p.offset, int(asked))
	t.r.watch.sent(int(asked))
	switch {
	case errno == 0 && n == 0:
		t.doom(&lostError{errShortFile})
	case errno != 0 && !passing(errno):
		t.doom(lost(errno))
	}
	sent = int64(n)
	t.taken += sent
	p.offset += sent
	p.left -= sent
	return sent, asked
}
