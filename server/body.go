package server

import (
	"io"
	"sync/atomic"

	"microhttp/parser"
)

// The body of a request. It is passed on to the one place that asked for it: a buffer, a callback on the loop, or the
// reader of a Blocking handler. Until one of them asks, the body is not parsed, the peer is not told to continue, and
// its bytes wait in the connection's input and then in the peer's kernel. A place that has enough for now pauses the
// parser, which comes to the same.

// bodyTo is where a body goes.
type bodyTo uint8

const (
	bodyUnasked bodyTo = iota
	bodyToBuffer
	bodyToCallback
	bodyToReader
	bodyOver // it went there, or its end was told
)

// requestBody is what the loop knows of a body while it arrives. Only the loop touches it, but for failed.
type requestBody struct {
	bodyProgress

	f      func(p []byte, err error)
	reader *bodyReader
	head   *parser.Head // what the parser fills when the Request is another goroutine's

	// failed is why the body is not whole, when the peer gets to know. Only the loop sets it.
	failed atomic.Pointer[parser.Error]
}

// bodyProgress is how far a body has come.
type bodyProgress struct {
	to      bodyTo
	begun   bool  // the callback's body was asked for
	paused  bool  // by the callback, or since the reader has enough
	resumes bool  // it is to go on in a call of its own, and is paused until then
	awaited bool  // the peer awaits 100 (Continue), and it was not sent
	came    bool  // bytes of the body have come, so that it need not be sent
	limit   int64 // -1 is none
	got     int64
}

// flows reports whether the body may be parsed.
func (b *requestBody) flows() bool { return b.to != bodyUnasked && b.to != bodyOver && !b.paused }

// parsedHead is the Head that the parser fills.
func (x *exchange) parsedHead() *parser.Head {
	if !x.detached {
		return &x.req.head
	}
	if x.body.head == nil {
		x.body.head = &parser.Head{Fields: x.req.head.Fields} // their number counts, with the trailers'
	}
	return x.body.head
}

// bound is the bound of a body: what ReadBody was called with, else the innermost MaxBody, else, for a body that is
// buffered, MaxBodyBytes. -1 is none.
func (x *exchange) bound(to bodyTo, most int64) int64 {
	conf := &x.req.conn.w.srv.conf
	switch {
	case most > 0:
	case x.bounded:
		most = x.maxBody
	case to == bodyToBuffer:
		most = conf.maxBody
	default:
		most = -1
	}
	if most < 0 && to == bodyToBuffer {
		most = conf.maxHeld
	}
	return most
}

// ask begins to pass the body on, and tells the peer to send it if the peer awaits that (RFC 9110, 10.1.1). It refuses a
// body whose announced length is above the bound, and then returns false.
func (c *conn) ask(x *exchange, to bodyTo, most int64) bool {
	b := &x.body
	if b.to == bodyToBuffer {
		return true
	}
	b.to, b.limit = to, x.bound(to, most)
	if b.limit >= 0 && x.req.head.ContentLength > b.limit {
		c.failBody(x, ErrBodyTooLarge, nil)
		return false
	}
	if b.awaited {
		b.awaited = false
		if !b.came && c.output == outputOwed {
			c.t.Write(continueLine)
		}
	}
	return true
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// tooLarge refuses a chunked body when its chunks announce more than the bound, and reports whether it did.
func (c *conn) tooLarge(x *exchange) bool {
	if x.body.limit < 0 || c.p.Announced() <= x.body.limit {
		return false
	}
	c.fail(ErrBodyTooLarge)
	return true
}

// bodyPiece passes on a piece, which is lent.
func (c *conn) bodyPiece(x *exchange, p []byte) {
	b := &x.body
	b.got += int64(len(p))
	switch b.to {
	case bodyToBuffer:
		x.req.addBody(p)
	case bodyToCallback:
		x.callBody(b.f, p, nil)
		if x.panicked() {
			c.advance(x)
		}
	case bodyToReader:
		b.paused = b.reader.put(p)
	}
}

// bodyEnd passes on the end of a request, and its trailers.
func (c *conn) bodyEnd(x *exchange, h *parser.Head, tail []byte) {
	c.intake = intakeComplete
	if len(h.Trailers) > 0 {
		t := &trailers{fields: h.Trailers, raw: append([]byte(nil), tail...)}
		x.req.trailers.Store(t)
	}
	switch x.body.to {
	case bodyToBuffer:
		x.req.join()
		x.body.to = bodyOver
		c.advance(x)
	case bodyToCallback, bodyToReader:
		x.endBody(io.EOF)
		c.advance(x)
	}
}

// failBody ends a body that is not whole. The answer is err's, unless the handler gives one that says as much: see
// answer.
func (c *conn) failBody(x *exchange, err *parser.Error, given []byte) {
	c.logRefused(x, err, given)
	x.body.failed.Store(err)
	if x.mode != modeBlocking { // else it has begun, and its goroutine looks there
		x.leaf = nil
	}
	x.endBody(err)
}

// endBody tells the place that a body goes to how it ended. Later calls do nothing.
func (x *exchange) endBody(err error) {
	b := &x.body
	f, reader := b.f, b.reader
	b.to, b.f = bodyOver, nil
	x.req.gathered.drop()
	if f != nil {
		x.callBody(f, nil, err)
	}
	if reader != nil {
		reader.end(err)
	}
}

// callBody calls the function of OnBody. Its panic is that of the handler.
func (x *exchange) callBody(f func(p []byte, err error), p []byte, err error) {
	returned := false
	x.name()
	x.running = true
	defer x.caught(&returned)
	f(p, err)
	returned = true
}

// OnBody asks for the body and has f called with it, piece by piece, on the loop, as it arrives. p is lent until f
// returns. err is nil while more may come. It is called exactly once with an error, last, with no bytes:
//
//   - io.EOF is the end of a body that is whole.
//   - [ErrBodyTooLarge], [ErrBodyTimeout], [ErrBodySlow], [ErrBodyCut] and other values of *[parser.Error] say why a body was refused.
//   - [ErrPeerGone] and its like say that the connection is lost.
//   - [ErrAnswered] says that the answer was given before the body had come.
//
// f is first called when the handler has returned. Unless the handler took a Pending or a Stream, the answer is sent
// when f has returned from its last call. f fills w for that. If the body was refused and f leaves a status below 400,
// the answer says why the body was refused. A panic in f is the handler's.
//
// The peer is told to continue when it awaits that. The body has no bound but [MaxBody], and no time but
// Server.MinDataRate while it is not paused.
//
// OnBody is for handlers on the loop that take the head; see [Streaming]. It panics elsewhere, for a nil f, and when
// the body was asked for before. In a handler that was called with its whole body, f gets that.
func (r *Request) OnBody(f func(p []byte, err error)) {
	r.open()
	if f == nil {
		panic("server: OnBody of a nil function")
	}
	x := r.x
	x.must(verbOnBody)
	r.askOnce("OnBody")
	x.detach()
	x.body.f, x.body.to = f, bodyToCallback
	if !x.running { // not in the handler, but in a timer or the like
		c := r.conn
		c.w.loop.CallFromThread(func() {
			if c.cur == x && x.body.to == bodyToCallback && !x.body.begun {
				c.advance(x)
				c.resume()
			}
		})
	}
}

// askOnce notes that the body was asked for, which can be done once.
func (r *Request) askOnce(verb string) {
	if r.asked {
		panic("server: " + verb + " for a body that was asked for before")
	}
	r.asked = true
}

// passWhole passes on to OnBody's function what does not arrive any more: the one piece of a body that is whole already,
// and then the end.
func (x *exchange) passWhole() {
	b := &x.body
	if !b.begun && len(x.req.body) > 0 {
		b.begun = true
		x.callBody(b.f, x.req.body, nil)
		return
	}
	x.endBody(io.EOF)
}

// PauseBody stops the calls of OnBody's function, after the present one. The peer is then slowed by TCP's own flow
// control, once some MaxPipelinedBytes have gathered. It is for the loop.
func (r *Request) PauseBody() {
	if b := &r.x.body; b.to == bodyToCallback {
		b.paused, b.resumes = true, false
	}
}

// ResumeBody lets the calls of OnBody's function go on that PauseBody stopped. It is for the loop.
func (r *Request) ResumeBody() {
	if b := &r.x.body; b.to == bodyToCallback && b.paused && !b.resumes {
		r.x.resumeBody()
	}
}

// resumeBody has the connection go on with a body that was paused. It never calls the handler itself. The body stays
// paused until what was kept meanwhile is parsed, or the end of the peer's bytes could overtake that.
func (x *exchange) resumeBody() {
	x.body.resumes = true
	c := x.req.conn
	c.w.loop.CallFromThread(func() {
		if c.cur != x || !x.body.resumes {
			return
		}
		x.body.paused, x.body.resumes = false, false
		if x.body.to == bodyToCallback {
			c.advance(x) // the body may be whole already
		}
		c.resume()
	})
}

// ReadBody asks for the whole body and calls then when it has come. max bounds the body in bytes; 0 means the innermost
// [MaxBody], else Server.MaxBodyBytes. Beyond it the answer is 413, and then is not called.
//
// It is for handlers that take the head, and counts as their leaf: then runs when all handlers around have returned,
// and answers as any handler does. ReadBody panics for a nil function, and where a leaf cannot be chosen.
func (r *Request) ReadBody(max int64, then func(w *Response, r *Request)) {
	r.open()
	if then == nil {
		panic("server: ReadBody with a nil function")
	}
	if r.x.leaf == nil {
		r.x.asked = leaf{h: HandlerFunc(then), whole: true, max: max}
	}
	r.x.choose(&r.x.asked)
}

// Complete reports whether the body was asked for and has come whole, so that Body returns it. At the head it is false,
// also for a request without a body.
func (r *Request) Complete() bool {
	r.lent()
	return r.whole
}
