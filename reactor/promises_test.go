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
