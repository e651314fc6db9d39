package server

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
)

// An exchange is one request with its response. It has one mode, which says where its answer is made, and one fate,
// which says whether anybody may still give one.
//
// Each loop keeps a few spare exchanges. A handler that answers before it returns uses one of those, and it is used
// again. An exchange that outlives the handler's call is detached: it owns copies of all that it shows, and is never
// used again.
type exchange struct {
	req  Request
	res  Response
	body requestBody

	mode   mode
	fate   atomic.Uint32 // a fate; see take
	reason error         // why the fate is fateGone; set before that

	job      *job  // the call of a Blocking handler: see places.go
	leaf     *leaf // the handler that runs when those on the stack have returned; nil if none was chosen
	asked    leaf  // of ReadBody
	maxBody  int64 // of the innermost MaxBody, if bounded is set
	hasBody  bool  // body is in use
	detached bool  // it outlives the handler's call, and is not used again
	running  bool  // a handler runs on the loop
	mending  bool  // OnPanic runs
	heading  bool  // a function of OnHead runs
	bounded  bool  // maxBody is in force
	last     bool  // the head of the answer says that the connection ends
	given    bool  // the answer was given
	short    bool  // it is shorter than its Content-Length
	finished bool  // finish was called, for one that is detached

	expired bool // the loop has answered in place of a Blocking handler

	expiry  *expiry   // of AnswerWithin
	upgrade *upgrade  // what the connection switches to
	headBuf []byte    // the head, while its body is still arriving
	held    int       // what it was counted to hold when it was detached
	counted int       // and what of that is counted here, since the peer was lost: see memory.go
	live    *Stream   // the stream, once its head is written; loop only
	file    *sentFile // the file that is being sent; loop only
	next    *exchange // in the loop's list of spare ones

	onPeerEnd  func() // of the stream; loop only
	onShutdown func() // of the stream; loop only
}

// mode is where an answer is made.
type mode uint8

const (
	modeInline   mode = iota // by handlers and callbacks on the loop
	modeHeld                 // it waits for Held.Serve
	modePending              // by whoever calls Pending.Answer
	modeBlocking             // by a Blocking handler, on a goroutine of its own
	modeUpgraded             // it is 101, or a Blocking handler has taken the connection
)

// fate is whether an exchange can still be answered. It changes once from fateOpen, by one compare-and-swap. Who makes
// that owns the Response.
type fate = uint32

const (
	fateOpen    fate = iota // no answer was begun
	fateTaken               // an answer is being made, or is given
	fateAborted             // the handler has panicked: there is no answer
	fateGone                // there is nobody to answer any more: see exchange.reason
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
	x.bounded, x.last, x.given = false, false, false
	x.leaf = nil
	if x.hasBody {
		x.body.bodyProgress, x.hasBody = bodyProgress{}, false
	}
	if x.asked.h != nil || x.mode == modeUpgraded || x.body.failed.Load() != nil || x.fate.Load() != fateOpen {
		x.recycleRare()
	}
}

// recycleRare is the rest of recycle, for what few exchanges have.
//
//go:noinline
func (x *exchange) recycleRare() {
	x.asked.h = nil
	x.mode, x.upgrade = modeInline, nil
	x.body.failed.Store(nil)
	x.fate.Store(fateOpen)
}

// keepHead moves the head out of the read buffer.
func (x *exchange) keepHead() {
	x.headBuf = append(x.headBuf[:0], x.req.raw...)
	x.req.raw = x.headBuf
	x.req.received = x.req.conn.w.loop.Now()
}

// detach cuts x off the connection's buffers. Loop only, within the handler.
func (x *exchange) detach() {
	if x.detached { // at the head, and the body has come since
		x.req.keepBody()
	} else {
		x.detached = true
		x.req.detach()
	}
	x.res.keepLent()
	x.held = len(x.req.raw) + len(x.req.body)
	x.res.recount()
}

// take makes the caller the owner of the answer, or says why it cannot.
func (x *exchange) take() error {
	if x.fate.CompareAndSwap(fateOpen, fateTaken) {
		return nil
	}
	return x.lostTo()
}

// lostTo is the error of a caller whose answer comes too late.
func (x *exchange) lostTo() error {
	if x.fate.Load() == fateGone {
		return x.reason
	}
	return ErrAnswered
}

// panicked reports whether a function on the loop has panicked so that its exchange is over: OnPanic has made the answer,
// or there is none.
func (x *exchange) panicked() bool {
	fate := x.fate.Load()
	return fate == fateAborted || fate == fateTaken && x.mode == modeInline && x.res.stream == nil
}

// waits reports whether the answer is still being made when the handlers on the loop have returned.
func (x *exchange) waits() bool {
	return x.mode >= modeHeld && x.mode <= modeBlocking || x.res.stream != nil || x.body.to == bodyToCallback
}

// leave ends the exchange for reason, on the loop, unless an answer is being made. Then it returns false.
func (x *exchange) leave(reason error) bool {
	x.reason = reason
	return x.fate.CompareAndSwap(fateOpen, fateGone)
}

// handBack gives a detached exchange back to its loop, which answers. It may be called from any goroutine; the caller
// must not touch x any more.
func (x *exchange) handBack() error {
	c := x.req.conn
	if !c.w.loop.CallFromThread(func() { c.complete(x) }) {
		return ErrServerClosed
	}
	return nil
}

// serve calls a handler on the loop, and then the leaf that it has chosen, if that can begin here and now.
func (x *exchange) serve(h Handler) {
	returned := false
	x.running = true
	defer x.caught(&returned)
	h.Serve(&x.res, &x.req)
	for l := x.leaf; l != nil && !l.offLoop && (!l.whole || x.req.conn.intake != intakeBody); l = x.leaf {
		x.leaf = nil
		x.req.whole = x.req.whole || l.whole
		l.h.Serve(&x.res, &x.req)
	}
	returned = true
}

// run calls f, which fills w for the owner of the answer, off the loop or on it.
func (x *exchange) run(f func(w *Response, r *Request)) {
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				v = errGoexit
			}
			x.fail(v, debug.Stack())
		}
	}()
	f(&x.res, &x.req)
	returned = true
}

// caught is deferred around whatever of a handler runs on the loop, and deals with its panic.
func (x *exchange) caught(returned *bool) {
	x.running = false
	if *returned {
		return
	}
	v := recover()
	if v == nil {
		v = errGoexit
	}
	x.leaf = nil
	switch {
	case x.given, x.mode == modePending && x.take() != nil:
		x.logPanic(v, debug.Stack()) // and the answer stands
	case x.mode == modePending:
		x.fail(v, debug.Stack())                    // that is the answer that the Pending owed
		x.body.paused, x.body.resumes = true, false // nothing more is passed on until the loop has taken it back
		x.handBack()
	default:
		x.fail(v, debug.Stack())
	}
}

// fail deals with a panic of the handler: OnPanic makes the answer, or there is none.
func (x *exchange) fail(v any, stack []byte) {
	x.fate.Store(fateAborted) // also if OnPanic ends the goroutine
	if x.mode == modeHeld {
		x.mode = modeInline
	}
	if x.upgrade != nil {
		x.mode, x.upgrade, x.res.status = modeInline, nil, 500
	}
	if x.mended(v, stack) {
		x.fate.Store(fateTaken)
	}
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

// finish ends the exchange on the loop: the functions of OnDone are called, and the context ends.
func (x *exchange) finish(err error) {
	if x.detached {
		if x.finished {
			return // a Stream was closed, and before its loop took it back the peer was lost
		}
		x.finished = true
		x.onPeerEnd = nil
		x.uncount()
		if e := x.expiry; e != nil {
			e.timer.Cancel()
			if x.expired { // the stand-in has called those that were there
				x.res.onDone = x.res.onDone[e.done:]
			}
		}
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
	if !x.detached { // else it is not used again, and other code may be asking it something
		x.req.done = true
	}
	if f := x.req.conn.w.answered; f != nil {
		f()
	}
	if x.req.conn.w.srv.conf.detectLate {
		x.req.late.Store(true)
	}
}

// tell calls a function of OnDone. Its panic costs nothing but a line in the log: the answer has been given.
func (x *exchange) tell(f func(w *Response, r *Request)) {
	defer func() {
		if v := recover(); v != nil {
			x.logPanic(v, debug.Stack())
		}
	}()
	f(&x.res, &x.req)
}

// checkFailed breaks the answer off if a function that the handler has left on the loop has panicked.
func (x *exchange) checkFailed() {
	if c := x.req.conn; c.cur == x && x.fate.Load() == fateAborted && c.output < outputLast {
		c.advance(x)
		c.settle()
	}
}

// callBack calls a function that the handler has left, on the loop. Its panic is that of the handler.
func (x *exchange) callBack(f func()) {
	returned := false
	x.name()
	x.running = true
	defer x.caught(&returned)
	f()
	returned = true
}
