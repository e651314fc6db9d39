// Package driven is how package servertest runs the loops of a server itself, one turn at a time, on a simulated system. It
// is apart from the exported names of package server because only a test has a use for it.
package driven

import (
	"time"

	"microhttp/reactor"
)

// A Server is a server that listens. Its loops run as their owner runs them.
type Server struct {
	// Loops are the server's, not yet running.
	Loops []*reactor.Reactor
	// Waiting returns how many handlers off the loops wait for their peers, in BodyReader or in Write of a Stream, until a loop
	// wakes them. It may be called from any goroutine.
	Waiting func() int
	// Ended must be called once, when all loops have ended.
	Ended func()

	// The steps of Server.Shutdown, which waits between them: for ShutdownDelay, until Drained reports true, and until the loops
	// have ended. Drain returns false if the server ends already. Abort is in place of Stop when there is no more time.
	Announce func()
	Drain    func() bool
	Drained  func() bool
	Stop     func()
	Abort    func()
}

// A World is what a server is to run in.
type World struct {
	System reactor.System
	// Clock is the time, on any goroutine.
	Clock func() time.Time
	// OnError gets the message of each line of level error of the server's log, on any goroutine.
	OnError func(message string)
}

// Listen has s, a *server.Server, listen in a world. Package server sets it.
var Listen func(s any, in World) (*Server, error)

// Text appends lines of a log as people read them. Package server sets it.
var Text func(dst, lines []byte) []byte
