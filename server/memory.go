package server

// What a loop holds for its connections: input that is not consumed, requests that arrive
// or are being answered, output that no socket takes. The transports count the output;
// the rest is counted here, connection by connection, whenever one comes to rest with more
// or less than before. A connection that keeps nothing is never counted.
//
// Beyond the loop's share the connections that hold the most are ended, in halves: those
// that hold at least half of what the greatest does, until it fits again. So it is paid for
// by those who cause it, and a request that comes and goes in one piece notices nothing.

// recount brings the worker's count up to date.
func (c *conn) recount() {
	n := 0
	if c.in != nil {
		n = cap(c.in.B)
	}
	if c.cur != nil {
		n += c.cur.holds()
	}
	c.w.held += n - c.held
	c.held = n
	c.w.checkHeld()
}

// holds is what an exchange keeps in memory of its request. Of one that is detached it is
// what it was then: its owner may be changing it.
func (x *exchange) holds() int {
	if x.detached {
		return x.held
	}
	n := cap(x.headBuf)
	if x.req.bodyBuf != nil {
		n += cap(x.req.bodyBuf.B)
	}
	return n
}

// over reports whether the loop holds more than its share.
func (w *worker) over() bool { return w.held+w.loop.Unsent() > w.srv.conf.share }

// checkHeld has the loop relieved, once this callback is over, if it holds too much.
func (w *worker) checkHeld() {
	if w.loop.Unsent() > 0 {
		w.watchReaders()
	}
	if w.over() && !w.relieving {
		w.relieving = true
		w.loop.CallFromThread(w.relieve)
	}
}

// relieve ends the connections that hold the most.
func (w *worker) relieve() {
	w.relieving = false
	excess := w.held + w.loop.Unsent() - w.srv.conf.share
	if excess <= 0 {
		return
	}
	most := 0
	for c := w.conns.next; c != &w.conns; c = c.next {
		most = max(most, c.burden())
	}
	if most == 0 {
		return // what handlers own has to be waited for
	}
	for c := w.conns.next; c != &w.conns && excess > 0; c = c.next {
		if b := c.burden(); b > 0 && b >= most/2 {
			excess -= b
			c.unload()
		}
	}
	w.checkHeld() // what goes only when the loop has gone round counts again then
}

// burden is what ending the connection would free.
func (c *conn) burden() int {
	switch {
	case c.cut:
		return 0
	case c.cur != nil && c.cur.detached:
		return c.held - c.cur.held + c.t.Buffered()
	}
	return c.held + c.t.Buffered()
}

// unload ends a connection because it holds too much: with an answer if it was the peer's
// turn and nothing but the request is in the way.
func (c *conn) unload() {
	if c.state == reading && c.held > 0 && !c.stalled() {
		c.refuse(c.cur, errOverloaded)
		return
	}
	c.logCut(errOverloaded.Reason)
	c.abort()
}
