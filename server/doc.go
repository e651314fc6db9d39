// Package server is an HTTP/1.1 origin server hosted on reactors: it binds the
// incremental parser to the transports of package reactor and hands each
// request to a [Handler].
//
// # Who runs where
//
// A [Server] runs one reactor for each core. A connection lives on one of them
// for good, and a Handler is called on that loop: it must not block. A handler
// that blocks is wrapped in [Blocking] and then runs on a bounded number of
// goroutines. A handler that answers later takes a [Pending] from
// [Response.Later]; one that answers bit by bit takes a [Stream] from
// [Response.Stream]. All three rest on one rule of ownership: a Response belongs
// to one goroutine at a time, and who answers is decided once.
//
// # The lifetime law
//
// What a [Request] returns is yours to keep; r, w and what is named Peek… are
// lent until the response is done (what was peeked at before the answer was put off,
// until the handler returns).
//
// The strings of one request are slices of one copy of its head, made the first
// time that the handler asks for any: a handler that asks for nothing allocates
// nothing, one that asks for ten fields allocates once. Beyond a head of 1 KiB
// each string is copied alone, so that keeping ten bytes never pins 32 KiB.
//
// # One connection
//
// Requests of a connection are served one after the other. While an answer is
// awaited, what the peer sends further is kept up to a bound and then no longer
// read. Answers therefore leave in the order of the requests by construction,
// and a pipelined batch is answered with one write.
//
// # Bounds
//
// Whatever a peer can make grow has a bound, a field of Server: bytes, numbers, time, and
// the rate of what arrives. Beyond it the peer gets the status that says so, the log one
// line, and the connection ends. Memory grows with what has arrived, never with what was
// announced; a peer that does not read is not read from; and when a loop holds more than
// its share, those connections pay that hold the most.
//
// # Mistakes
//
// What cannot be meant panics where it is written (a nil handler, a status of 0, a field name that
// is no token, Later after Stream); the panic costs that request, and the log has its stack. The
// setters of a Response return nothing. A value that cannot be sent, which often depends on data,
// is dropped, and a line in the log names the field; ValidFieldValue and Cookie.Valid tell
// beforehand. What comes too late to have an effect is a line in the log. A handler that blocks its loop is
// named in the log while it does, and one that never answers is answered for, in time. What the
// compiler and the server cannot see, the tests of a program can: switch
// Server.DetectLateUse on there, run them with -race, and go vet finds copies of what is lent.
package server
