package server

import (
	"cmp"
	"strconv"
	"sync"

	"microhttp/parser"
)

// Stream is an answer that is sent bit by bit: chunked, or with the Content-Length
// that the handler declared, or, to an HTTP/1.0 peer, until the connection closes.
//
// Taken on the loop, its methods are for the loop: Write never blocks; when Full
// reports true, stop, and go on in the function that was given to OnDrain. The
// stream stays open behind the handler's return, until Close: whoever forgets that leaves
// the peer waiting, and finds a line in the log (Server.PendingTimeout). It stays open when
// the peer half-closes, too: see OnPeerEnd.
//
// Taken in a Blocking handler, its methods are for that goroutine: Write blocks
// while the peer does not keep up, and the end of the handler closes the stream.
type Stream struct {
	x       *exchange
	how     framing
	mute    bool  // content is not sent: HEAD, 204, 304
	told    bool  // that there was some was logged
	lacks   bool  // something was not taken, and the handler has not seen since that there is room
	short   bool  // what was written before it was taken is not in it
	left    int64 // of the declared length; -1 without one
	closed  bool
	trailer []byte // field lines behind the last chunk
	onDrain func()
	burst   int  // bytes written on the loop since it last went round
	posted  bool // again is on its way; off the loop, fetch is
	wrote   bool // since lookAtStream
	idles   bool // OnPeerEnd was called: the stream may be silent on purpose

	// Off the loop, bytes wait here until the loop fetches them, under mu as posted is.
	mu     sync.Mutex
	room   sync.Cond
	buf    []byte
	spare  []byte
	choked bool
	err    error

	counted int // what buf and spare were last counted to hold
}

const (
	// streamBurst is what a stream on the loop may write before other connections
	// get their turn.
	streamBurst = 256 << 10
	// streamPiece is how much of a large Write off the loop is handed over at once.
	streamPiece = 16 << 10
	// streamSpare is the largest buffer that a stream off the loop keeps for its next piece.
	streamSpare = 64 << 10
)

// Stream commits the status and the fields of w and returns the stream for its
// content. What was written to w before is the first of it. Call it in the handler; it
// panics after Later. A second call returns the same stream.
func (w *Response) Stream() *Stream {
	w.x.req.open()
	x := w.x
	if w.stream != nil {
		return w.stream
	}
	switch {
	case x.blocking != nil:
		panic("server: Stream behind a Blocking handler, which will answer: take the Stream in that")
	case x.detached && !x.offLoop:
		panic("server: Stream after Later: take the Stream in the handler")
	case !x.offLoop:
		x.detach() // which ServeHead is not let do: then nothing has happened
	}
	h := &x.req.head
	s := &Stream{x: x, left: w.declared}
	s.room.L = &s.mu
	switch {
	case bodyless(w.status):
		s.how, s.mute, s.left = framedNone, true, -1
		if w.status == 205 {
			s.how = framedLength
		}
	case w.declared >= 0:
		s.how = framedLength
	case h.Minor == 0:
		s.how = framedClose
	default:
		s.how = framedChunked
	}
	if h.MethodID == parser.MethodHead {
		s.mute, s.left = true, -1
		if s.how == framedClose {
			s.how = framedNone
		}
	}
	w.stream = s
	if !x.offLoop {
		x.claim.Store(claimed) // the loop's, for good: nobody else can answer
		s.begin()
	}
	if first := w.content(); len(first) > 0 {
		if _, err := s.Write(first); err == ErrContentLength || err == ErrUnsentBound { // nobody else is told
			w.LogMisuse("what was written before the Stream was taken is not sent: " + err.Error())
			s.short = err == ErrUnsentBound // and nobody writes it again
		}
	}
	return s
}

// begin writes the head. Loop only.
func (s *Stream) begin() {
	s.x.live = s
	c := s.x.req.conn
	if s.x.offLoop {
		s.choke(c.choked)
	}
	length := max(s.x.res.declared, 0)
	if s.x.res.status == 205 {
		length = 0
	}
	c.t.Write(c.appendHead(c.t.AvailableBuffer(), s.x, s.how, length))
}

// Write sends p, which is free on return. On the loop it never blocks and either
// takes all of p or none; off the loop it blocks while the peer does not keep up.
// What the peer does not take at once is copied: write pieces of some 16 KiB, or Give.
// Errors: a CloseReason when the connection has ended, ErrStreamClosed, ErrContentLength for more than was declared
// (p is not sent then), ErrUnsentBound (loop only): then nothing more is taken before Full
// has been seen to be false, or OnDrain's function is called, and p may be written again.
func (s *Stream) Write(p []byte) (int, error) { return s.write(p, false) }

// Give is Write for bytes that nobody changes any more, also not when they were sent: on the
// loop they are not copied, however slowly the peer reads.
func (s *Stream) Give(p []byte) (int, error) { return s.write(p, true) }

func (s *Stream) write(p []byte, given bool) (int, error) {
	c := s.x.req.conn
	if s.mute && len(p) > 0 && !s.told && bodyless(s.x.res.status) {
		s.told = true
		s.x.res.logDropped()
	}
	switch {
	case s.closed:
		return 0, ErrStreamClosed
	case s.left >= 0 && int64(len(p)) > s.left:
		return 0, ErrContentLength
	case s.x.offLoop:
		s.spend(len(p))
		return s.writeOffLoop(p)
	case c.state >= leaving:
		return 0, c.over()
	case s.mute || len(p) == 0:
		return len(p), nil
	case s.lacks:
		return 0, ErrUnsentBound
	case c.t.Buffered() > unsentFactor*c.w.srv.conf.unsent:
		s.lacks = true
		s.x.res.LogMisuse("a Stream is written to though it is Full: what is written now is not sent")
		return 0, ErrUnsentBound
	}
	s.wrote = true
	s.spend(len(p))
	s.x.res.sent += int64(len(p))
	if len(p) < largeBody {
		c.t.Write(s.appendFramed(c.t.AvailableBuffer(), p))
	} else {
		s.writeLarge(p, given)
	}
	s.burst += len(p)
	c.w.checkHeld()
	s.isFull() // which sees to it that a handler that has not asked is told
	return len(p), nil
}

// spend counts n bytes of the declared length.
func (s *Stream) spend(n int) {
	if s.left >= 0 {
		s.left -= int64(n)
	}
}

// WriteString is Write for a string.
func (s *Stream) WriteString(p string) (int, error) { return s.Write([]byte(p)) }

// writeLarge writes p without copying it behind its chunk size.
func (s *Stream) writeLarge(p []byte, given bool) {
	t := s.x.req.conn.t
	if s.how == framedChunked {
		t.Write(appendChunkSize(t.AvailableBuffer(), len(p)))
	}
	if given {
		t.Give(p)
	} else {
		t.Write(p)
	}
	if s.how == framedChunked {
		t.Write(crlf)
	}
}

var crlf = []byte("\r\n")

func (s *Stream) appendFramed(b, p []byte) []byte {
	if s.how != framedChunked {
		return append(b, p...)
	}
	b = appendChunkSize(b, len(p))
	b = append(b, p...)
	return append(b, "\r\n"...)
}

func appendChunkSize(b []byte, n int) []byte {
	return append(strconv.AppendUint(b, uint64(n), 16), "\r\n"...)
}

// Full reports, on the loop, that the stream should not be written to now: the peer
// does not keep up, or it is time for other connections. OnDrain's function is
// called when that is over. Off the loop it is always false: Write waits.
func (s *Stream) Full() bool {
	if s.x.offLoop {
		return false
	}
	full := s.isFull()
	s.lacks = s.lacks && full
	return full
}

func (s *Stream) isFull() bool {
	c := s.x.req.conn
	if c.choked {
		return true
	}
	full := s.burst >= streamBurst || c.t.Buffered() > c.w.srv.conf.unsent // of earlier answers too
	if full && !s.posted {
		s.posted = true
		c.w.loop.CallFromThread(s.again)
	}
	return full
}

// OnDrain sets the function that is called on the loop each time the stream has
// been Full and no longer is. It has no use off the loop.
func (s *Stream) OnDrain(f func()) { s.onDrain = f }

// again lets a stream that was Full go on, unless it is the peer who is behind: then
// choke will.
func (s *Stream) again() {
	c := s.x.req.conn
	s.posted = false
	s.burst = 0
	if c.state >= leaving || c.choked {
		return
	}
	if c.t.Buffered() > c.w.srv.conf.unsent {
		s.posted = true
		c.w.loop.CallLater(markPatience, s.again)
		return
	}
	s.drain()
}

func (s *Stream) drain() {
	if s.onDrain != nil && !s.closed && !s.Full() {
		f := s.onDrain
		s.x.run(func(*Response, *Request) { f() })
		if s.x.aborted {
			s.x.req.conn.abortFor(failedFor(s.x.res.err))
		}
	}
}

// choke is told by the connection when the peer falls behind and when it has caught
// up.
func (s *Stream) choke(choked bool) {
	if s.x.offLoop {
		s.mu.Lock()
		s.choked = choked
		if choked {
			s.spare = nil // it may be long before it is of use
			s.recount()
		}
		s.room.Broadcast()
		s.mu.Unlock()
		return
	}
	if !choked && !s.posted {
		s.drain()
	}
}

// lost ends the wait of a writer off the loop.
func (s *Stream) lost(why CloseReason) {
	s.mu.Lock()
	s.err = why
	s.room.Broadcast()
	s.mu.Unlock()
}

// Close ends the stream: the answer is complete. If it was given less than its declared
// length, that is sent, and the connection ends behind it: its peer sees that there is less
// than Content-Length says. The error is then ErrContentLength. A stream that lacks what got
// ErrUnsentBound breaks the connection off. Closing twice is harmless.
func (s *Stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if !s.x.offLoop {
		s.x.onPeerEnd = nil
	}
	var err error
	switch {
	case s.left > 0:
		err = ErrContentLength
	case s.lacks || s.short:
		err = ErrUnsentBound
	}
	if err != nil {
		s.x.aborted = true
		s.x.res.err = err
	}
	if s.x.offLoop {
		if err == nil || err == ErrContentLength { // then the head may not be out yet
			err = cmp.Or(err, s.post(nil, true))
		}
		return err // the end of the handler hands back
	}
	c := s.x.req.conn
	if c.state >= leaving {
		return c.over()
	}
	if err == nil && s.how == framedChunked && !s.mute {
		c.t.Write(s.appendEnd(c.t.AvailableBuffer()))
	}
	s.x.handBack()
	return err
}

// appendEnd appends the last chunk and the trailer section.
func (s *Stream) appendEnd(b []byte) []byte {
	b = append(b, "0\r\n"...)
	b = append(b, s.trailer...)
	return append(b, "\r\n"...)
}

// writeOffLoop hands p over in pieces, waiting for room before each.
func (s *Stream) writeOffLoop(p []byte) (int, error) {
	done := 0
	for {
		piece := p[done:min(len(p), done+streamPiece)]
		if err := s.post(piece, false); err != nil {
			return done, err
		}
		if done += len(piece); done == len(p) {
			return done, nil
		}
	}
}

// post adds a piece to what the loop will fetch, or the end of the content.
func (s *Stream) post(piece []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !last {
		s.awaitRoom()
	}
	if s.err != nil {
		return s.err
	}
	switch {
	case s.mute:
	case last && s.how == framedChunked:
		s.buf = s.appendEnd(s.buf)
	case len(piece) > 0:
		s.x.res.sent += int64(len(piece))
		s.buf = s.appendFramed(s.buf, piece)
	}
	s.recount()
	if !s.posted {
		s.posted = true
		if !s.x.req.conn.w.loop.CallFromThread(s.fetch) {
			s.err = ErrServerClosed
			return s.err
		}
	}
	return nil
}

// awaitRoom waits until the loop takes more. The wait for a peer that does not keep up is without a place. The caller
// has s.mu.
func (s *Stream) awaitRoom() {
	for s.err == nil && (s.choked || len(s.buf) > s.x.req.conn.w.srv.conf.unsent) {
		if !s.choked {
			s.room.Wait() // for the loop, which is about to fetch
			continue
		}
		s.x.job.giveBack()
		for s.err == nil && s.choked {
			s.room.Wait()
		}
		s.mu.Unlock()
		s.x.job.takeAgain() // which may take its time: the loop must not wait for it
		s.mu.Lock()
	}
}

// fetch takes over, on the loop, what a Blocking handler has written.
func (s *Stream) fetch() {
	s.mu.Lock()
	b := s.buf
	s.buf, s.spare, s.posted = s.spare[:0], nil, false
	s.recount()
	s.room.Broadcast()
	s.mu.Unlock()
	c := s.x.req.conn
	if c.state >= leaving {
		s.lost(c.over())
		return
	}
	if s.x.live == nil {
		s.begin()
	}
	c.t.Write(b)
	c.w.checkHeld()
	if cap(b) <= streamSpare {
		s.mu.Lock()
		s.spare = b
		s.recount()
		s.mu.Unlock()
	}
}
