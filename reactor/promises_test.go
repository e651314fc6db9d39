package reactor_test

import (
	"testing"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
)

// Every poller keeps every promise.
func TestPromises(t *testing.T) {
	configs := map[string]func() reactor.Config{}
	for _, name := range reactor.Pollers() {
		configs[name] = func() reactor.Config { return reactor.Config{Poller: name} }
	}
	reactortest.RunBeside(t, configs)
}

// A layer that does nothing keeps the promises of a stream.
func TestPromisesThroughALayer(t *testing.T) {
	reactortest.RunLayer(t, func() reactor.Config { return reactor.Config{} }, reactortest.Passing)
}
