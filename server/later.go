package server

// Pending is an answer that is still owed. Any goroutine, or a timer, gives it once.
type Pending struct{ x *exchange }

// Later tells the server that the answer is not made yet when the handler returns.
// Call it on the loop, within the handler. From then on w and r belong to the code that
// answers: the handler must not touch w any more. When Server.PendingTimeout has passed since the body came,
// the server answers with 503 itself. If the handler panics before there is an answer, the panic is the answer: see
// OnPanic.
//
// Later panics where a table of what goes with what forbids it: in a Blocking handler, after Stream, after another
// handler was chosen, in OnPanic, and in the function given to Answer.
func (w *Response) Later() *Pending {
	x := w.x
	x.req.open()
	x.must(verbLater)
	x.detach()
	x.mode = modePending
	return &Pending{x}
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
	x.run(func(w *Response, r *Request) {
		fill(w)
		if len(w.before) > 0 {
			decideHead(w, r)
		}
	})
	return nil
}

// Request is the request that the answer is for. It belongs to whoever answers.
func (p *Pending) Request() *Request { return &p.x.req }

// answerForPending gives the answer that did not come in time, unless it is just being made.
func (c *conn) answerForPending() {
	x := c.cur
	if x.take() != nil {
		return
	}
	x.logUnanswered()
	x.res.Reset()
	x.res.Error(503)
	c.complete(x)
}
