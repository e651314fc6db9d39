// Package nethttp is the bridge to net/http. [To] makes an [http.Handler] of a [server.Handler], so that handlers and
// routers of ours can be asked by net/http/httptest, stand behind the middleware of others, and be served by an
// http.Server, over HTTP/2 too.
//
// # How a request crosses
//
// A request of net/http is written as bytes, and a connection of package server, which has no socket under it, reads them;
// what it answers is read and given to the http.ResponseWriter. So a handler cannot tell the difference, and everything
// that package server promises holds: the lifetime law, the limits and refusals of the parser, the order of OnDone,
// framing. That costs about two microseconds for each request.
//
// The loop of a request is the goroutine that serves it, as long as the handler answers before it returns. If it takes
// a Pending or a Stream, or blocks, the loop goes on on a goroutine of its own until the answer is complete. It is the
// loop of this request alone: what the request leaves on it is undone when it ends, as follows. Calls that CallFromThread
// or CallInThread have accepted are made, timers are dropped. It watches no descriptors. A handler that keeps a
// Reactor for longer than its request belongs under a server.Server.
//
// It is a package of its own so that nobody links net/http who does not use it.
package nethttp
