package server

import (
	"strconv"
	"time"
)

// Stream is an answer that is sent bit by bit: chunked, or with the Content-Length
// that the handler declared, or, to an HTTP/1.0 peer, until the connection closes.
//
// Taken on the loop, its methods are for the loop: Write never blocks. When Full
// reports true, stop, and go on in the function that was given to OnDrain. The
// stream stays open after the handler has returned, until Close. A stream that is never closed leaves
// the peer waiting, and a line in the log (Server.PendingTimeout). It stays open when
// the peer half-closes, too: see OnPeerEnd.
//
// A panic of the handler cuts the answer off. What was written before it is sent, and the connection ends. The peer sees the
// cut by the framing; where it could not, the connection is reset.
//
// Taken in a Blocking handler, its methods are for that goroutine: Write blocks
// while the peer does not keep up, and the end of the handler closes the stream.
type Stream struct {
	x       *exchange
	framing framing
	told    bool  // that there was content which is not sent was logged
	short   bool  // what was written before the stream was taken is not in it
	left    int64 // of the declared length; -1 without one
	closed  bool
	filters *filters
	trailer []byte // field lines after the last chunk
	sink    sink
}

// sink is where the content of a Stream goes: straight to the transport, on the loop, or through a pipe, from the
// goroutine of a Blocking handler.
type sink interface {
	admits() error                         // why content is not taken now
	put(p []byte, given bool) (int, error) // for content that was admitted
	close(end []byte, broken bool) error   // gives the exchange back, after end
	full() bool
	onDrain(f func())
	setDeadline(t time.Time)

	// These are called by the loop.
	pause()         // the peer does not keep up
	resume()        // it does again
	lost(err error) // it is gone
	uncount()       // what the sink holds is not counted any more
}

// Stream commits the status and the fields of w and returns the stream for its
// content. What was written to w before is the first of it. Call it in the handler; it
// panics after Later, and in OnPanic. A second call returns the same stream.
func (w *Response) Stream() *Stream {
	w.x.req.open()
	x := w.x
	x.must(verbStream)
	if w.stream != nil {
		return w.stream
	}
	taken := len(w.before) > 0 && w.decideStream()
	s := w.openStream()
	if x.mode == modeBlocking {
		p := newPipe(s)
		s.sink = p
		if taken {
			p.begin()
		}
	} else {
		x.detach()
		x.fate.Store(fateTaken) // the loop's: no other code can answer
		s.sink = &loopSink{s: s}
		s.begin()
	}
	if w.body.kind == contentFile {
		w.LogMisuse("the file of SendFile is not sent: a Stream takes its place")
	}
	if first := w.body.bytes(); len(first) > 0 {
		if _, err := s.Write(first); err != nil && err != ErrPeerGone { // no caller gets to know
			w.LogMisuse("what was written before the Stream was taken is not sent: " + err.Error())
			s.short = err == ErrUnsentBound // and nothing writes it again
		}
	}
	return s
}

// openStream makes the stream of w, whose head is decided. It has no sink yet.
func (w *Response) openStream() *Stream {
	f := frame(w, &w.x.req.head, unknownLength)
	s := &Stream{x: w.x, framing: f, left: -1, filters: w.filters}
	w.filters = nil
	if f.kind == framedLength && !f.mute {
		s.left = f.length
	}
	w.stream = s
	return s
}

// begin writes the head. Loop only.
func (s *Stream) begin() {
	c := s.x.req.conn
	s.x.live = s
	c.t.Commit(c.appendHead(c.t.Room(0), s.x, &s.x.res, s.framing))
	c.output = outputStreaming
	c.lingers = true
	if c.outputFull {
		s.sink.pause()
	}
}

// Write sends p, which is free on return. On the loop it never blocks and either
// takes all of p or none; off the loop it blocks while the peer does not keep up.
// What the peer does not take at once is copied: write pieces of some 16 KiB, or Give.
// Errors: ErrPeerGone, ErrTimeout when the server has answered in place of a Blocking handler,
// ErrStreamClosed, ErrContentLength for more than was declared
// (p is not sent then), ErrUnsentBound (loop only): then nothing more is taken before Full
// has been seen to be false, or OnDrain's function is called, and p may be written again.
func (s *Stream) Write(p []byte) (int, error) { return s.write(p, false) }

// Give is like Write but transfers ownership: p must never be modified again, even after it has been sent. On the
// loop, p is not copied, however slowly the peer reads.
func (s *Stream) Give(p []byte) (int, error) { return s.write(p, true) }

func (s *Stream) write(p []byte, given bool) (int, error) {
	if s.framing.mute && len(p) > 0 && !s.told && bodyless(s.x.res.status) {
		s.told = true
		s.x.res.logDropped()
	}
	switch {
	case s.closed:
		return 0, ErrStreamClosed
	case s.left >= 0 && int64(len(p)) > s.left:
		return 0, ErrContentLength
	}
	if !s.framing.mute && len(p) > 0 {
		if err := s.sink.admits(); err != nil {
			return 0, err
		}
		if s.filters != nil {
			if err := s.pass(p, false); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	n, err := s.sink.put(p, given)
	if s.left >= 0 {
		s.left -= int64(n)
	}
	return n, err
}

// WriteString is Write for a string.
func (s *Stream) WriteString(p string) (int, error) { return s.Write([]byte(p)) }

// appendFramed appends a piece of content as it stands on the wire.
func (s *Stream) appendFramed(b, p []byte) []byte {
	if s.framing.kind != framedChunked {
		return append(b, p...)
	}
	b = appendChunkSize(b, len(p))
	b = append(b, p...)
	return append(b, crlf...)
}

var crlf = []byte("\r\n")

func appendChunkSize(b []byte, n int) []byte {
	return append(strconv.AppendUint(b, uint64(n), 16), crlf...)
}

// Full reports, on the loop, that the stream should not be written to now: the peer
// does not keep up, or it is time for other connections. OnDrain's function is
// called when that is over. Off the loop it is always false: Write waits.
func (s *Stream) Full() bool { return s.sink.full() }

// SetWriteDeadline sets a time for writing, in a Blocking handler; the zero time is none. It may be called from any goroutine,
// and ends a Write that waits. When the time has come, Write returns os.ErrDeadlineExceeded, then and ever after, and the
// answer is broken off when the handler returns: Err is [ErrSendTimeout]. A deadline that neither Write nor the end of the
// stream has met can be moved. It counts for what Write takes, not for what the peer has yet to read. On the loop,
// where Write never waits, it does nothing.
func (s *Stream) SetWriteDeadline(t time.Time) { s.sink.setDeadline(t) }

// OnDrain sets the function that is called on the loop each time the stream has
// been Full and no longer is. It has no use off the loop.
func (s *Stream) OnDrain(f func()) { s.sink.onDrain(f) }

// Close ends the stream: the answer is complete. If it was given less than its declared
// length, that is sent, and the connection ends after it: the peer sees that there is less
// than Content-Length says. The error is then ErrContentLength. A stream that lacks what got
// ErrUnsentBound breaks the connection off. Closing twice is harmless.
func (s *Stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.x.mode != modeBlocking {
		s.x.onPeerEnd, s.x.onShutdown = nil, nil
	}
	switch {
	case s.left > 0:
		s.x.short, s.x.res.err = true, ErrContentLength
		_ = s.sink.close(nil, false)
		return ErrContentLength
	case s.short:
		s.breakOff(ErrUnsentBound)
		_ = s.sink.close(nil, true)
		return ErrUnsentBound
	}
	if s.filters != nil {
		if err := s.pass(nil, true); err != nil && s.x.fate.Load() == fateAborted {
			return err
		}
	}
	return s.sink.close(s.end(), false)
}

// breakOff has the connection reset, so that the peer does not take the part for the whole.
func (s *Stream) breakOff(err error) {
	s.x.fate.Store(fateAborted)
	s.x.res.err = err
}

// showsCut reports whether the peer can tell by the framing that what was sent is not the whole.
func (s *Stream) showsCut() bool {
	switch {
	case s == nil, s.closed, s.framing.mute: // a file is sent without a Stream
		return false
	case s.framing.kind == framedChunked:
		return true // the last chunk is missing
	}
	return s.left > 0
}

// end is the last chunk and the trailer section, if there are to be any.
func (s *Stream) end() []byte {
	if s.framing.kind != framedChunked || s.framing.mute {
		return nil
	}
	b := append([]byte(nil), "0\r\n"...)
	b = append(b, s.trailer...)
	return append(b, crlf...)
}
