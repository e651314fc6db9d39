package server

import (
	"math"
	"sync/atomic"
)

// What a loop holds for its connections: input that is not consumed, requests that arrive
// or are being answered, answers that are still owed, output that no socket takes. The
// transports count the output, and owners of detached exchanges what they make; the rest is
// counted here, connection by connection, whenever one comes to rest with more or less than
// before. A connection that keeps nothing is never counted.
//
// Beyond the bound, each loop that holds more than an equal share of it ends the connections that hold the most, in halves: those
// that hold at least half of what the greatest does, until it fits again. So it is paid for
// by those who cause it, and a request that comes and goes in one piece notices nothing.
// What handlers own is not freed by that. When it alone is too much, whoever comes next is
// refused until some of it has been answered.

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
	if x.detached && x.body.to != bodyToBuffer {
		return x.held
	}
	n := cap(x.headBuf)
	if x.detached { // at the head, and the body still arrives
		n = x.held
	}
	if x.req.bodyBuf != nil {
		n += cap(x.req.bodyBuf.B) + x.req.gathered.holds()
	}
	return n
}

// over reports whether the server holds more than its bound, and this loop more than an equal share of that. If all
// loops together hold too much, at least one of them is over.
func (w *worker) over() bool {
	n := w.holds()
	w.publish(n)
	return n > w.srv.conf.share && w.srv.excess() > 0
}

func (w *worker) holds() int { return w.held + int(w.made.bytes.Load()) + w.loop.Held() }

// publishedStep is how much a loop's count may change before the other loops get to know.
const publishedStep = 16 << 10

// publish tells the other loops what this one holds.
func (w *worker) publish(n int) {
	if d := n - w.told; d >= publishedStep || d <= -publishedStep || d != 0 && n > w.srv.conf.share {
		w.told = n
		w.published.Store(int64(n))
	}
}

// excess is by how much all loops together hold more than MaxBufferedBytes. It may be called on any loop.
func (s *Server) excess() int {
	sum := int64(0)
	for _, w := range *s.counted.Load() {
		sum += w.published.Load()
	}
	return int(min(max(sum-s.conf.mostHeld, 0), math.MaxInt))
}

// checkHeld has the loop relieved, once this callback is over, if it holds too much.
func (w *worker) checkHeld() {
	if w.over() && !w.relieving {
		w.relieving = true
		w.loop.CallFromThread(w.relieve)
	}
}

const (
	// littleHeld is what a connection may hold without being ended for what handlers own. A small body may lie in a
	// buffer that is as large as a piece, since it was another body's before.
	littleHeld = 2 * pieceSize

	// littleShare is the part of the share that all connections may hold without being to blame.
	littleShare = 4
)

// relieve ends the connections that hold the most.
func (w *worker) relieve() {
	w.relieving = false
	// Another loop may be over its share too: each frees no more than it holds above that.
	excess := min(w.srv.excess(), w.holds()-w.srv.conf.share)
	if excess <= 0 {
		return
	}
	most, all := 0, 0
	for c := w.conns.next; c != &w.conns; c = c.next {
		b := c.burden()
		most, all = max(most, b), all+b
	}
	w.crowded = all < max(excess, w.srv.conf.share/littleShare) // what handlers own has to be waited for
	if most == 0 || w.crowded && most < littleHeld {
		return
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
		return c.held - c.cur.held + c.t.Held()
	}
	return c.held + c.t.Held()
}

// unload ends a connection because it holds too much: with an answer if it was the peer's
// turn and nothing but the request is in the way.
func (c *conn) unload() {
	if st := c.step(); c.held > 0 && c.parses() && (st == stepParse || st == stepBody && c.cur.body.to == bodyToBuffer) {
		c.fail(errOverloaded)
		c.settle()
		return
	}
	c.abortFor(ErrOverloaded)
}

// refuses reports whether there is no room for another request.
func (w *worker) refuses() bool {
	w.crowded = w.crowded && w.over()
	return w.crowded
}

// leastMade is from where on what is made of an answer is counted: it spares those that
// are small two atomic additions.
const leastMade = 4 << 10

// made is what is held of answers that are owed: bodies as they grow, streamed pieces that
// the loop has not fetched, and requests that are still in somebody's hands when their
// connection is lost. It is counted where that happens, on whatever goroutine.
type made struct {
	bytes atomic.Int64
	told  atomic.Bool // the loop is to look
}

// recountMade brings what one holder is counted for up to date. The loop looks when
// half of its share is made off it; as for the rest, it looks whenever that changes.
func (w *worker) recountMade(counted *int, n int) {
	if n < leastMade {
		n = 0
	}
	if n == *counted {
		return
	}
	total := w.made.bytes.Add(int64(n - *counted))
	grown := n > *counted
	*counted = n
	if grown && total > int64(w.srv.conf.share/2) && w.made.told.CompareAndSwap(false, true) {
		w.loop.CallFromThread(func() {
			w.made.told.Store(false)
			w.checkHeld()
		})
	}
}

// recount counts the body of an answer that is owed.
func (w *Response) recount() {
	if w.x.detached {
		w.x.req.conn.w.recountMade(&w.counted, w.body.holds())
	}
}

// uncount takes back what x was counted for: it is done, and nobody adds to it.
func (x *exchange) uncount() {
	w := x.req.conn.w
	w.recountMade(&x.counted, 0)
	w.recountMade(&x.res.counted, 0)
	if s := x.res.stream; s != nil {
		s.sink.uncount()
	}
	if b := x.body.reader; b != nil {
		b.uncount()
	}
}
