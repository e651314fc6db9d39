package server

import "errors"

// Blocking makes a Handler of one that blocks: h runs off the loop, on a goroutine, and may take its time. Other
// requests go on meanwhile.
//
// At most Server.MaxBlocking such handlers run at a time. A request beyond that waits for one of them to end. It is
// answered with 503 when it has waited for Server.BlockingQueueTimeout, and at once when sixteen times MaxBlocking wait
// already. A handler that waits for its peer, in Write of a Stream or in Read of a body, does not count as running; see
// Server.MaxBlockingWaiting.
//
// h begins when the body is whole. If h takes the head, as Streaming(h) does, it begins then, and reads the body by [Request.BodyReader]. A Router or a middleware inside Blocking takes the head too: a plain
// handler in it waits until the body is whole.
//
// h fills w and returns, as on the loop, or takes a Stream, whose Write then blocks while the peer does not keep up.
// Its panics are caught as on the loop. r.Context() ends when the peer is gone.
//
// Blocking is a [Middleware]. It panics if h is nil. What it returns panics where a leaf cannot be chosen: after Later
// or Stream, in the function given to Pending.Answer, and after another handler was chosen.
func Blocking(h Handler) Handler {
	mustServe(h, "Blocking")
	return offLoop(h, false)
}

// BlockingFunc is Blocking for a function.
func BlockingFunc(f func(w *Response, r *Request)) Handler { return Blocking(HandlerFunc(f)) }

// OwnGoroutine is [Blocking] without the bound of Server.MaxBlocking: h begins at once, on a goroutine of its own, as
// handlers of net/http do. It is for handlers that wait for something else than their peer, for a long time and with little
// to do: long polls, event streams, tunnels. Blocking is for those that work.
//
//   - A connection has one request at a time. So Server.MaxConns bounds the handlers, apart from those that go on after their
//     peer has left or after AnswerWithin has answered for them.
//   - Each takes a goroutine, mostly 8 to 64 KiB. Server.MaxBlockingWaiting does not count it.
//   - Inside a Blocking handler, h runs on the goroutine and in the place that there is.
//
// OwnGoroutine is a [Middleware]. Panics are those of Blocking.
func OwnGoroutine(h Handler) Handler {
	mustServe(h, "OwnGoroutine")
	return offLoop(h, true)
}

// OffLoop reports whether the handler runs inside [Blocking] or [OwnGoroutine], on a goroutine, and so may block. It is for
// middleware that works in one of the two places alone.
func (r *Request) OffLoop() bool {
	r.lent()
	return r.x.mode == modeBlocking
}

// offLoop makes h a leaf that runs off the loop. Of several around each other, the outermost decides on the place.
func offLoop(h Handler, free bool) Handler {
	l := leaf{h: h, offLoop: true, free: free}
	switch h := h.(type) {
	case *blocking:
		if h.leaf.free == free {
			return h
		}
		l.h, l.whole = h.leaf.h, h.leaf.whole
	case *buffered:
		l.h, l.whole = h.leaf.h, true
	case *streaming:
		l.h = h.leaf.h
	case HeadTaker:
	default:
		l.whole = true
	}
	return &blocking{l}
}

type blocking struct{ leaf leaf }

// TakesHead implements HeadTaker.
func (b *blocking) TakesHead() {}

// Serve implements Handler.
func (b *blocking) Serve(w *Response, r *Request) {
	r.open()
	if w.x.mode == modeBlocking { // inside another
		if !b.leaf.whole || r.whole || r.readAll() {
			b.leaf.h.Serve(w, r)
		}
		return
	}
	w.x.choose(&b.leaf)
}

// errGoexit is how a handler has ended that neither returned nor panicked with a value: by
// runtime.Goexit, by FailNow of a test, or by panic(nil) in a program that allows that (panicnil
// in GODEBUG).
var errGoexit = errors.New("server: a handler has ended its goroutine, or panicked with nil")

func (x *exchange) serveOffLoop(h Handler) {
	defer x.handBack()
	if x.fate.Load() == fateOpen { // it may have waited for its goroutine longer than its peer did
		x.run(h.Serve)
	}
	if s := x.res.stream; s != nil && x.fate.Load() != fateAborted {
		x.run(closeStream)
	} else if len(x.res.before) > 0 && x.take() == nil {
		x.run(decideHead)
	}
}

// closeStream closes the stream of w. Filters may panic in that.
func closeStream(w *Response, _ *Request) { _ = w.stream.Close() }
