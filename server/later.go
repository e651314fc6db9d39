package server

// Pending is an answer that is still owed. Any goroutine, or a timer, gives it once.
type Pending struct{ x *exchange }

// Later tells the server that the answer is not made yet when the handler returns.
// Call it on the loop, within the handler. From then on w and r belong to whoever
// answers: the handler must not touch w any more. Whoever never answers holds the
// connection until the peer ends it.
func (w *Response) Later() *Pending {
	w.x.req.lent()
	if w.x.offLoop {
		panic("server: Later in a Blocking handler, which may simply take its time")
	}
	w.x.detach()
	return &Pending{w.x}
}

// Answer gives the answer: it calls fill, which fills w, in the goroutine that
// calls Answer, and hands the result to the loop. It may be called from any
// goroutine and by several; only the first has its fill called. The others get
// ErrAnswered; all get ErrPeerGone when the connection was lost before, and
// ErrServerClosed when the server has stopped.
//
// A panic in fill is handled as one in a handler. A Stream cannot be taken in fill.
func (p *Pending) Answer(fill func(w *Response)) error {
	x := p.x
	if err := x.take(); err != nil {
		return err
	}
	x.run(func(w *Response, _ *Request) { fill(w) })
	return x.handBack()
}

// Request is the request that the answer is for. It belongs to whoever answers.
func (p *Pending) Request() *Request { return &p.x.req }
