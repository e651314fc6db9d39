package nethttp

import (
	"context"
	"net/http"
	"sync"

	"microhttp/reactor"
	"microhttp/server"
)

// To returns a handler of net/http that hands each request to h, as the Handler of a server.Server would get it: on a
// loop, where it must not block. It may be used by any number of goroutines at once.
//
// The request: method, path, query, host, fields, body and trailers are those of the http.Request, the path and the
// query those of its URL, so that http.StripPrefix has an effect. Fields that are about the
// connection to the client (Connection, Transfer-Encoding, Content-Length) are not passed on; Content-Length is that of
// the body. What the parser of this module refuses is answered with its status, though net/http let it through. The
// Context of the request ends with that of the http.Request, but has no values of it.
//
// The body is read when a handler asks for it, and no faster than that handler takes it. So net/http sends 100 (Continue)
// when the body is asked for, and PauseBody, or a BodyReader that is not read, slows the client down.
//
//   - A handler that is called with its whole body gets up to 8 MiB. Beyond that the answer is 413. A server.MaxBody in h
//     sets another bound, and so does Server.MaxBodyBytes with [ToServer].
//   - A Streaming handler has no bound but MaxBody, and those of what is in front, such as http.MaxBytesHandler.
//   - An *http.MaxBytesError is server.ErrBodyTooLarge for the handler, io.ErrUnexpectedEOF is server.ErrBodyCut, a read
//     deadline server.ErrBodyTimeout, and a client that is gone is a server.CloseReason. Any other error is a
//     *parser.Error of status 400. A panic of the body is one of ServeHTTP.
//   - An answer may begin before the end of the body, and both then go on at once. Over HTTP/1.1 the client is told that
//     the connection ends. This is so for a Stream, and for any answer when the body was asked for. Other answers wait
//     until net/http has read a rest of up to 256 KiB, as it always does.
//   - A read that waits for the client when the answer is complete is ended by a read deadline. A ResponseWriter that
//     http.ResponseController finds no deadlines in cannot do that. The read then goes on, after ServeHTTP has returned,
//     until r.Body returns.
//
// The answer: its fields are added to those that the http.ResponseWriter has already, but for such as there is only one of
// (Content-Type, Date, ETag), which are replaced. Each piece of a Stream is flushed, and Write waits for a peer that does
// not keep up, on the loop too, since nobody else lives on it. Interim responses are left out; trailers are passed on. An
// answer that is not complete, because h panicked or the context ended first, is broken off by a panic with
// http.ErrAbortHandler, so that nobody takes it for the whole. The panic of h itself is logged to standard error, unless
// somebody answers it with OnPanic.
func To(h server.Handler) http.Handler {
	// The bounds of net/http's server hold already; what is left is what a span can hold.
	return ToServer(&server.Server{Handler: h, MaxHeaderBytes: maxHead, MaxHeaderFields: maxHead, MaxTargetBytes: maxHead})
}

// ToServer is [To] for the Handler of s, with what else s says: its limits for heads, bodies, forms and Blocking handlers, its
// Log, ErrorHandler and DetectLateUse. So a body of any size can be allowed, and tests can have late use panic.
//
//   - Time-outs, and what is about listening and connections, are the business of the http.Server in front.
//   - MaxBufferedBytes bounds one buffered body, and not all requests together. MaxPipelinedBytes is set to -1.
//   - s may be asked for its figures. It must not be changed any more, and cannot be served as well.
func ToServer(s *server.Server) http.Handler {
	s.MaxPipelinedBytes = -1 // the body is read when it is asked for
	return &bridge{lanes: sync.Pool{New: func() any { return newLane(s) }}}
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
	l.gather()
	if !l.over() {
		l.goOn(r.Context())
	}
	broken := l.aborted || !l.answer.headed || l.answer.cut()
	if l.unread {
		l.stopReading(w, broken)
	}
	thrown := l.thrown
	switch {
	case l.running:
	case l.ended || l.feed.open || l.borrowed.Load():
		l.dispose()
	default:
		l.release()
		b.lanes.Put(l)
	}
	switch {
	case thrown != nil:
		panic(thrown)
	case broken:
		panic(http.ErrAbortHandler)
	}
}

// goOn runs the loop until the answer is complete, or ctx ends because nobody awaits it any more.
func (l *lane) goOn(ctx context.Context) {
	l.running = true
	stop := context.AfterFunc(ctx, func() {
		l.loop.CallFromThread(func() { l.contextEnded(context.Cause(ctx)) })
	})
	defer stop()
	l.pull()
	go func() {
		defer l.finish(reactor.ErrConnectionDone) // if the handler has stopped the loop, or ended its goroutine
		_ = l.loop.Run()                          // it has neither run before nor a poller that fails
	}()
	<-l.done
}
