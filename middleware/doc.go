// Package middleware wraps handlers in what most servers want around all of them: a
// panic that becomes a 500, an id for each request, a log line for each answer.
//
// Each is a [server.Middleware] made by [server.Wrap]. It is applied once, when a route is registered or the server is
// set up. It runs when the head of a request is complete, before the body arrives, and so costs a request that it
// refuses no body. It does not wrap the [server.Response], which therefore keeps all of its powers: what has to happen
// later is left with [server.Response.OnDone] and [server.Response.OnPanic]. So each works the same for a handler that
// answers on the loop, later, bit by bit, or on a goroutine of its own.
//
// The order is free, but the outermost sees most. [Default] is the stack that most servers want:
//
//	stack := middleware.Default(middleware.DefaultConfig{Log: log, Trusted: proxies})
//	s := server.Server{Handler: stack(routes)}
//
// What there is:
//
//	Recover, RequestID, AccessLog           what happened, in the log
//	ClientAddress, RedirectHTTPS            who asks, and how, through proxies
//	Basic, Bearer, Sessions                 who asks, by credentials
//	CrossOrigin, CORS, SecureHeaders        what browsers may do
//	RateLimit, LoadShed, ConcurrencyLimit   how much
//	Timeout                                 how long
//	ETag, CacheControl                      what clients have already
//	Problems                                errors that look alike
//	Alive, Readiness                        health, for probes
//
// Packages compress and static are below this one, and metrics and tracing are modules of their own. docs/middleware.md is a
// guide, with advice on the order.
package middleware
