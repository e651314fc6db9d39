// Package driven is how package servertest runs the loops of a server itself, one turn at a time, on a simulated system. It
// is apart from the exported names of package server because only a test has a use for it.
package driven

import "microhttp/reactor"

// A Server is a server that listens. Its loops run as their owner runs them.
type Server struct {
	// Loops are the server's, not yet running.
	Loops []*reactor.Reactor
	// Waiting returns how many Blocking handlers wait for their peers. It may be called from any goroutine.
	Waiting func() int
	// Ended must be called once, when all loops have ended.
	Ended func()
}

// Listen has s, a *server.Server, listen on a system. onError gets the message of each line of level error of its log, on any
// goroutine. Package server sets it.
var Listen func(s any, on reactor.System, onError func(message string)) (*Server, error)

// Text appends lines of a log as people read them. Package server sets it.
var Text func(dst, lines []byte) []byte
