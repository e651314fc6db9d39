package tlslayer

import (
	"runtime"
	"runtime/debug"
	"testing"

	"microhttp/reactor"
)

// forced is how many collections were asked for.
func forced() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.NumForcedGC)
}

// TestPileIsCollected holds that handshakes which pile up cause collections: but not when the heap is
// full of other things, and not when collections are off.
func TestPileIsCollected(t *testing.T) {
	const n = collectEvery + collectEvery/4
	hello := clientHello(t)
	for _, c := range []struct {
		name          string
		percent, heap int
		least, most   int
	}{
		{"a small heap", 1000, 0, 1, 1},
		{"a large one", 1000, n * collectBelow, 0, 0},
		{"GOGC=off", -1, 0, 0, 0},
	} {
		b := newBench(t)
		other := make([]byte, c.heap)
		was := debug.SetGCPercent(c.percent)
		runtime.GC()
		before := forced()
		var wires []*wire
		for range n {
			w := b.connect(Server(serverConfig(), b.hs, &peer{}))
			b.receive(w, hello)
			w.out, w.room = nil, nil
			wires = append(wires, w)
		}
		if got := forced() - before; got < c.least || got > c.most {
			t.Errorf("%s: %d collections, want %d to %d", c.name, got, c.least, c.most)
		}
		if b.hs.pile.n != n {
			t.Errorf("%s: %d wait, want %d", c.name, b.hs.pile.n, n)
		}
		for _, w := range wires {
			b.lose(w, reactor.ErrConnectionDone)
		}
		if b.hs.pile.n != 0 {
			t.Errorf("%s: %d wait at the end", c.name, b.hs.pile.n)
		}
		debug.SetGCPercent(was)
		runtime.KeepAlive(other)
	}
}

// TestSteadyPileIsLeftAlone holds that a number of handshakes that does not grow causes no
// collection, however many come and go.
func TestSteadyPileIsLeftAlone(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var p pile
	for range 5 * collectEvery {
		p.add()
	}
	if !p.due.Swap(false) {
		t.Error("a pile that grows causes no collection")
	}
	p.then = p.n
	for range 100 * collectEvery {
		p.remove()
		p.add()
	}
	for range collectEvery - 2 {
		p.add()
	}
	if p.due.Load() {
		t.Error("a steady pile causes a collection")
	}
	for p.n > 0 {
		p.remove()
	}
	for range collectEvery {
		p.add()
	}
	if !p.due.Swap(false) {
		t.Error("a pile that grows anew causes no collection")
	}
	runtime.GC() // as the collector's own would be: it begins anew
	for range collectEvery - 1 {
		p.add()
	}
	if p.due.Load() {
		t.Error("a collection of the collector's own does not count")
	}
	if p.add(); !p.due.Load() {
		t.Error("nor does what comes after it")
	}
}
