// Package reactortest is one suite of what package reactor promises. Every poller passes it, and so does the simulation:
// whoever makes a [reactor.System] of their own shows with it that the system is one.
//
//	func TestPromises(t *testing.T) {
//		reactortest.Run(t, func() reactor.Config { return reactor.Config{System: mine()} })
//	}
//
// The suite needs nothing but a Config. It opens no socket of its own: both ends of every connection live on the reactor
// that is tested. It never sleeps: time passes only as the reactor says that it does, through CallLater, so a clock that
// is made up will do. It expects a network that works: streams may be cut and merged anywhere and be slow, but no
// connection is reset, no accept fails and no datagram is lost unless a promise asks for it.
package reactortest

import (
	"testing"

	"microhttp/reactor"
)

// A promise is something that holds for every reactor, and how to see that it does.
type promise struct {
	name string
	keep func(t *testing.T, c reactor.Config)
}

// Run tests each promise in a subtest of its own, on a reactor made with what config returns; the suite sets
// ReportError, and StallLimit to none.
func Run(t *testing.T, config func() reactor.Config) {
	warmUp(t, config())
	for _, group := range []struct {
		name     string
		promises []promise
	}{
		{"Life", life},
		{"Time", clock},
		{"Every", every},
		{"Calls", calls},
		{"Connecting", connecting},
		{"Streams", streams},
		{"Paused", paused},
		{"Output", output},
		{"Producers", producers},
		{"Ending", ending},
		{"Adopting", adopting},
		{"Reconnecting", reconnecting},
		{"Lines", lines},
		{"Unix", unixSockets},
		{"Datagrams", datagrams},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, p := range group.promises {
				t.Run(p.name, func(t *testing.T) { p.keep(t, config()) })
			}
		})
	}
}

// scripted makes a promise of a script.
func scripted(name string, f func(s *script)) promise {
	return promise{name, func(t *testing.T, c reactor.Config) { play(t, c, f) }}
}
