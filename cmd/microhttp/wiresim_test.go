package main

// The cases of testdata/wire in pieces, played in memory: the demo's own server on the real loop, over a simulated network on
// which nothing goes wrong. Pieces that are written to a socket one after the other arrive as one read, unless the writer waits
// for the reader. Here the client lets a millisecond of the world's time pass, in which the server reads what has arrived.

import (
	"flag"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

var wireSeed = flag.Uint64("wire.seed", 0, "cut the cases of testdata/wire as the run with this seed did")

const (
	// mostCuts is the number of pieces, less one, that a message is randomly sent in.
	mostCuts = 5
	// longestDrip is the longest message that is sent byte by byte: a turn of the world for each.
	longestDrip = 4000
	// pieceInterval is the world's time from piece to piece. A message of longestDrip bytes takes less than any time-out.
	pieceInterval = time.Millisecond
)

// cutWireCases plays cases cut at random places: of those that are variants of each other the first and a third of the rest, drawn
// anew each time, and each case SIM_SEEDS times if that asks for more than the least.
func cutWireCases(t *testing.T, cases []wireCase) {
	first := *wireSeed
	rounds := sim.Seeds(1)
	all := rounds > 1
	if first == 0 {
		first = rand.Uint64()
	} else {
		rounds = 1
	}
	for round := range rounds {
		seed := first + uint64(round)
		t.Logf("-wire.seed=%d", seed)
		drawn := rand.New(rand.NewPCG(seed, 0))
		some := slices.DeleteFunc(slices.Clone(cases), func(c wireCase) bool { return drawn.IntN(3) > 0 && !c.first && !all })
		simulateWireCases(t, some, func(id, n int) []int {
			return randomCuts(rand.New(rand.NewPCG(seed, uint64(id))), n)
		})
	}
}

// dripWireCases plays cases byte by byte: of those that are variants of each other the first, and all if SIM_SEEDS asks for more
// than the least.
func dripWireCases(t *testing.T, cases []wireCase) {
	all := sim.Seeds(1) > 1
	cases = slices.DeleteFunc(slices.Clone(cases), func(c wireCase) bool { return c.together || !c.first && !all })
	simulateWireCases(t, cases, func(_, n int) []int {
		if n > longestDrip {
			return nil
		}
		return everyCut(n)
	})
}

// simulateWireCases plays each case in a world of its own, its messages cut as cut says for a case's number and a message's
// length.
func simulateWireCases(t *testing.T, cases []wireCase, cut func(id, n int) []int) {
	var workers sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for id := int(next.Add(1) - 1); id < len(cases); id = int(next.Add(1) - 1) {
				c := &cases[id]
				err := c.simulate(func(n int) []int {
					if c.together {
						return nil
					}
					return cut(id, n)
				})
				if err != nil {
					c.fail(t, err)
				}
			}
		})
	}
	workers.Wait()
}

// simulate plays a case on a connection to the demo in a calm world.
func (c *wireCase) simulate(cut func(n int) []int) error {
	w := sim.New(1, sim.Calm())
	var o options
	if err := o.parse([]string{"-loops", "1"}, nil); err != nil {
		return err
	}
	loop := w.Reactor("demo", reactor.Config{})
	port, err := loop.ListenTCP("127.0.0.1:80", o.newServer(io.Discard).Factory(loop), nil)
	if err != nil {
		return err
	}
	w.Go("client", func() {
		client := newSimClient(w, port)
		if client == nil {
			return
		}
		client.cut = cut
		if err := c.run(client); err != nil {
			w.Errorf("%v", err)
		}
	})
	return w.Run()
}

// newSimClient connects a script. It returns nil if the world does not let it, which fails the run.
func newSimClient(w *sim.World, port *reactor.Port) *wireClient {
	conn, err := w.Dial(port.Addr())
	if err != nil {
		w.Errorf("dial: %v", err)
		return nil
	}
	_ = conn.SetDeadline(w.Now().Add(patience))
	return &wireClient{
		wireConn: conn,
		pause:    func() { w.Sleep(pieceInterval) },
		begin: func(f func()) (wait func()) {
			done := false
			w.Go("sender", func() {
				defer func() { done = true }()
				f()
			})
			return func() { w.Wait("the sender", func() bool { return done }) }
		},
	}
}

func randomCuts(r *rand.Rand, n int) []int {
	if n < 2 {
		return nil
	}
	cuts := make([]int, 1+r.IntN(mostCuts))
	for i := range cuts {
		cuts[i] = 1 + r.IntN(n-1)
	}
	slices.Sort(cuts)
	return slices.Compact(cuts)
}

func everyCut(n int) []int {
	cuts := make([]int, max(n-1, 0))
	for i := range cuts {
		cuts[i] = i + 1
	}
	return cuts
}
