package tlslayer

// Handshakes that pile up. One that waits for its peer takes 10 KB of the heap, and a stack of
// 16 KiB, of which it uses 3. A collection halves that stack, and throws 35 KB of garbage away. But
// one comes when the heap has doubled, and what a stack does not use is not counted. So there are
// more of them while the pile grows. A steady number of handshakes, however large, causes none.

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"weak"
)

const (
	// collectEvery is by how many the pile has to grow before it causes a collection, and collectPart
	// is by which part.
	collectEvery = 200
	collectPart  = 8

	// collectBelow is how large the heap may be for each that waits. A program whose heap is larger
	// would pay for what others hold: its collector is left alone.
	collectBelow = 32 << 10
)

// pile counts the handshakes that have begun and wait for their peers. It is guarded by the mutex of
// a Handshakes, but for due.
type pile struct {
	n     int
	then  int                    // how many there were at the last collection, or fewer since
	alive weak.Pointer[sentinel] // nil when there was a collection
	due   atomic.Bool
}

// sentinel is what only a weak pointer refers to.
type sentinel struct{ _ *sentinel }

func (p *pile) add() {
	if p.alive.Value() == nil {
		p.alive, p.then = weak.Make(&sentinel{}), p.n
	}
	p.n++
	if p.n-p.then >= max(collectEvery, p.n/collectPart) {
		p.then = p.n
		p.due.Store(true)
	}
}

func (p *pile) remove() {
	p.n--
	p.then = min(p.then, p.n)
}

// collect runs the collector if it is due. It does so between two steps, on their goroutine: what
// others allocate while it runs is not collected.
func (h *Handshakes) collect() {
	if !h.pile.due.Load() || !h.pile.due.CompareAndSwap(true, false) {
		return
	}
	h.mu.Lock()
	n := h.pile.n
	h.mu.Unlock()
	about := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(about)
	for i := range about {
		if about[i].Value.Kind() != metrics.KindUint64 {
			return
		}
	}
	live, percent := about[0].Value.Uint64(), about[1].Value.Uint64()
	if live < uint64(n)*collectBelow && percent < math.MaxInt32 { // it is larger when collections are off
		runtime.GC()
	}
}
