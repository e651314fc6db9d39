// Package middleware wraps handlers in what most servers want around all of them: a
// panic that becomes a 500, an id for each request, a log line for each answer.
//
// A middleware is a func(server.Handler) server.Handler. It is applied once, when a
// route is registered or the server is set up, and costs what it does and nothing
// else. It does not wrap the [server.Response], which therefore keeps all of its
// powers: what has to happen later is left with [server.Response.OnDone] and
// [server.Response.OnPanic]. So each works the same for a handler that answers on the
// loop, later, bit by bit, or on a goroutine of its own.
//
// When next.Serve returns, the answer need not be made: a [server.Blocking] handler has not begun
// then, and a [server.Pending] or a [server.Stream] may be another goroutine's. So a middleware of
// your own does what it has to do before next.Serve, and leaves all that needs the answer,
// its status or its duration, to OnDone.
//
// Each passes on what a peer asks by its head alone (see [server.HeadHandler]), so that what
// is refused within is refused before its body is sent. [Guard] makes a middleware that does
// so of a check of your own.
//
// The order is free, but the outermost sees most:
//
//	h := middleware.Recover(&log)(middleware.RequestID(middleware.AccessLog(&log)(routes)))
package middleware

import "microhttp/server"

// mustServe panics if there is nothing to wrap: here it is seen where the mistake is, and later it
// would be one panic for each request.
func mustServe(next server.Handler, who string) {
	if f, ok := next.(server.HandlerFunc); next == nil || ok && f == nil {
		panic("middleware: nil handler for " + who)
	}
}
