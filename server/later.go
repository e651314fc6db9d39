package server

// Pending is an answer that is still owed. Any goroutine, or a timer, gives it once.
type Pending struct{ x *exchange }

// Later tells the server that the answer is not made yet when the handler returns.
// Call it on the loop, within the handler. From then on w and r belong to whoever
// answers: the handler must not touch w any more. Whoever has not answered within
// Server.PendingTimeout is taken for somebody who never will: the server answers with 503.
// If the handler panics after that, and nobody has answered, the panic is the answer: see OnPanic.
//
// Later panics in a Blocking handler, in ServeHead, once a Stream was taken, in OnPanic, and in
// the function given to Answer.
func (w *Response) Later() *Pending {
	w.x.req.open()
	switch {
	case w.x.mending:
		panic("server: Later in OnPanic, which must answer at once")
	case w.x.blocking != nil:
		panic("server: Later behind a Blocking handler, which will answer")
	case w.x.offLoop:
		panic("server: Later in a Blocking handler, which may simply take its time")
	case w.stream != nil:
		panic("server: Later after Stream, which is the answer")
	case w.x.pending:
		if w.x.claim.Load() == claimed {
			panic("server: Later in the function that answers")
		}
		return &Pending{w.x}
	}
	w.x.detach()
	w.x.pending = true
	return &Pending{w.x}
}

// Answer gives the answer: it calls fill, which fills w, in the goroutine that
// calls Answer, and hands the result to the loop. It may be called from any
// goroutine and by several; only the first has its fill called. The others get
// ErrAnswered, as all do when PendingTimeout has passed; all get the CloseReason when the
// connection has ended before, and ErrServerClosed when the server has stopped.
//
// A panic in fill is handled as one in a handler. A Stream cannot be taken in fill: that panics.
func (p *Pending) Answer(fill func(w *Response)) (err error) {
	x := p.x
	if err := x.take(); err != nil {
		return err
	}
	defer func() {
		if gone := x.handBack(); err == nil {
			err = gone
		}
	}()
	x.run(func(w *Response, _ *Request) { fill(w) })
	return nil
}

// Request is the request that the answer is for. It belongs to whoever answers.
func (p *Pending) Request() *Request { return &p.x.req }

// answerForPending gives the answer that nobody gave in time, unless somebody is just
// about to.
func (c *conn) answerForPending() {
	x := c.cur
	if x.take() != nil {
		return
	}
	c.w.srv.log.Warn().Str("method", x.req.Method()).Str("pattern", x.req.pattern).
		Msg("a Pending was not answered in time")
	x.res.Reset()
	x.res.Error(503)
	c.complete(x)
}
