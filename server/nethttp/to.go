package nethttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"microhttp/reactor"
	"microhttp/server"
)

// To returns a handler of net/http that hands each request to h, as the Handler of a server.Server would get it: on a
// loop, where it must not block. It may be used by any number of goroutines at once.
//
// The request: method, path, query, host, fields, body and trailers are those of the http.Request, the path and the
// query those of its URL, so that http.StripPrefix has an effect. The body is read whole before h is called, up to 8 MiB;
// beyond that the answer is 413, for other limits put http.MaxBytesHandler in front. Fields that are about the
// connection to the client (Connection, Transfer-Encoding, Content-Length) are not passed on; Content-Length is that of
// the body. What the parser of this module refuses is answered with its status, though net/http let it through. The
// Context of the request ends with that of the http.Request, but has no values of it.
//
// The answer: its fields are added to those that the http.ResponseWriter has already, but for such as there is only one of
// (Content-Type, Date, ETag), which are replaced. Each piece of a Stream is flushed, and Write waits for a peer that does
// not keep up, on the loop too, since nobody else lives on it. Interim responses are left out; trailers are passed on. An
// answer that is not complete, because h panicked or the context ended first, is broken off by a panic with
// http.ErrAbortHandler, so that nobody takes it for the whole. The panic of h itself is logged to standard error, unless
// somebody answers it with OnPanic.
func To(h server.Handler) http.Handler {
	if h == nil {
		h = server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.Error(404) }) // as server.Server has it
	}
	return &bridge{lanes: sync.Pool{New: func() any { return newLane(h) }}}
}

type bridge struct{ lanes sync.Pool }

// ServeHTTP implements http.Handler.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := b.lanes.Get().(*lane)
	head, err := appendHead(l.in[:0], r)
	l.in = head
	if err != nil {
		b.lanes.Put(l)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.begin(w, r)
	l.protocol.DataReceived(head)
	if err := l.sendBody(r); err != nil {
		l.lose(err)
		l.dispose()
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "reading the body: "+err.Error(), status)
		return
	}
	if !l.over() {
		l.goOn(r.Context())
	}
	broken := l.aborted || !l.answer.headed
	switch {
	case l.running:
	case l.ended || l.borrowed.Load():
		l.dispose()
	default:
		l.release()
		b.lanes.Put(l)
	}
	if broken {
		panic(http.ErrAbortHandler)
	}
}

// sendBody sends the body of r, if it has one, in the framing that appendHead announced. It stops when there is an
// answer already. The error is that of reading it.
func (l *lane) sendBody(r *http.Request) error {
	if !hasBody(r) {
		return nil
	}
	body := io.Reader(r.Body)
	if r.ContentLength > 0 {
		body = io.LimitReader(body, r.ContentLength)
	}
	sent, piece := int64(0), make([]byte, 32<<10)
	for !l.over() {
		n, err := body.Read(piece)
		if n > 0 {
			sent += int64(n)
			l.sendPiece(piece[:n], r.ContentLength < 0)
		}
		switch {
		case err == io.EOF && sent < r.ContentLength:
			return io.ErrUnexpectedEOF
		case err == io.EOF && r.ContentLength > 0:
			return nil
		case err == io.EOF:
			l.in, err = appendTrailer(l.in[:0], r)
			if err == nil {
				l.protocol.DataReceived(l.in)
			}
			return err
		case err != nil:
			return err
		}
	}
	return nil
}

func (l *lane) sendPiece(p []byte, chunked bool) {
	if chunked {
		p = appendChunk(l.in[:0], p)
		l.in = p
	}
	l.protocol.DataReceived(p)
}

// goOn runs the loop until the answer is complete, or ctx ends because nobody awaits it any more.
func (l *lane) goOn(ctx context.Context) {
	l.running = true
	stop := context.AfterFunc(ctx, func() {
		l.loop.CallFromThread(func() { l.finish(context.Cause(ctx)) })
	})
	defer stop()
	go func() {
		defer l.finish(reactor.ErrConnectionDone) // if the handler has stopped the loop, or ended its goroutine
		_ = l.loop.Run()                          // it has neither run before nor a poller that fails
	}()
	<-l.done
}
