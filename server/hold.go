package server

// Held is a request that waits at its head, before a handler is called: see [Response.Hold].
type Held struct {
	x      *exchange
	served bool // loop only
}

// Hold keeps the request at its head until [Held.Serve] names the handler that serves it. It is for middleware that lets
// requests wait, such as a limit of those under way. Call it in place of next.Serve, on the loop.
//
//   - While a request is held, its body is not asked for, and its connection serves no other request.
//   - It is answered with 503 after Server.PendingTimeout, or when AnswerWithin says so. If the connection is lost, it is over.
//     OnDone tells of both.
//   - The head is copied, since the read buffer is used for other connections meanwhile.
//
// Hold panics where a table of what goes with what forbids it: after a handler was chosen, after Later or Stream, and in a
// Blocking handler, which may simply wait.
func (w *Response) Hold() *Held {
	x := w.x
	x.req.open()
	x.must(verbHold)
	x.detach()
	x.mode = modeHeld
	return &Held{x: x}
}

// Serve has next serve the request on its loop, as next.Serve would have when it was held. It may be called from any
// goroutine and returns at once. Only the first call counts. If the request is over, next is not called.
func (h *Held) Serve(next Handler) {
	mustServe(next, "Held.Serve")
	x := h.x
	c := x.req.conn
	c.w.loop.CallFromThread(func() { // if the loop has ended, so has the request
		if h.served || c.cur != x || x.mode != modeHeld || x.fate.Load() != fateOpen {
			return
		}
		h.served, x.mode = true, modeInline
		x.name()
		x.serve(AtHead(next))
		c.advance(x)
		c.resume()
	})
}
