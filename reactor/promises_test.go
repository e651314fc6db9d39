package reactor_test

import (
	"testing"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
)

// Every poller keeps every promise.
func TestPromises(t *testing.T) {
	for _, name := range reactor.Pollers() {
		t.Run(name, func(t *testing.T) {
			reactortest.Run(t, func() reactor.Config { return reactor.Config{Poller: name} })
		})
	}
}

// A layer that does nothing keeps the promises of a stream.
func TestPromisesThroughALayer(t *testing.T) {
	reactortest.RunLayer(t, func() reactor.Config { return reactor.Config{} }, reactortest.Passing)
}
