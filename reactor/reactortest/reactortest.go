// Package reactortest is one suite of what package reactor promises. Every poller passes it, and so does the simulation:
// whoever makes a [reactor.System] of their own shows with it that the system is one.
//
//	func TestPromises(t *testing.T) {
//		reactortest.Run(t, func() reactortest.Setup {
//			return reactortest.Setup{Config: reactor.Config{System: mine()}}
//		})
//	}
//
// The suite needs nothing but a [Setup]. It opens no socket of its own: both ends of every connection live on the reactor
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
	keep func(t *testing.T, c Setup)
}

// A Setup is what a promise is put to the test on. It is used for one promise.
type Setup struct {
	// Config is what reactors are made with. The suite sets ReportError, and StallLimit to none.
	reactor.Config

	// Run runs a reactor until it ends, as its own method Run does, which is the default. A system with a clock of its own
	// may want to run its reactors itself. It is called once for each reactor, one after the other.
	Run func(*reactor.Reactor) error

	// Layer is put between each end of a connection and its Transport. The suite is then what holds for the streams of
	// connections. Default nil: none.
	Layer *Layer

	beside bool // others run at the same time
}

func (c *Setup) run(r *reactor.Reactor) error {
	if c.Run == nil {
		return r.Run()
	}
	return c.Run(r)
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

// Run tests each promise in a subtest of its own, each on a Setup that it asks for.
func Run(t *testing.T, setup func() Setup) {
	for _, g := range chosen(t, setup) {
		t.Run(g.name, func(t *testing.T) { g.run(t, setup) })
	}
}

// RunBeside is Run for several setups, by name, whose groups of promises run at the same time: a suite that mostly waits. It
// calls the functions from several goroutines at once. What is left behind is looked for at the end, and found to be of any
// of them.
func RunBeside(t *testing.T, setups map[string]func() Setup) {
	all := map[string][]group{}
	for name, setup := range setups {
		all[name] = chosen(t, setup)
	}
	checkLeaks(t)
	t.Run("beside", func(t *testing.T) { // it returns when all have ended
		for name, groups := range all {
			for _, g := range groups {
				t.Run(name+"/"+g.name, func(t *testing.T) {
					t.Parallel()
					g.run(t, func() Setup {
						c := setups[name]()
						c.beside = true
						return c
					})
				})
			}
		}
	})
}

// chosen returns the promises that are tested on what setup returns.
func chosen(t *testing.T, setup func() Setup) []group {
	t.Helper()
	c := setup()
	warmUp(t, c)
	if c.Layer == nil {
		return groups
	}
	return c.Layer.chosen(t)
}

func (g *group) run(t *testing.T, setup func() Setup) {
	for _, p := range g.promises {
		t.Run(p.name, func(t *testing.T) {
			c := setup()
			if c.Layer != nil {
				c.Layer.skip(t, g.name+"/"+p.name)
			}
			p.keep(t, c)
		})
	}
}

// scripted makes a promise of a script.
func scripted(name string, f func(s *script)) promise {
	return promise{name, func(t *testing.T, c Setup) { play(t, c, f) }}
}
