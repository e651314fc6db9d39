package server

import (
	"os"

	"microhttp/parser"
	"microhttp/reactor"
)

// The content of an answer is one value, whichever way the handler gave it. It says its length, from
// which framing.go decides the framing, and gives its pieces, which one function sends. Pieces of a
// file are sent by the kernel, and the answer is over when the transport has let go of them.

// contentKind is how content was given.
type contentKind uint8

const (
	contentWritten contentKind = iota // by Write, or not at all
	contentLent                       // by SetBody
	contentGiven                      // by GiveBody
	contentFile                       // by SendFile or ServeContent
)

// content is the content of an answer.
type content struct {
	kind contentKind
	buf  []byte    // what was written, or the room for that
	p    []byte    // what was lent or given
	file *sentFile // what lies in a file
}

// sentFile is content that lies in a file: one range of it, or several with text around each. When it is
// sent it is also what the transport tells of the ranges that it has let go of.
type sentFile struct {
	f     *os.File
	parts []filePart
	end   []byte // what follows the last
	total int64

	one  [1]filePart // what parts begins with
	c    *conn
	x    *exchange
	left int             // ranges that the transport still has
	calm bool            // Send has returned, so freed may end the answer
	free func(sent bool) // freed and over, made once: a loop uses a sentFile many times
	done func()
	next *sentFile // in the loop's list of spare ones
}

// filePart is one range of a file, and the text before it.
type filePart struct {
	before []byte
	off, n int64
}

// takeFile makes content of a file, without parts yet. Loops have spare ones for the answers that are made there.
func (w *Response) takeFile(f *os.File) *sentFile {
	if w.x.mode != modeInline {
		return newSentFile(f)
	}
	return w.x.req.conn.w.files.take(f)
}

func newSentFile(f *os.File) *sentFile {
	s := &sentFile{f: f}
	s.free, s.done = s.freed, s.over
	s.parts = s.one[:0]
	return s
}

// spareFiles are what a loop keeps of content in files, as it keeps exchanges.
type spareFiles struct {
	first *sentFile
	n     int
}

// take gives out a spare sentFile, or a new one.
func (all *spareFiles) take(f *os.File) *sentFile {
	s := all.first
	if s == nil {
		return newSentFile(f)
	}
	all.first, s.next = s.next, nil
	all.n--
	s.f = f
	return s
}

// put takes back a sentFile that no other code refers to.
func (all *spareFiles) put(s *sentFile) {
	if all.n == maxSpares {
		return
	}
	*s = sentFile{free: s.free, done: s.done, next: all.first}
	s.parts = s.one[:0]
	all.first = s
	all.n++
}

// length is how long the content is.
func (b *content) length() int64 {
	switch b.kind {
	case contentWritten:
		return int64(len(b.buf))
	case contentFile:
		return b.file.total
	}
	return int64(len(b.p))
}

// bytes is the content that is in memory.
func (b *content) bytes() []byte {
	if b.kind == contentWritten {
		return b.buf
	}
	return b.p
}

// holds is how much memory the content keeps.
func (b *content) holds() int { return max(cap(b.buf), len(b.p)) }

// clear makes it no content.
func (b *content) clear() { b.kind, b.buf, b.p, b.file = contentWritten, b.buf[:0], nil, nil }

// room makes b content that can be appended to. What was lent or given is copied.
func (b *content) room() {
	if b.kind != contentWritten {
		b.kind, b.buf, b.p, b.file = contentWritten, append(b.buf[:0], b.p...), nil, nil
	}
}

// set makes p the content.
func (b *content) set(kind contentKind, p []byte) {
	b.kind, b.buf, b.p, b.file = kind, b.buf[:0], p, nil
}

// BodySize returns the length of the content as it was set so far, in bytes and before any [Response.Filter]. It is -1 if
// that is not known: for a Stream without a declared Content-Length, and for HEAD if nothing was written and no length was
// declared. It is for functions of OnHead that decide by the size.
func (w *Response) BodySize() int64 {
	w.x.req.lent()
	n := w.body.length()
	if w.stream != nil || w.flags&streamHead != 0 || n == 0 && w.x.req.head.MethodID == parser.MethodHead {
		return w.declared
	}
	return n
}

// PeekBody returns the content as it was set so far, before any [Response.Filter]. It is lent until the content is changed.
// It is nil if there is none in memory: for a Stream and for a file.
func (w *Response) PeekBody() []byte {
	w.x.req.lent()
	if w.stream != nil || w.flags&streamHead != 0 || w.body.kind == contentFile {
		return nil
	}
	return w.body.bytes()
}

// SendFile makes n bytes of f from off on the body, in place of what was written. The kernel sends
// them, by sendfile(2) where it can, in bounded pieces, so a reader that is slow holds no memory and
// no goroutine. f is a regular file, and borrowed until the response is done: OnDone says when it is
// free again. Its offset is neither used nor changed, so many answers may share one f.
//
//   - If f turns out to be shorter than off + n, the connection is reset, since the length was promised.
//     Err is then [ErrContentLength].
//   - With a [Response.Filter] the file is read piece by piece as the peer takes it. What is not in the
//     page cache is read off the loop.
//   - It works in every kind of handler, also in Blocking and with Later. The file is sent by the loop
//     when the handler has returned. For HEAD it is not touched.
//   - [Response.BytesSent] counts the whole range from when the answer begins.
//   - What is written afterwards takes the place of the file, and so does a Stream, with a line in the log.
//
// SendFile panics for a nil f and for a negative off or n. Once a Stream was taken, and in OnDone, it
// does nothing, but for a line in the log.
func (w *Response) SendFile(f *os.File, off, n int64) {
	w.x.req.lent()
	if f == nil || off < 0 || n < 0 || off+n < 0 {
		panic("server: SendFile of no file, or of a range that is none")
	}
	if w.committed() {
		_ = w.tooLate("SendFile")
		return
	}
	if n == 0 {
		w.setBody("SendFile", contentLent, nil)
		return
	}
	file := w.takeFile(f)
	file.parts, file.total = append(file.parts, filePart{off: off, n: n}), n
	w.setFile(file)
}

// setFile makes the content of an answer one that lies in a file.
func (w *Response) setFile(file *sentFile) {
	w.setBody("SendFile", contentFile, nil)
	w.body.file = file
}

// freed is called when the transport lets go of a range: it was sent, or the connection is lost. The
// latter is followed by ConnectionLost, before the loop makes the call that is posted here. When the last
// range was sent the answer is over at once, so a request that the peer sends then finds it over.
func (s *sentFile) freed(sent bool) {
	switch s.left--; {
	case s.left > 0:
	case sent && s.calm:
		s.over()
	default:
		s.c.w.loop.CallFromThread(s.done)
	}
}

// over ends the answer, unless the connection was lost.
func (s *sentFile) over() {
	c, x := s.c, s.x
	if c.cur != x || x.file != s || c.output != outputStreaming {
		return
	}
	x.file = nil
	owned := !x.detached // else other code may still look at the answer
	c.conclude(x)
	if owned {
		c.w.files.put(s)
	}
	c.resume()
}

// sendContent sends a head, content, and what follows it: together in one write, or in one writev(2) if
// the content is large. The head is in room of the transport. Content in a file is sent later: x.file is
// then set.
//
//go:noinline
func (c *conn) sendContent(x *exchange, w *Response, head []byte, end string) {
	body := w.body.bytes()
	switch {
	case w.body.kind == contentFile:
		c.t.Commit(head)
		c.sendFile(x, w.body.file)
		return
	case len(body) < largeBody:
		if head = append(head, body...); len(end) > 0 {
			head = append(head, end...)
		}
		c.t.Commit(head)
		return
	}
	c.t.Commit(head)
	piece := reactor.Lent(body)
	if w.body.kind == contentGiven {
		piece = reactor.Given(body)
	}
	if len(end) == 0 {
		c.send(piece)
	} else {
		c.send(piece, reactor.Lent([]byte(end)))
	}
}

// sendFile has the transport send the ranges of a file.
func (c *conn) sendFile(x *exchange, file *sentFile) {
	if !x.detached { // OnDone reads it again, when the read buffer has other contents
		if len(x.headBuf) == 0 {
			x.keepHead()
		}
		x.req.ownBody()
	}
	file.c, file.x, file.left = c, x, len(file.parts)
	x.file, c.output = file, outputStreaming
	if p := file.parts[0]; len(file.parts) == 1 && len(file.end) == 0 && len(p.before) == 0 {
		c.send(reactor.FileRange(file.f, p.off, p.n).OnFree(file.free))
	} else {
		pieces := make([]reactor.Piece, 0, 2*len(file.parts)+1)
		for _, p := range file.parts {
			pieces = append(pieces, reactor.Lent(p.before), reactor.FileRange(file.f, p.off, p.n).OnFree(file.free))
		}
		c.t.Send(append(pieces, reactor.Lent(file.end))...)
	}
	x.endBody(ErrAnswered)
	file.calm = true
}
