// Package server is an HTTP/1.1 origin server hosted on reactors. It binds the incremental parser to the transports of
// package reactor and hands each request to a [Handler].
//
// # Where handlers run
//
// A [Server] runs one reactor for each core. A connection stays on the reactor that accepted it, and a Handler is called
// on that loop: it must not block. There are four ways to answer:
//
//   - at once, by filling the [Response] and returning;
//   - later, by a [Pending] from [Response.Later];
//   - bit by bit, by a [Stream] from [Response.Stream];
//   - on a goroutine, which may block, by wrapping the handler in [Blocking].
//
// A Response belongs to one goroutine at a time, and a request is answered once.
//
// # The head and the body
//
// A request is handled in two stages. When its head is complete, the handlers that take the head run: routers and
// middleware made by [Wrap]. They route, authenticate and limit, and a refusal of theirs is sent before the body is. They
// end by answering or by choosing a leaf, the handler that does the work. A leaf runs when the handlers around it have
// returned, so code after next.Serve never sees its answer: use [Response.OnDone].
//
// A leaf is called when the body is whole, and gets it from [Request.Body]. A leaf made by [Streaming] is called at once
// and takes the body as it comes, by [Request.OnBody] on the loop or by [Request.BodyReader] inside Blocking. The peer is
// told to continue when the body is first asked for. A handler that does not take the body slows its peer down.
//
// [MaxBody] bounds the bodies of a route. [Key] and [Request.SetContext] carry values from middleware to the handlers
// inside. [Response.AnswerWithin] gives an answer a time.
//
// # The lifetime law
//
// What a [Request] returns is yours to keep. The Request, the Response and what is named Peek… are lent until the response
// is done. What a handler on the loop has peeked at before it took a Pending or a Stream is lent until the handler returns.
//
// The strings of one request are slices of one copy of its head, made when the first is asked for. A handler that asks
// for nothing allocates nothing. Beyond a head of 1 KiB each string is copied alone, so that keeping ten bytes never pins
// 32 KiB.
//
// # One connection
//
// A connection has an intake and an output, and both can be alive at once: an answer may stream while its request's body
// still arrives. Requests of a connection are served one after the other, so answers leave in the order of the requests. A
// pipelined batch is answered with one write. While an answer is awaited, what the peer sends further is kept up to
// Server.MaxPipelinedBytes, and then no longer read.
//
// When an answer is given before its request's body has come, up to 256 KiB of the rest are read and thrown away. If more
// is left, or its length is unknown, the answer says that the connection closes.
//
// # Bounds
//
// Whatever a peer can make grow has a bound, a field of Server: bytes, numbers, time, and the rate of what arrives. Beyond
// it the peer gets the status that says so, the log gets a line, and the connection ends. Memory grows with what has
// arrived, never with what was announced. A peer that does not read is not read from. When a loop holds more than its
// share of Server.MaxBufferedBytes, it ends the connections that hold the most.
//
// # Mistakes
//
// What cannot be meant panics where it is written: a nil handler, a status of 0, a field name that is no token, Later after
// Stream. The panic costs that request, and the log has its stack. The setters of a Response return nothing. A value that
// cannot be sent, which often depends on data, is dropped, and a line in the log names the field; ValidFieldValue and
// Cookie.Valid tell beforehand. A call that comes too late to have an effect leaves a line in the log. A handler that blocks
// its loop is named in the log while it does, and one that never answers is answered for, in time.
//
// The tests of a program find more. Set Server.DetectLateUse there: using a Request or Response after the response is done
// then panics. Run them with -race. go vet finds copies of what is lent.
package server
