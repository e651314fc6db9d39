package server

import (
	"errors"
	"io"
	"os"
	"sync"

	"microhttp/reactor"
)

// A file whose content goes through filters has to come to user space. A pump reads it piece by piece
// and writes the pieces to a Stream on the loop, when the peer takes them. It has a buffer only while
// it runs, so a slow reader costs a few words. A read that would wait for the disk leaves the loop.

// pumpPiece is how much is read at a time: what filters then do to it may be a millisecond's work.
const pumpPiece = 32 << 10

// readCached is a variable for the tests, where files are always in memory.
var readCached = reactor.ReadCached

var pumpPieces = sync.Pool{New: func() any { return new([pumpPiece]byte) }}

// filePump is one file on its way through filters. Loop only.
type filePump struct {
	s         *Stream
	f         *os.File
	off, left int64
	reading   bool // off the loop
}

// pump answers with a file that goes through filters.
func (c *conn) pump(x *exchange) {
	w := &x.res
	part := w.body.file.parts[0] // several are an answer of 206, which has no filters
	p := &filePump{f: w.body.file.f, off: part.off, left: part.n}
	w.body.clear()
	x.mode = modeInline // whoever has made the answer is done
	x.detach()
	x.fate.Store(fateTaken)
	p.s = w.openStream()
	p.s.sink = &loopSink{s: p.s, idles: true}
	p.s.begin()
	p.s.OnDrain(p.more)
	x.endBody(ErrAnswered)
	p.run(p.more)
}

// run calls f, which writes to the stream. A panic of a filter is the handler's.
func (p *filePump) run(f func()) {
	x := p.s.x
	if c := x.req.conn; c.cur != x || c.output != outputStreaming || p.s.closed {
		return // the connection is lost, or a filter has failed
	}
	x.callBack(f)
	if !p.s.closed {
		x.checkFailed()
	}
}

// more writes as much as the peer takes.
func (p *filePump) more() {
	if p.reading {
		return
	}
	buf := pumpPieces.Get().(*[pumpPiece]byte)
	defer pumpPieces.Put(buf)
	for p.left > 0 && !p.s.Full() {
		piece := buf[:min(pumpPiece, p.left)]
		n, err := readCached(p.f, piece, p.off)
		if errors.Is(err, reactor.ErrNotCached) {
			p.readOffLoop()
			return
		}
		if !p.put(piece[:n], err) {
			return
		}
	}
	if p.left == 0 {
		_ = p.s.Close() // what it says, the server knows
	}
}

// put writes what was read. It returns false when there is no more to do.
func (p *filePump) put(b []byte, err error) bool {
	if len(b) == 0 {
		if err == nil || err == io.EOF {
			err = ErrContentLength // the file is shorter than its range
		}
		p.s.closed = true
		p.s.breakOff(err)
		_ = p.s.sink.close(nil, true)
		return false
	}
	p.off += int64(len(b))
	p.left -= int64(len(b))
	_, err = p.s.Write(b)
	return err == nil
}

// readOffLoop reads a piece on the loop's pool, and goes on with it.
func (p *filePump) readOffLoop() {
	p.reading = true
	p.s.x.req.conn.w.loop.ReadInThread(p.f, int(min(pumpPiece, p.left)), p.off, func(b []byte, err error) {
		p.reading = false
		p.run(func() {
			if err == reactor.ErrPoolFull || p.put(b, err) {
				p.more()
			}
		})
	})
}
