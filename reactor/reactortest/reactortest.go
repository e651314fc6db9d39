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
	keep func(t *testing.T, c setup)
}

// A setup is what a promise is put to the test on.
type setup struct {
	reactor.Config
	layer  *Layer // nil for none
	beside bool   // others run at the same time
}

// A group is promises about one thing. Those about streams hold for layers, too.
type group struct {
	name     string
	promises []promise
	streams  bool
}

var groups = []group{
	{name: "Life", promises: life},
	{name: "Time", promises: clock},
	{name: "Every", promises: every},
	{name: "Calls", promises: calls},
	{name: "Connecting", promises: connecting},
	{name: "Streams", promises: streams, streams: true},
	{name: "Timeouts", promises: timeouts, streams: true},
	{name: "Paused", promises: paused, streams: true},
	{name: "Output", promises: output, streams: true},
	{name: "Producers", promises: producers, streams: true},
	{name: "Ending", promises: ending, streams: true},
	{name: "Adopting", promises: adopting},
	{name: "Reconnecting", promises: reconnecting},
	{name: "Lines", promises: lines},
	{name: "Unix", promises: unixSockets},
	{name: "Datagrams", promises: datagrams},
}

// Run tests each promise in a subtest of its own, on a reactor made with what config returns; the suite sets
// ReportError, and StallLimit to none.
func Run(t *testing.T, config func() reactor.Config) {
	warmUp(t, config())
	run(t, func() setup { return setup{Config: config()} })
}

// RunBeside is Run for several ways to make a Config, by name, at the same time: a suite that mostly waits. What is left behind
// is looked for at the end, and found to be of any of them.
func RunBeside(t *testing.T, configs map[string]func() reactor.Config) {
	for _, config := range configs {
		warmUp(t, config())
	}
	checkLeaks(t)
	t.Run("beside", func(t *testing.T) { // it returns when all have ended
		for name, config := range configs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, func() setup { return setup{Config: config(), beside: true} })
			})
		}
	})
}

func run(t *testing.T, make func() setup) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) { p.keep(t, make()) })
			}
		})
	}
}

// scripted makes a promise of a script.
func scripted(name string, f func(s *script)) promise {
	return promise{name, func(t *testing.T, c setup) { play(t, c, f) }}
}
