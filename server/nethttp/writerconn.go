package nethttp

// What a handler of net/http can do with the connection beyond its answer: take it, set deadlines, learn that the peer is gone.

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"microhttp/server"
)

var (
	_ http.Hijacker = (*writer)(nil)
	//lint:ignore SA1019 There are handlers that still use it.
	_ http.CloseNotifier = (*writer)(nil)
)

// Hijack implements http.Hijacker. The connection is that of server.Response.Hijack. A head that was written before, and
// content that is gathered, are sent first. An answer that was flushed is not ended: the connection goes on where it is, as
// in net/http. Errors: http.ErrHijacked, and those of server.Response.Hijack.
func (rw *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.w == nil {
		panic("net/http: Hijack called after ServeHTTP finished")
	}
	conn, unread, err := rw.hijack()
	if err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(io.MultiReader(&once{unread}, conn), max(4<<10, len(unread)))
	if len(unread) > 0 {
		_, _ = in.Peek(len(unread)) // so that Buffered says how much there is
	}
	return conn, bufio.NewReadWriter(in, bufio.NewWriter(conn)), nil
}

// once is a reader of bytes that lets go of them.
type once struct{ p []byte }

func (o *once) Read(p []byte) (int, error) {
	if len(o.p) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.p)
	if o.p = o.p[n:]; len(o.p) == 0 {
		o.p = nil
	}
	return n, nil
}

func (rw *writer) hijack() (net.Conn, []byte, error) {
	switch {
	case rw.err == http.ErrHijacked:
		return nil, nil, rw.err
	case rw.stream != nil:
		if err := rw.sendGathered(); err != nil {
			return nil, nil, err
		}
	}
	conn, unread, err := rw.w.Hijack()
	if err != nil {
		return nil, nil, err
	}
	rw.err = http.ErrHijacked
	if rw.status != 0 && rw.stream == nil {
		_, _ = conn.Write(append(rw.rawHead(), rw.buf...)) // an error comes again, at the handler's next Write
	}
	rw.buf = nil
	return conn, unread, nil
}

// rawHead is the head of an answer that the server has no part in. What follows it ends with the connection, or is another
// protocol's.
func (rw *writer) rawHead() []byte {
	b := append([]byte(rw.req.Proto), ' ')
	b = strconv.AppendInt(b, int64(rw.status), 10)
	b = append(append(append(b, ' '), server.StatusText(rw.status)...), "\r\n"...)
	if !rw.fields.dated {
		b = append(time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat), "\r\n"...)
	}
	for _, f := range rw.fields.lines {
		b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// CloseNotify implements http.CloseNotifier. The channel gets true when the Context ends before the handler has returned.
func (rw *writer) CloseNotify() <-chan bool {
	rw.mu.Lock()
	gone := rw.w == nil
	rw.mu.Unlock()
	if gone {
		panic("net/http: CloseNotify called after ServeHTTP finished")
	}
	return rw.outside.closeNotify(rw.req.Context())
}

// SetReadDeadline is for http.ResponseController. The error is server.ErrAnswered or nil.
func (rw *writer) SetReadDeadline(t time.Time) error { return rw.outside.setReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController. The error is server.ErrAnswered or nil.
func (rw *writer) SetWriteDeadline(t time.Time) error { return rw.outside.setWriteDeadline(t) }

// outside is what other goroutines may ask of a writer while its own waits in Write. It has a lock of its own.
type outside struct {
	body *body // nil: there is none

	mu     sync.Mutex
	over   bool           // the handler has returned
	by     time.Time      // the deadline of writing
	stream *server.Stream // that it is for
	closed chan bool      // of CloseNotify
	unhook func() bool
}

func (o *outside) setReadDeadline(t time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over:
		return server.ErrAnswered
	case o.body == nil:
		return nil
	}
	return o.body.SetReadDeadline(t)
}

func (o *outside) setWriteDeadline(t time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return server.ErrAnswered
	}
	if o.by = t; o.stream != nil {
		o.stream.SetWriteDeadline(t)
	}
	return nil
}

// streams is called when the answer begins to stream.
func (o *outside) streams(s *server.Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream = s; !o.by.IsZero() {
		s.SetWriteDeadline(o.by)
	}
}

// tooLate reports whether the deadline of writing has passed.
func (o *outside) tooLate() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.by.IsZero() && !time.Now().Before(o.by)
}

func (o *outside) closeNotify(ctx context.Context) <-chan bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == nil {
		closed := make(chan bool, 1)
		o.closed, o.unhook = closed, context.AfterFunc(ctx, func() { closed <- true })
	}
	return o.closed
}

// end is called when the handler has returned.
func (o *outside) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over, o.stream = true, nil
	if o.unhook != nil {
		o.unhook()
	}
}
