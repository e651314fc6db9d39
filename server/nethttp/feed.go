package nethttp

// A feed carries the body of an http.Request to the connection, as a socket would.
//
// It reads only when the connection reads. The connection is paused until a handler asks for the body, so that
// net/http does not tell its client to continue before that, and again whenever the handler has enough for now.
//
// A body that is only gathered, for a handler that is called when it is whole, is read by the goroutine of ServeHTTP.
// Else the loop runs, and each piece is read by a goroutine that then posts it to the loop. There is one such goroutine
// at a time, and none while the connection is paused.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"microhttp/parser"
	"microhttp/server"
)

// A feed belongs to the goroutine that its lane belongs to.
type feed struct {
	r       *http.Request
	left    int64 // of the announced length; -1 is unknown, and the body is chunked
	open    bool  // there is a body, and its end has not been delivered
	asked   bool  // reading it has begun
	paused  bool  // the connection does not read; it goes from one request to the next
	reading bool  // a goroutine reads a piece
	readers sync.WaitGroup
	piece   []byte
	gone    error // why the context has ended, while a piece was being read
}

// pieceSize is how much of a body is read at a time.
const pieceSize = 32 << 10

// begin readies f for the body of r.
func (f *feed) begin(r *http.Request) {
	f.r, f.left, f.open, f.asked = r, r.ContentLength, hasBody(r), false
}

// release lets go of the request.
func (f *feed) release() { f.r = nil }

// gather reads the body as long as the connection only gathers it.
func (l *lane) gather() {
	for l.feed.open && !l.over() && l.conn.Gathers() && !l.borrowed.Load() {
		l.feed.asked = true
		l.deliver(l.feed.read())
	}
}

// pull has the next piece read, if the connection wants one. It is called on the loop, or before that runs.
func (l *lane) pull() {
	f := &l.feed
	if f.paused || f.reading || !f.open || l.finished || l.over() {
		return
	}
	f.asked, f.reading = true, true
	f.readers.Add(1)
	go func() {
		n, err := f.read()
		f.readers.Done()
		l.loop.CallFromThread(func() {
			f.reading = false
			l.deliver(n, err)
			l.pull()
		})
	}()
}

// bodyPanic is the error of a body whose Read has panicked.
type bodyPanic struct{ value any }

func (p *bodyPanic) Error() string { return fmt.Sprint("reading the body panicked: ", p.value) }

// read reads a piece.
func (f *feed) read() (n int, err error) {
	if f.piece == nil {
		f.piece = make([]byte, pieceSize)
	}
	p := f.piece
	if f.left >= 0 && f.left < int64(len(p)) {
		p = p[:f.left]
	}
	returned := false
	defer func() {
		if !returned {
			n, err = 0, &bodyPanic{recover()} // it goes on in ServeHTTP
		}
	}()
	n, err = f.r.Body.Read(p)
	returned = true
	return n, err
}

// deliver gives the connection a piece, in the framing that appendHead announced, and with it the end of the body.
func (l *lane) deliver(n int, err error) {
	f := &l.feed
	if l.finished || l.over() {
		return
	}
	if f.gone != nil && err == nil {
		err = f.gone
	}
	if n > 0 {
		p := f.piece[:n]
		if f.left < 0 {
			l.in = appendChunk(l.in[:0], p)
			p = l.in
		} else {
			f.left -= int64(n)
			f.open = f.left > 0 // before the handler may answer
		}
		l.protocol.DataReceived(p)
	}
	switch {
	case !f.open, err == nil, l.over():
		return
	case err == io.EOF && f.left > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF:
		if l.in, err = appendTrailer(l.in[:0], f.r); err == nil {
			f.open = false
			l.protocol.DataReceived(l.in)
			return
		}
	}
	if p, ok := errors.AsType[*bodyPanic](err); ok {
		l.thrown = p.value
	}
	f.open = false
	refusal := f.refusal(err)
	if refusal != nil {
		l.conn.RefuseBody(refusal)
	}
	if refusal == nil || f.gone != nil && !l.over() {
		l.finish(err)
	}
}

// contextEnded ends the request because its context has ended. If the body is being read, the read is ended first: of a
// client that is lost in the middle of the body it says how.
func (l *lane) contextEnded(why error) {
	if f := &l.feed; f.reading && !l.finished && setReadDeadline(l.answer.w, longAgo) {
		f.gone = why
	} else {
		l.finish(why)
	}
}

var longAgo = time.Unix(1, 0)

// setReadDeadline reports whether it could set the deadline.
func setReadDeadline(w http.ResponseWriter, t time.Time) bool {
	return http.NewResponseController(w).SetReadDeadline(t) == nil
}

// refusal is what becomes of an error of reading the body, or nil if it means that the client is lost.
func (f *feed) refusal(err error) *parser.Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return server.ErrBodyTooLarge
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return server.ErrBodyCut
	}
	if _, ok := errors.AsType[*bodyPanic](err); ok || f.gone != nil || f.r.Context().Err() != nil {
		return nil
	}
	for _, lost := range []error{syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, context.Canceled, http.ErrAbortHandler} {
		if errors.Is(err, lost) {
			return nil
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return server.ErrBodyTimeout
	}
	return &parser.Error{Status: http.StatusBadRequest, Reason: "reading the body: " + err.Error()}
}

// drainTime is for how long net/http may throw away what its client still sends after an answer that ends the
// connection, so that no reset overtakes the answer.
const drainTime = 500 * time.Millisecond

// stopReading ends the read of a body that nothing awaits any more: r.Body must not be used when ServeHTTP has
// returned. broken says that the answer is broken off.
func (l *lane) stopReading(w http.ResponseWriter, broken bool) {
	if !broken && !l.answer.closes {
		return // a little is left, and the connection goes on: net/http itself waits for the rest
	}
	if !setReadDeadline(w, longAgo) {
		return // the read ends when the body does
	}
	l.feed.readers.Wait()
	setReadDeadline(w, time.Now().Add(drainTime))
}

// PauseReading implements reactor.Transport: the body is not read until ResumeReading.
func (l *lane) PauseReading() { l.feed.paused = true }

// ResumeReading implements reactor.Transport.
func (l *lane) ResumeReading() {
	l.feed.paused = false
	if l.running {
		l.pull()
	}
}
