package reactor_test

import (
	"testing"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
)

// Every poller keeps every promise, and a layer that does nothing keeps those of a stream.
func TestPromises(t *testing.T) {
	setups := map[string]func() reactortest.Setup{
		"a layer": func() reactortest.Setup { return reactortest.Setup{Layer: &reactortest.Passing} },
	}
	for _, name := range reactor.Pollers() {
		setups[name] = func() reactortest.Setup {
			return reactortest.Setup{Config: reactor.Config{Poller: name}}
		}
	}
	reactortest.RunBeside(t, setups)
}
