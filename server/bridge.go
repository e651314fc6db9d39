package server

import (
	"microhttp/parser"
	"microhttp/reactor"
)

// What the bridge of package nethttp asks of a connection. There is no socket under its connections: it has the body of
// a request from elsewhere, and is to know what a socket need not know.

// BridgeFactory is Factory for a bridge, whose loop is that of one request at a time. answered is called on the loop each time
// an answer is complete. What is held for these connections does not count for MaxBufferedBytes.
func (s *Server) BridgeFactory(loop *reactor.Reactor, answered func()) reactor.Factory {
	s.init()
	w := newBridgeWorker(s, loop)
	w.answered = answered
	return w
}

// Gathers reports whether all that the connection does is to gather the body of a request. No code of the handler runs,
// and none is called before the body is whole or refused.
func (c *conn) Gathers() bool {
	x := c.cur
	return x != nil && c.step() == stepBody && x.body.to == bodyToBuffer && x.leaf != nil && x.leaf.whole &&
		x.mode == modeInline && x.expiry == nil
}

// Streams reports whether a Stream answers the request. It is for the time when a body is arriving.
func (c *conn) Streams() bool { return c.cur != nil && c.cur.live != nil }

// RefuseBody ends a body that cannot be read any further. Its handler gets err. A handler that was waiting for the whole
// body is not called; err is the answer then. Nothing happens if no body is arriving.
func (c *conn) RefuseBody(err *parser.Error) {
	if c.step() == stepBody {
		c.fail(err)
		c.settle()
	}
}

// Forget drops the values of ConnKeys: the next request is another connection's.
func (c *conn) Forget() {
	if c.w.connValues != nil {
		delete(c.w.connValues, c)
	}
}

// Inline reports whether the handler runs on the loop, where [ConnKey] and LocalAddr can be used.
func (r *Request) Inline() bool {
	r.lent()
	return r.x.mode == modeInline
}

// NumHeaders returns the number of field lines, for a handler that makes room for all of them.
func (r *Request) NumHeaders() int {
	r.lent()
	return len(r.head.Fields)
}

// NumHeaders returns the number of field lines that were set so far.
func (w *Response) NumHeaders() int {
	w.x.req.lent()
	return len(w.fields.lines)
}

// BodyLimit returns the bound in bytes of the innermost MaxBody around the handler, or -1 if there is none. A buffered body
// without one is bounded by Server.MaxBodyBytes.
func (r *Request) BodyLimit() int64 {
	r.lent()
	if !r.x.bounded {
		return -1
	}
	return r.x.maxBody
}
