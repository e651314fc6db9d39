package server

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
)

// An exchange is one request with its response, and the answer to the question who
// may touch them. Each loop keeps a few spare ones. A handler that answers before
// it returns uses one of those, and it is used again; one whose answer is still
// owed when the handler returns is detached: it owns copies of all that it shows,
// and it is never used again.
//
// A detached exchange is owned by whoever holds the claim: one compare-and-swap
// from open to claimed decides it, and the losers get an error that says who won.
// The loop claims it when the peer is lost; when somebody else already has it, the
// loop only leaves word (gone) and waits for the owner to hand it back.
type exchange struct {
	req Request
	res Response

	detached bool          // the answer is owed: the handler took a Pending or a Stream, or blocks elsewhere
	pending  bool          // … by a Pending
	offLoop  bool          // a Blocking handler runs
	headOnly bool          // ServeHead runs
	mending  bool          // OnPanic does
	blocking Handler       // the Blocking handler that is to run when those on the loop have returned
	job      *job          // … and then its call: see places.go
	aborted  bool          // the handler panicked: no answer, and the end of the connection
	finished bool          // finish was called, for one that is detached
	claim    atomic.Uint32 // see above: unclaimed or claimed
	gone     atomic.Uint32 // the CloseReason of a connection that was lost while somebody else held the claim
	headBuf  []byte        // the head, while its body is still arriving
	held     int           // what it was counted to hold when it was detached
	counted  int           // and what of that is counted here, since the peer was lost: see memory.go
	live     *Stream       // the stream, once its head is written; loop only
	next     *exchange     // in the loop's list of spare ones

	onPeerEnd func() // of the stream; loop only
}

const (
	unclaimed = iota
	claimed
)

func newExchange() *exchange {
	x := new(exchange)
	x.req.x, x.res.x = x, x
	x.res.reset()
	return x
}

// recycle readies x for another request.
func (x *exchange) recycle() {
	x.req.reset()
	x.res.recycle()
	x.headBuf = x.headBuf[:0]
	x.detached, x.pending, x.offLoop, x.aborted = false, false, false, false
}

// detach cuts x off the connection's buffers. Loop only, within the handler.
func (x *exchange) detach() {
	if !x.detached {
		if x.headOnly {
			panic("server: ServeHead must answer at once, or leave the answer to Serve")
		}
		x.detached = true
		x.req.detach()
		x.res.keepLent()
		x.held = len(x.req.raw) + len(x.req.body)
		x.res.recount()
	}
}

// take makes the caller the owner of a detached exchange, or says who was faster.
func (x *exchange) take() error {
	if x.claim.CompareAndSwap(unclaimed, claimed) {
		return nil
	}
	if why := CloseReason(x.gone.Load()); why != CloseDone {
		return why
	}
	return ErrAnswered
}

// takeForGone is take for the loop when the peer is lost. The word is left first, so
// that who loses to it knows why.
func (x *exchange) takeForGone(why CloseReason) bool {
	x.gone.Store(uint32(why))
	return x.take() == nil
}

// handBack gives a detached exchange that is filled back to its loop, which
// answers. From any goroutine; the caller must not touch x any more.
func (x *exchange) handBack() error {
	c := x.req.conn
	if !c.w.loop.CallFromThread(func() { c.complete(x) }) {
		return ErrServerClosed
	}
	return nil
}

// run calls f, which is the handler or a part of it, for the owner of x, and catches
// its panic where it happens.
func (x *exchange) run(f func(w *Response, r *Request)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = errGoexit
		}
		x.aborted = true // also if OnPanic ends the goroutine
		x.aborted = !x.mended(v, debug.Stack())
	}()
	f(&x.res, &x.req)
	returned = true
}

// serve is run for the handler on the loop, which may panic when x is already
// somebody else's. It reports whether an answer was broken off that had begun.
func (x *exchange) serve(h Handler) (broken bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = errGoexit
		}
		if x.blocking != nil {
			x.stay() // the panic is the answer
		}
		switch {
		case x.pending && x.take() == nil:
			x.aborted = true
			x.aborted = !x.mended(v, debug.Stack()) // that is the answer that the Pending owed
			x.handBack()
		case x.pending:
			x.logPanic(v, debug.Stack()) // and the answer stands
		default:
			x.aborted = !x.mended(v, debug.Stack())
			broken = x.aborted
		}
	}()
	h.Serve(&x.res, &x.req)
	returned = true
	return false
}

// mended gives OnPanic the chance to fill the response anew. Where it does not, the
// connection is to be ended.
func (x *exchange) mended(v any, stack []byte) (ok bool) {
	x.res.err = ErrPanic
	if isAbort(v) {
		x.res.err = ErrAbortHandler
		return false
	}
	if x.res.onPanic == nil {
		x.logPanic(v, stack)
		return false
	}
	returned := false
	x.mending = true
	defer func() {
		x.mending = false
		if returned {
			return
		}
		again := recover()
		if again == nil {
			again = errGoexit
		}
		x.logPanic(again, debug.Stack())
		ok = false
	}()
	x.res.onPanic(&x.res, &x.req, v, stack)
	returned = true
	if x.res.stream != nil {
		return false // its head may be on the wire already
	}
	x.res.err = nil
	return true
}

func isAbort(v any) bool {
	err, ok := v.(error)
	return ok && errors.Is(err, ErrAbortHandler)
}

// finish ends the exchange on the loop: whoever asked is told, and the context ends.
func (x *exchange) finish(err error) {
	if x.detached {
		if x.finished {
			return // a Stream was closed, and before its loop took it back the peer was lost
		}
		x.finished = true
		x.onPeerEnd = nil
		x.uncount()
	}
	if x.res.err == nil {
		x.res.err = err
	}
	if len(x.res.onDone) > 0 {
		x.res.flags |= answered
		for i := range x.res.onDone {
			x.tell(x.res.onDone[i])
		}
	}
	if x.detached || x.req.ctx != nil {
		x.req.end()
	}
	if !x.detached { // else it is not used again, and whoever has it may be asking it something
		x.req.done = true
	}
	if x.req.conn.w.srv.conf.detectLate {
		x.req.late.Store(true)
	}
}

// tell calls a function of OnDone. Its panic costs nobody: the answer has been given.
func (x *exchange) tell(f func(w *Response, r *Request)) {
	defer func() {
		if v := recover(); v != nil {
			x.logPanic(v, debug.Stack())
		}
	}()
	f(&x.res, &x.req)
}
