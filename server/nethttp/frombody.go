package nethttp

// The body of a request of ours as that of an http.Request: it streams, and its errors are those of net/http too.

import (
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"

	"microhttp/server"
)

// body is the body of a request. The transport of a proxy may close it while it still reads.
type body struct {
	r      *server.Request
	req    *http.Request
	reader io.ReadCloser
	limit  int64 // of MaxBody
	ended  bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
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
