package sim_test

import (
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
	"microhttp/reactor/sim"
)

// A reactor on a simulated system keeps all promises, on a calm day and on one when all goes wrong that may. The suite
// runs its reactors itself, so they are in real time.
func TestPromises(t *testing.T) {
	calm := sim.Calm()
	calm.RealTime = true
	restless := sim.Config{
		RealTime: true, Latency: time.Millisecond, MinBuffer: 8 << 10, Oversleep: 2 * time.Millisecond,
		Reset: sim.Never, Aborted: sim.Never, NoDescriptor: sim.Never, NoMemory: sim.Never, Refused: sim.Never, Unanswered: sim.Never,
		Lost: sim.Never, Doubled: sim.Never, Overtaken: sim.Never, Jump: sim.Never,
	}
	configs := map[string]func() reactor.Config{}
	for name, c := range map[string]sim.Config{"calm": calm, "restless": restless} {
		seed := uint64(0)
		configs[name] = func() reactor.Config {
			seed++
			return reactor.Config{System: sim.New(seed, c).System()}
		}
	}
	reactortest.RunBeside(t, configs)
}
