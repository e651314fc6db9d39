package server

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// bodyReader carries a body from the loop to a Blocking handler. The loop puts pieces into one buffer, and pauses the
// connection when bodyReaderHigh bytes wait there. Read empties another buffer, then swaps the two and has the loop go
// on. So the loop never waits while bytes are copied out.
type bodyReader struct {
	x *exchange

	reading sync.Mutex // held by Read; guards taken
	taken   []byte     // what Read has taken, and not yet given out
	spare   []byte     // the whole of that buffer

	mu     sync.Mutex
	more   sync.Cond
	buf    []byte // what has come since
	asked  bool
	paused bool
	closed bool
	rest   rest        // of a Read that waits for the peer
	err    error       // how the body ended
	by     deadline    // of Read
	missed atomic.Bool // Read has met it, and what is left of the body is not drained

	counted      int // what the buffers were last counted to hold: see memory.go
	countedWhole int // and what readAll has gathered
}

// bodyReaderHigh is how much of a body waits for a Blocking handler that does not read. Two reads of the loop fit in.
const bodyReaderHigh = 128 << 10

// BodyReader returns the body of the request as a stream, for a Blocking handler. The peer is told to continue, if it
// awaits that, at the first Read. Read waits for the peer and returns:
//
//   - io.EOF at the end of a body that is whole, and never for one that was cut off.
//   - [ErrBodyTooLarge], [ErrBodyTimeout], [ErrBodySlow], [ErrBodyCut] and other values of *[parser.Error] when the body was refused. If the handler
//     then leaves a status below 400, the answer says why the body was refused.
//   - [ErrPeerGone] and its like when the connection is lost.
//   - [ErrAnswered] when the answer has been given.
//
// The bytes that Read fills in are the caller's. Read and Close may be called by another goroutine of the handler's;
// two calls of Read at once take turns. Close has later Reads fail with [ErrBodyClosed]. The body has no bound but
// [MaxBody], and no time but Server.MinDataRate while it is read.
//
// The reader also has SetReadDeadline(time.Time) error, for any goroutine. When that time has come, Read returns
// os.ErrDeadlineExceeded, then and ever after. A deadline that no Read has met can be moved; the zero time is none. The
// connection ends after the answer if the body is not whole by then.
//
// It panics on the loop, where OnBody serves. A second call returns the same reader. In a handler that was called with
// its whole body it reads that.
func (r *Request) BodyReader() io.ReadCloser {
	r.open()
	r.x.must(verbBodyReader)
	if r.reader != nil {
		return r.reader
	}
	if !r.whole {
		r.askOnce("BodyReader")
	}
	b := &bodyReader{x: r.x}
	b.more.L = &b.mu
	switch {
	case r.whole:
		b.buf, b.err, b.asked = r.body, io.EOF, true
	case !r.head.HasBody():
		b.err, b.asked = io.EOF, true
	}
	r.asked = true
	r.reader = b
	return b
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := b.take(); err != nil {
		return 0, err
	}
	n := copy(p, b.taken)
	b.taken = b.taken[n:]
	return n, nil
}

// take sees to it that there is something in taken. It waits for more of the body, and takes all that has come.
func (b *bodyReader) take() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late() {
		return os.ErrDeadlineExceeded
	}
	if len(b.taken) > 0 && !b.closed {
		return nil
	}
	if !b.asked {
		b.asked = true
		if !b.post(b.ask) {
			b.err = ErrServerClosed
		}
	}
	for len(b.buf) == 0 && b.err == nil && !b.closed && !b.by.passed {
		b.await()
	}
	switch {
	case b.late():
		return os.ErrDeadlineExceeded
	case b.closed:
		return ErrBodyClosed
	case len(b.buf) == 0:
		return b.err
	}
	b.taken, b.buf, b.spare = b.buf, b.spare[:0], b.buf
	if b.paused {
		b.paused = false
		b.post(b.x.resumeBody)
	}
	return nil
}

// late reports whether Read has met its deadline, now or before. The caller has b.mu.
func (b *bodyReader) late() bool {
	if b.by.passed && !b.closed && b.err == nil {
		b.err = os.ErrDeadlineExceeded
		b.missed.Store(true)
	}
	return b.err == os.ErrDeadlineExceeded
}

// SetReadDeadline is for the type assertion that BodyReader describes.
func (b *bodyReader) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && b.err == nil {
		b.by.set(t, b.change)
		b.rest.end(b.x)
		b.more.Broadcast()
	}
	return nil
}

// change changes the state and wakes a Read that waits.
func (b *bodyReader) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	b.rest.end(b.x)
	b.more.Broadcast()
}

// await waits until more has come of the body. The wait for the peer is without a place; see places.go. The caller has
// b.mu.
func (b *bodyReader) await() {
	b.x.job.giveBack()
	for len(b.buf) == 0 && b.err == nil && !b.closed && !b.by.passed {
		b.rest.begin(b.x, &b.by)
		b.more.Wait()
	}
	b.mu.Unlock()
	b.x.job.takeAgain()
	b.mu.Lock()
}

// Close implements io.Closer. What has not been read of the body is not read any more.
func (b *bodyReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.by.stop()
	b.rest.end(b.x)
	b.more.Broadcast()
	return nil
}

func (b *bodyReader) post(f func()) bool { return b.x.req.conn.w.loop.CallFromThread(f) }

// ask is the first Read's, on the loop.
func (b *bodyReader) ask() {
	x := b.x
	c := x.req.conn
	switch {
	case c.cur != x:
		b.end(x.lostTo())
		return
	case c.output == outputEnded:
		b.end(c.over())
		return
	}
	x.body.reader = b
	if c.ask(x, bodyToReader, 0) {
		c.resume()
	}
}

// put adds a piece, on the loop, and reports whether that is enough for now.
func (b *bodyReader) put(p []byte) (pause bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return true
	}
	b.buf = append(b.buf, p...)
	b.x.req.conn.w.recountMade(&b.counted, cap(b.buf)+cap(b.spare))
	b.paused = len(b.buf) >= bodyReaderHigh
	b.rest.end(b.x)
	b.more.Signal()
	return b.paused
}

// end tells how the body ended, on the loop.
func (b *bodyReader) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.by.stop()
	b.rest.end(b.x)
	b.more.Broadcast()
}

// readAll reads the whole body, for a buffered handler inside Blocking. It returns false when the handler is not to be
// called, because the body is not whole.
func (r *Request) readAll() bool {
	x := r.x
	limit := x.bound(bodyToBuffer, 0)
	if limit >= 0 && r.head.ContentLength > limit {
		x.tooLarge()
		return false
	}
	err := r.readWhole(limit)
	if err == errBeyond {
		x.tooLarge()
	}
	return err == nil // else the answer says why
}

// errBeyond is the error of readWhole for a body beyond its bound, of which the connection does not know.
var errBeyond = fmt.Errorf("server: %w", ErrBodyTooLarge)

// readWhole reads the whole body, of at most limit bytes; -1 is no bound. What it holds is counted for MaxBufferedBytes.
func (r *Request) readWhole(limit int64) error {
	b := r.BodyReader().(*bodyReader)
	var g gatherer // not the request's, which is the loop's
	defer g.drop()
	for {
		n, err := b.Read(g.room())
		g.size += n
		r.conn.w.recountMade(&b.countedWhole, g.holds())
		switch {
		case limit >= 0 && int64(g.size) > limit:
			return errBeyond
		case err == io.EOF:
			r.body = g.moveTo(make([]byte, 0, g.size))
			r.conn.w.recountMade(&b.countedWhole, cap(r.body))
			r.kept, r.whole = len(r.body) > 0, true
			return nil
		case err != nil:
			return err
		}
	}
}

// tooLarge makes the answer of a body that is beyond the bound of readAll.
func (x *exchange) tooLarge() {
	x.logTooLarge()
	x.res.refusal(ErrBodyTooLarge)
}

func (b *bodyReader) uncount() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.x.req.conn.w.recountMade(&b.counted, 0)
	b.x.req.conn.w.recountMade(&b.countedWhole, 0)
}
