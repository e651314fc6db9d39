// Package nethttp is the bridge to net/http, in both directions. [From] makes a [server.Handler] of an [http.Handler], so
// that whatever was written for net/http (a file server, a reverse proxy, a mux with its middleware) can be served here
// and mounted in a router of ours. [To] makes an [http.Handler] of a [server.Handler], so that handlers and routers of
// ours can be asked by net/http/httptest, stand behind the middleware of others, and be served by an http.Server, over
// HTTP/2 too.
//
// # From: how a handler of net/http is served
//
// Each request leaves the loop for a goroutine, and costs what that does, and the maps of net/http; a handler whose rate
// matters is better written for package server. What the client sees is what net/http's server would send: the tests
// ask both with the same bytes and list the few differences, which are where this server is stricter. The goroutine begins
// with the head. The body goes to it through a buffer of 128 KiB, and the peer is slowed down when that is full.
//
// # To: how a request crosses
//
// A request of net/http is written as bytes, and a connection of package server, which has no socket under it, reads them;
// what it answers is read and given to the http.ResponseWriter. So a handler cannot tell the difference, and everything
// that package server promises holds: the lifetime law, the limits and refusals of the parser, the order of OnDone,
// framing. That costs about two microseconds for each request.
//
// The loop of a request is the goroutine that serves it, as long as the handler answers before it returns. That
// goroutine also gathers the body, if the handler is one that is called when the body is whole. If the handler takes
// a Pending or a Stream, blocks, or takes the body as it comes, the loop goes on on a goroutine of its own until the answer is complete. It is the
// loop of this request alone: what the request leaves on it is undone when it ends, as follows. Calls that CallFromThread
// or CallInThread have accepted are made, timers are dropped. It watches no descriptors. A handler that keeps a
// Reactor for longer than its request belongs under a server.Server.
//
// It is a package of its own so that nobody links net/http who does not use it.
package nethttp
