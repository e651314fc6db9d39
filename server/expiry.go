package server

import (
	"slices"
	"time"

	"microhttp/reactor"
)

// A time for the answer. When it is over the loop answers itself. If a Blocking handler has the Response then, the
// answer is made in a stand-in: an exchange of the loop's own with the same request. The handler's exchange is cut off;
// what it does goes nowhere, and its goroutine is free again when it returns.

// expiry is the time for the answer of one exchange.
type expiry struct {
	timer *reactor.DelayedCall
	fill  func(w *Response, r *Request)
	x     *exchange // the stand-in, while a Blocking handler runs
	done  int       // how many functions of OnDone are the stand-in's
}

// AnswerWithin gives the handler d for its answer. If no answer has begun by then, the server answers with what fill
// makes of w, where the status is 503 already; a nil fill leaves it at that. The fields that were set on the Response
// before a Blocking handler began are kept. r.Context() ends, a body that still arrives is not read further, and a
// Blocking handler that goes on gets ErrTimeout from the writers and readers of its request. It keeps its goroutine
// until it returns. A Stream that has begun is not cut off.
//
// fill is called on the loop. AnswerWithin is for middleware: it panics unless it is called on the loop, before a
// handler was chosen, Later, or Stream. A later call replaces an earlier one; d of 0 or less takes it back.
func (w *Response) AnswerWithin(d time.Duration, fill func(w *Response, r *Request)) {
	x := w.x
	x.req.open()
	x.must(verbAnswerWithin)
	if x.expiry != nil {
		x.expiry.timer.Cancel()
		x.expiry = nil
	}
	if d <= 0 {
		return
	}
	c := x.req.conn
	e := &expiry{fill: fill}
	e.timer = c.w.loop.CallLater(d, func() { c.expire(x, e) })
	x.expiry = e
	x.detach() // and so x is not used again for another request
}

// expire answers in the handler's place, unless an answer has begun.
func (c *conn) expire(x *exchange, e *expiry) {
	if c.cur != x || x.expiry != e || c.output != outputOwed {
		return
	}
	if x.mode == modeBlocking && x.job.withdraw() {
		x.mode = modeInline // it never began, and never will
	}
	if x.mode == modeBlocking {
		if !x.leave(ErrTimeout) {
			return
		}
		x.expired = true
		e.x.body = requestBody{bodyProgress: bodyProgress{got: x.body.got, awaited: x.body.awaited}}
		x.req.end()
		x.endBody(ErrTimeout)
		c.w.recountMade(&x.counted, x.held)
		x = e.x
		c.cur = x
	} else if x.take() != nil {
		return
	} else {
		x.leaf = nil
		x.endBody(ErrTimeout)
	}
	x.req.end()
	x.res.Error(503)
	x.res.err = ErrTimeout
	if e.fill != nil {
		x.run(e.fill)
	}
	if x.fate.Load() == fateAborted {
		c.drop(x)
	} else {
		c.give(x)
	}
	c.resume()
}

// standIn makes the exchange for an answer in place of a Blocking handler, which is about to begin.
func (x *exchange) standIn() *exchange {
	y := newExchange()
	y.detached = true
	y.fate.Store(fateTaken)
	r := &y.req
	r.conn, r.head, r.raw, r.text, r.received = x.req.conn, x.req.head, x.req.raw, x.req.text, x.req.received
	r.pattern, r.names, r.values = x.req.pattern, x.req.names, slices.Clone(x.req.values)
	r.keyed, r.forwarded, r.isForwarded = slices.Clone(x.req.keyed), x.req.forwarded, x.req.isForwarded
	x.req.ctxMu.Lock()
	r.ctx = x.req.ctx // it has the values of SetContext, and ends with the time
	x.req.ctxMu.Unlock()
	w := &y.res
	w.fields = fieldLines{b: slices.Clone(x.res.fields.b), lines: slices.Clone(x.res.fields.lines)}
	w.flags, w.onPanic = x.res.flags&(ownDate|closeAfter), x.res.onPanic
	w.onDone = slices.Clone(x.res.onDone)
	w.before = slices.Clone(x.res.before)
	return y
}
