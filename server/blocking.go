package server

import "errors"

// Blocking makes a Handler of one that blocks: h runs off the loop, on a goroutine,
// and may take its time; other requests go on meanwhile.
//
// At most Server.MaxBlocking such handlers run at a time. A request beyond that waits for one of
// them to end. It is answered with 503 when it has waited for Server.BlockingQueueTimeout, and at
// once when sixteen times MaxBlocking wait already.
//
// h fills w and returns, as on the loop, or takes a Stream, whose Write then blocks
// while the peer does not keep up. Meanwhile h does not count as running: see
// Server.MaxBlockingWaiting. Its panics are caught as on the loop. r.Context()
// ends when the peer is gone.
//
// h begins when whatever is around it has returned. So middleware that goes on behind
// next.Serve may touch w, but sees no answer yet: what is to happen then is for OnDone.
//
// Blocking panics if h is nil. What it returns panics if the answer is somebody else's already:
// behind Later or Stream, in the function given to Pending.Answer, or behind another Blocking
// handler; and behind it, on the loop, Later and Stream do.
func Blocking(h Handler) Handler {
	mustServe(h, "Blocking")
	return HandlerFunc(func(w *Response, r *Request) {
		x := w.x
		x.req.open()
		switch {
		case x.blocking != nil:
			panic("server: a second Blocking handler for one request: call both in one")
		case x.offLoop:
			h.Serve(w, r) // Blocking twice is Blocking once
			return
		case x.detached:
			panic("server: Blocking after Later or Stream, which is the answer")
		}
		x.detach()
		x.offLoop = true
		x.blocking = h
		x.claim.Store(claimed)
	})
}

// BlockingFunc is Blocking for a function.
func BlockingFunc(f func(w *Response, r *Request)) Handler { return Blocking(HandlerFunc(f)) }

// mustServe panics if h is nothing that can serve.
func mustServe(h Handler, where string) {
	if f, ok := h.(HandlerFunc); h == nil || ok && f == nil {
		panic("server: nil handler for " + where)
	}
}

// stay takes back that the answer is made off the loop.
func (x *exchange) stay() {
	x.uncount()
	x.blocking, x.job, x.detached, x.offLoop = nil, nil, false, false
	x.claim.Store(unclaimed)
}

// errGoexit is how a handler has ended that neither returned nor panicked with a value: by
// runtime.Goexit, by FailNow of a test, or by panic(nil) in a program that allows that (panicnil
// in GODEBUG).
var errGoexit = errors.New("server: a handler has ended its goroutine, or panicked with nil")

func (x *exchange) serveOffLoop(h Handler) {
	defer x.handBack()
	if CloseReason(x.gone.Load()) == CloseDone { // its peer may have been lost while the goroutine began
		x.run(h.Serve)
	}
	if s := x.res.stream; s != nil && !x.aborted {
		s.Close()
	}
}
