package middleware

// A peer may ask, by its head, whether its body is welcome, and then only a [server.HeadHandler]
// can say no. So every middleware here is one: it does its part and passes the question on.

import "microhttp/server"

// Guard makes a middleware of a check that refuses requests by their heads: authentication, a
// rate limit, a list of addresses. Either refuse answers through w, at once, and returns true:
// then nobody else sees the request. Or it leaves w as it is, or adds fields, and returns false.
//
// To a peer that awaits 100 (Continue) the refusal comes before it sends its body (RFC 9110,
// 10.1.1); the body of r is not there then. For that, everything around a Guard must pass the
// question on: what is in this package does, and a Router. When the body has come, refuse is
// called again, so a check that counts requests counts such a one twice. It is called on the
// loop and must not block.
func Guard(refuse func(w *server.Response, r *server.Request) (done bool)) func(server.Handler) server.Handler {
	if refuse == nil {
		panic("middleware: nil check for Guard")
	}
	return func(next server.Handler) server.Handler {
		mustServe(next, "Guard")
		return &guard{refuse, next}
	}
}

type guard struct {
	refuse func(w *server.Response, r *server.Request) (done bool)
	next   server.Handler
}

// Serve implements server.Handler.
func (g *guard) Serve(w *server.Response, r *server.Request) {
	if !g.refuse(w, r) {
		g.next.Serve(w, r)
	}
}

// ServeHead implements server.HeadHandler.
func (g *guard) ServeHead(w *server.Response, r *server.Request) (done bool) {
	return g.refuse(w, r) || passOn(g.next, w, r)
}

// passOn asks next, if it is one who can tell.
func passOn(next server.Handler, w *server.Response, r *server.Request) (done bool) {
	h, ok := next.(server.HeadHandler)
	return ok && h.ServeHead(w, r)
}

// before is a handler that does something before the next one. Where that is asked by a head and
// does not refuse, what was done is undone, and done again when the body has come.
func before(next server.Handler, do func(w *server.Response, r *server.Request)) server.Handler {
	return Guard(func(w *server.Response, r *server.Request) bool {
		do(w, r)
		return false
	})(next)
}
