package nethttp

// The http.ResponseWriter of a handler that From serves. Content is gathered first, as in net/http and by the same
// measure, so that both frame an answer alike: what is still gathered when the handler returns is an answer of known
// length, which the server.Response takes; what outgrows the buffer, or is flushed, goes through a server.Stream, which
// commits the head and waits for a slow peer.

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"microhttp/server"
)

// gathered is how much content is gathered before it is streamed: as much as net/http gathers before it sends chunks.
const gathered = 2 << 10

// writer belongs to the handler, which may leave goroutines behind that still use it.
type writer struct {
	req    *http.Request
	head   bool        // the request is HEAD: content is counted and not sent
	header http.Header // what Header gives; nil until it does

	mu       sync.Mutex       // guards what follows
	w        *server.Response // nil: the handler has returned
	given    []string         // the fields that w had before
	fields   fields           // header as it was when the head was written
	status   int              // 0: the head has not been written
	length   int64            // the Content-Length in fields, or -1
	written  int64            // content that the handler has written
	err      error            // of the stream, or of Hijack: it takes nothing any more
	buf      []byte           // content that is gathered
	stream   *server.Stream   // nil: everything is gathered
	trailers []string         // the names that fields announces
	misused  bool             // and logged

	outside outside
}

var (
	_ http.Flusher    = (*writer)(nil)
	_ io.ReaderFrom   = (*writer)(nil)
	_ io.StringWriter = (*writer)(nil)
)

func (c *call) newWriter(w *server.Response, r *http.Request) *writer {
	rw := &c.writer
	rw.req, rw.w, rw.head, rw.length = r, w, r.Method == http.MethodHead, -1
	if w.NumHeaders() > 0 {
		rw.takeGiven()
	}
	if b, ok := r.Body.(*body); ok {
		rw.outside.body = b
	}
	return rw
}

// takeGiven begins the header with the fields that the response has.
func (rw *writer) takeGiven() {
	header := rw.Header()
	for name, value := range rw.w.Headers() {
		rw.given = append(rw.given, name)
		header.Add(name, value)
	}
}

// Header implements http.ResponseWriter.
func (rw *writer) Header() http.Header {
	if rw.header == nil {
		rw.header = http.Header{}
	}
	return rw.header
}

// WriteHeader implements http.ResponseWriter.
func (rw *writer) WriteHeader(status int) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	switch {
	case rw.w == nil:
	case rw.err == http.ErrHijacked:
		rw.misuse("response.WriteHeader on hijacked connection from " + caller())
	case rw.status != 0:
		rw.misuse("superfluous response.WriteHeader call from " + caller())
	case status == http.StatusContinue: // the server has sent it, if it was asked for
	case status > http.StatusSwitchingProtocols && status < 200:
		rw.w.Interim(status, interimFields(rw.header)...) // it is never needed
	default:
		checkStatus(status)
		rw.begin(status)
	}
}

// begin writes the head: from now on it is as the header is now.
func (rw *writer) begin(status int) {
	rw.status = status
	if len(rw.header) == 0 {
		return // the handler has set nothing
	}
	rw.fields.take(rw.header)
	rw.trailers = announced(rw.header)
	if v := rw.header["Content-Length"]; len(v) > 0 && v[0] != "" {
		n, err := strconv.ParseInt(v[0], 10, 64)
		if err != nil || n < 0 {
			rw.misuse("invalid Content-Length of " + strconv.Quote(v[0]))
		} else if !rw.fields.coded || rw.header["Transfer-Encoding"][0] == "identity" {
			rw.length = n
		}
	}
	if rw.fields.invalid != "" {
		rw.misuse("invalid field name " + strconv.Quote(rw.fields.invalid))
	}
}

// Write implements http.ResponseWriter. Errors: http.ErrBodyNotAllowed, http.ErrContentLength, http.ErrHijacked,
// server.ErrAnswered when the handler has returned, os.ErrDeadlineExceeded, and the server.CloseReason of a connection that
// has ended. The last two are final: every Write after it, and every Flush, returns the same.
func (rw *writer) Write(p []byte) (int, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if err := rw.admit(len(p)); err != nil {
		return 0, err
	}
	return rw.gather(p)
}

// WriteString implements io.StringWriter. What fits into the buffer is copied once.
func (rw *writer) WriteString(s string) (int, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if err := rw.admit(len(s)); err != nil {
		return 0, err
	}
	if len(s) > gathered-len(rw.buf) {
		return rw.gather([]byte(s))
	}
	rw.buf = append(rw.buf, s...)
	return len(s), nil
}

// admit begins the answer, if need be, and reports why n more bytes are not taken.
func (rw *writer) admit(n int) error {
	switch {
	case rw.w == nil:
		return server.ErrAnswered
	case rw.err == http.ErrHijacked:
		return rw.err
	case rw.status == 0:
		rw.begin(http.StatusOK)
	}
	switch rw.written += int64(n); {
	case n == 0:
		return nil
	case !allowsBody(rw.status):
		return http.ErrBodyNotAllowed
	case rw.length >= 0 && rw.written > rw.length:
		return http.ErrContentLength
	}
	return rw.err
}

// gather adds p to what is gathered, and sends what is too much.
func (rw *writer) gather(p []byte) (n int, err error) {
	for len(p) > gathered-len(rw.buf) {
		fits := len(p)
		if len(rw.buf) == 0 {
			err = rw.send(p)
		} else {
			fits = gathered - len(rw.buf)
			rw.buf = append(rw.buf, p[:fits]...)
			err = rw.sendGathered()
		}
		if err != nil {
			return n, err
		}
		n, p = n+fits, p[fits:]
	}
	rw.buf = append(rw.buf, p...)
	return n + len(p), nil
}

func (rw *writer) sendGathered() error {
	err := rw.send(rw.buf)
	rw.buf = rw.buf[:0]
	return err
}

// send streams p, which may be empty: the head goes out all the same. An error is kept. A Write that is gathered cannot fail
// itself, and the error of a Flush is seldom looked at, so the next Write has to return it.
func (rw *writer) send(p []byte) error {
	if rw.err != nil {
		return rw.err
	}
	if rw.stream == nil {
		rw.commit(p)
		rw.stream = rw.w.Stream()
		rw.outside.streams(rw.stream)
	}
	_, rw.err = rw.stream.Write(p)
	return rw.err
}

// Flush implements http.Flusher.
func (rw *writer) Flush() { _ = rw.FlushError() }

// FlushError is Flush for http.ResponseController. What was written is on its way when it returns; it waits only if the
// peer does not keep up. Its errors are those of Write. A head with status 101 waits for Hijack.
func (rw *writer) FlushError() error {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	switch {
	case rw.w == nil:
		return server.ErrAnswered
	case rw.err != nil:
		return rw.err
	case rw.status == 0:
		rw.begin(http.StatusOK)
	case rw.status == http.StatusSwitchingProtocols:
		return nil
	}
	if err := rw.sendGathered(); err != nil {
		return err
	}
	rw.err = rw.stream.Flush()
	return rw.err
}

// EnableFullDuplex is for http.ResponseController. It does nothing: the body can always be read after the answer has
// begun, and at the same time.
func (rw *writer) EnableFullDuplex() error { return nil }

// pieces are what ReadFrom copies through.
var pieces = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom implements io.ReaderFrom: io.Copy needs no buffer of its own.
func (rw *writer) ReadFrom(src io.Reader) (int64, error) {
	piece := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(piece)
	return io.CopyBuffer(struct{ io.Writer }{rw}, struct{ io.Reader }{src}, piece[:])
}

// finish completes the answer: the handler has returned.
func (rw *writer) finish() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	switch {
	case rw.err == http.ErrHijacked:
		return
	case rw.status == 0:
		rw.begin(http.StatusOK)
	case rw.status == http.StatusSwitchingProtocols:
		if conn, _, err := rw.hijack(); err == nil {
			conn.Close()
		}
		return
	}
	if rw.stream == nil && rw.isWhole() {
		if rw.outside.tooLate() {
			panic(http.ErrAbortHandler)
		}
		rw.commit(rw.buf)
		if len(rw.buf) > 0 && (rw.length < 0 || !rw.head) {
			rw.w.GiveBody(rw.buf) // for HEAD it is counted
		}
		return
	}
	if len(rw.buf) > 0 || rw.stream == nil {
		_ = rw.sendGathered() // if the peer is gone, the server knows
	}
	rw.sendTrailers() // the end of the handler closes the stream
}

// isWhole reports whether the answer needs no stream: its content is gathered and its length, where it has one, is
// known.
func (rw *writer) isWhole() bool {
	f := &rw.fields
	switch {
	case !allowsBody(rw.status):
		return true
	case rw.length >= 0:
		return rw.head || rw.length == rw.written // if not, the end of the stream ends the connection
	case rw.head && len(rw.buf) == 0:
		return false // nobody knows how much GET would give: a stream says nothing about it
	}
	return !f.counted && !f.coded && !f.trailing // net/http counts only where there is no entry for a length
}

// end takes the response away from whoever still holds the writer.
func (rw *writer) end() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	rw.outside.end()
	rw.w, rw.stream, rw.buf = nil, nil, nil
}

// misuse logs what the handler does wrong, once.
func (rw *writer) misuse(what string) {
	if !rw.misused {
		rw.misused = true
		rw.w.LogMisuse(what)
	}
}
