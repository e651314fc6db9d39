package server

// Expect: 100-continue (RFC 9110, 10.1.1). A peer that asks whether it may send its body
// waits for the answer. A body that nobody will look at is refused here: what the head alone
// rules out (a length that is too large, an unknown expectation) the parser has refused
// before, the rest is for whoever knows the routes and the credentials.

// HeadHandler is a Handler that can refuse a request by its head, before the body is sent:
// a router that has no route for it, authentication.
//
// ServeHead is called, on the loop, for a request that awaits 100 (Continue) and for no
// other. The body of r is not there yet. Either it answers through w, at once, and returns
// true: then no body is asked for, and since nobody can know whether the peer sends it all
// the same, the connection is closed behind the answer. Or it returns false: then what it
// did to w is undone, 100 is sent, and Serve is called when the body has come. A request is
// so either refused by ServeHead or served by Serve, and only one of the two completes it.
//
// A Handler that wraps another hides its ServeHead, and refuses nothing by the head itself,
// unless it is a HeadHandler too: then a peer is invited by 100 to send a body to which the
// answer will be 401. It is never served for that: Serve comes to pass the wrapper. Package
// middleware has Guard, which makes such a wrapper of one function.
type HeadHandler interface {
	Handler
	ServeHead(w *Response, r *Request) (done bool)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// awaited is called when the peer awaits an answer before it sends its body.
func (c *conn) awaited(x *exchange) {
	done, why := x.req.head.HTTPS, notSecured
	if done {
		x.res.Error(421) // as in serve
	} else if c.w.srv.head != nil {
		done, why = c.serveHead(x), "by its head, before its body was sent"
	}
	switch {
	case x.aborted:
		c.drop(x)
	case done:
		c.logUnserved(x, x.res.status, why)
		x.res.flags |= closeAfter
		c.answer(x)
		c.conclude(x)
		c.asked = false // it may send the body all the same
		c.begun = false
		c.letGo(x)
	default:
		x.res.recycle()
		c.t.Write(continueLine)
	}
}

func (c *conn) serveHead(x *exchange) (done bool) {
	x.headOnly = true
	defer func() { x.headOnly = false }()
	done = true // if it panics: OnPanic has answered then, or the connection is dropped
	x.serve(HandlerFunc(func(w *Response, r *Request) { done = c.w.srv.head(w, r) }))
	return done
}
