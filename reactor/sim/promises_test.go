package sim_test

import (
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
	"microhttp/reactor/sim"
)

// A reactor on a simulated system keeps all promises, on a calm day and on one when all goes wrong that may.
func TestPromises(t *testing.T) {
	restless := sim.Config{
		Latency: time.Millisecond, MinBuffer: 8 << 10, Oversleep: 2 * time.Millisecond,
		Reset: sim.Never, Aborted: sim.Never, NoDescriptor: sim.Never, NoMemory: sim.Never, Refused: sim.Never, Unanswered: sim.Never,
		Lost: sim.Never, Doubled: sim.Never, Overtaken: sim.Never, Jump: sim.Never,
	}
	for name, c := range map[string]sim.Config{"calm": sim.Calm(), "restless": restless} {
		seed := uint64(0)
		t.Run(name, func(t *testing.T) {
			reactortest.Run(t, func() reactortest.Setup {
				seed++
				w := sim.New(seed, c)
				return reactortest.Setup{
					Config: reactor.Config{System: w.System()},
					Run: func(r *reactor.Reactor) error {
						w.Add("reactor", r)
						return w.Run()
					},
				}
			})
		})
	}
}
