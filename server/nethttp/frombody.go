package nethttp

// The body of a request of ours as that of an http.Request: it streams, and its errors are those of net/http too.

import (
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"microhttp/server"
)

// body is the body of a request. The transport of a proxy may close it while it still reads.
type body struct {
	r      *server.Request
	req    *http.Request
	reader io.ReadCloser
	limit  int64 // of MaxBody
	ended  bool
	beyond atomic.Bool // the limit of an http.MaxBytesReader was met, by all that shows
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	limited := isLimited()
	n, err := b.reader.Read(p)
	if limited {
		b.beyond.Store(err == nil && n == len(p))
	}
	switch {
	case err == nil:
	case err != io.EOF:
		err = bodyErrorOf(err, b.limit)
	case !b.ended:
		b.ended = true
		b.setTrailers()
	}
	return n, err
}

// setTrailers sets the trailers of the http.Request, those that were not announced as well.
func (b *body) setTrailers() {
	var all http.Header
	for name, value := range b.r.Trailers() {
		if all == nil {
			all = http.Header{}
		}
		all.Add(name, value)
	}
	if b.req.Trailer == nil {
		b.req.Trailer = all
		return
	}
	for name, values := range all {
		b.req.Trailer[name] = values
	}
}

// limitedBy is the return address in Read of an http.MaxBytesReader, once one has been seen.
var limitedBy atomic.Uintptr

// isLimited reports whether an http.MaxBytesReader reads the body. Its ResponseWriter is to end the connection when the limit
// is met, and net/http calls a method for that which no other package can have. But the reader asks for one byte more than
// the limit, at most: if it has got all that it asked for, and has not asked again before the answer begins, the limit was
// met. A handler that reads a part of the body through the reader, and no more, looks the same. Its connection ends as well.
func isLimited() bool {
	var pc [1]uintptr
	if runtime.Callers(3, pc[:]) == 0 {
		return false
	}
	if known := limitedBy.Load(); known != 0 {
		return pc[0] == known
	}
	f, _ := runtime.CallersFrames(pc[:]).Next()
	if f.Function != "net/http.(*maxBytesReader).Read" {
		return false
	}
	limitedBy.Store(pc[0])
	return true
}

// SetReadDeadline sets the deadline of Read.
func (b *body) SetReadDeadline(t time.Time) error {
	return b.reader.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(t)
}

// Close implements io.Closer.
func (b *body) Close() error { return b.reader.Close() }

// bodyError is an error of package server that is, for a handler of net/http, another one too.
type bodyError struct{ theirs, ours error }

// Error implements error.
func (e *bodyError) Error() string { return e.theirs.Error() + ": " + e.ours.Error() }

// Unwrap lets errors.Is and errors.As find both.
func (e *bodyError) Unwrap() []error { return []error{e.theirs, e.ours} }

// bodyErrorOf is what net/http has for an error of a BodyReader. What is malformed has no name there either.
func bodyErrorOf(err error, limit int64) error {
	theirs := error(nil)
	switch {
	case err == server.ErrBodyClosed:
		return http.ErrBodyReadAfterClose
	case err == server.ErrBodyTooLarge:
		theirs = &http.MaxBytesError{Limit: limit}
	case err == server.ErrBodyTimeout, err == server.ErrBodySlow:
		theirs = os.ErrDeadlineExceeded
	case err == server.ErrBodyCut:
		theirs = io.ErrUnexpectedEOF
	case errors.Is(err, server.ErrPeerReset):
		theirs = syscall.ECONNRESET
	case errors.Is(err, server.ErrPeerGone):
		theirs = io.ErrUnexpectedEOF
	default:
		return err
	}
	return &bodyError{theirs, err}
}
