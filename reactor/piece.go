package reactor

// Pieces: what output consists of. A connection's queue is a list of them.

import (
	"io"

	"github.com/valyala/bytebufferpool"
)

// A Piece is one part of the output of a connection: bytes that are lent or given, or a range of a file. Lent, Given and
// FileRange make one, and Transport.Send sends several in order. The zero Piece is empty.
type Piece struct {
	data   []byte                     // lent or given
	own    *bytebufferpool.ByteBuffer // in a queue: bytes of our own, in place of data
	file   File                       // in place of both
	offset int64                      // of what is left, in own or in file
	left   int64                      // of a file
	freed  func(sent bool)            // OnFree's
	given  bool                       // data may be kept where it lies
}

// Lent makes a piece of p, which is free again when Send returns: what the socket does not take at once is copied.
func Lent(p []byte) Piece { return Piece{data: p} }

// Given makes a piece of p, and transfers ownership: p must never be modified again, even after it has been sent. What the
// socket does not take at once is kept where it lies if it is 16 KiB or more. So many slow readers can share one page.
func Given(p []byte) Piece { return Piece{data: p, given: true} }

// FileRange makes a piece of the n bytes of f from offset on. They are read when their turn comes, by sendfile(2) where the
// system can, at most 1 MiB in a tick of the loop. Of what is not in memory it is 256 KiB, and the loop waits for the disk.
//
// The connection needs f until the bytes are sent or the connection is lost. Then, on the loop, f is closed if it is an
// io.Closer, as an *os.File is. A piece with an OnFree calls that function instead, and f stays open.
//
// A file that turns out to be shorter than offset+n ends the connection with a reset: it is lost with ErrConnectionLost and
// io.ErrUnexpectedEOF. An n of zero or less is an empty piece, and f is free at once.
func FileRange(f File, offset, n int64) Piece { return Piece{file: f, offset: offset, left: max(n, 0)} }

// OnFree returns the piece with a function that is called once, on the loop, when the connection does not need the file any
// more: when it is sent, when the connection is lost, or before Send returns when nothing can be sent. sent is true when the
// system has taken all of it. It is false when the connection is lost, before ConnectionLost is called, and where a layer such
// as TLS cannot say. The file is then not closed. The function may use the connection. OnFree panics for a piece that is not a FileRange.
func (p Piece) OnFree(f func(sent bool)) Piece {
	if p.file == nil {
		panic("reactor: OnFree of a piece that is not a FileRange")
	}
	p.freed = f
	return p
}

// Len is how many bytes the piece stands for.
func (p *Piece) Len() int64 {
	switch {
	case p.file != nil:
		return p.left
	case p.own != nil:
		return int64(len(p.own.B)) - p.offset
	}
	return int64(len(p.data))
}

// Bytes returns the bytes of a piece that is Lent or Given, and nil for a FileRange. It is for those who implement Transport.
func (p *Piece) Bytes() []byte {
	if p.own != nil {
		return p.own.B[p.offset:]
	}
	return p.data
}

// IsGiven reports whether the bytes were given, and so may be kept. It is for those who implement Transport.
func (p *Piece) IsGiven() bool { return p.given }

// File returns the range of a FileRange; f is nil for bytes. It is for those who implement Transport.
func (p *Piece) File() (f File, offset, n int64) { return p.file, p.offset, p.left }

// Free calls the function of OnFree, with false for a layer's pieces, or closes the file of a FileRange. It does nothing for bytes. It is for those who
// implement Transport, who must call it once for each piece that they were given.
func (p *Piece) Free() {
	switch c, ok := p.file.(io.Closer); {
	case p.freed != nil:
		p.freed(p.left == 0)
	case ok:
		_ = c.Close() // it was only read: there is nothing to lose
	}
}

// free is Free, of what may be the user's own type: its panic must not keep other pieces from being freed.
func (r *Reactor) free(p *Piece) {
	if p.file != nil {
		r.contained(p.Free)
	}
}
