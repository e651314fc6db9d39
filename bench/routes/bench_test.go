package routes

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// verify has every contestant asked for every route, and holds that it hits that one, with the right values.
func verify(tb testing.TB, routes []Route, t *tally, all []contestant) {
	tb.Helper()
	t.verify = true
	defer func() { t.verify = false }()
	for _, c := range all {
		for i, r := range routes {
			t.hit, t.took = -1, false
			c.ask(i)
			if t.hit != i || !t.took {
				tb.Fatalf("%s: %s %s hit route %d, not %d (%s), or has other values", c.name, r.Method, r.Path, t.hit, i, r.Pattern)
			}
		}
	}
}

// TestSets holds that the sets are what they say, and that every contestant finds every route of them.
func TestSets(t *testing.T) {
	for set, size := range map[string]int{"github": 215, "googleplus": 13, "parse": 26, "static": 157} {
		routes := Load(set)
		if len(routes) != size {
			t.Errorf("%s has %d routes, not %d", set, len(routes), size)
		}
		var hits tally
		verify(t, routes, &hits, native(t, routes, &hits))
		verify(t, routes, &hits, bridged(routes, &hits))
	}
}

// BenchmarkNative is the cost of a lookup in each router's own terms: all routes of a set in turn.
func BenchmarkNative(b *testing.B) {
	for _, set := range Sets {
		routes, hits := Load(set), new(tally)
		race(b, set, routes, hits, native(b, routes, hits), 1)
	}
}

// BenchmarkNetHTTP is the same behind the interface of net/http.
func BenchmarkNetHTTP(b *testing.B) {
	for _, set := range Sets {
		routes, hits := Load(set), new(tally)
		race(b, set, routes, hits, bridged(routes, hits), 1)
	}
}

// BenchmarkMany is the cost of a lookup among a hundred routes and among ten thousand. A hundred of them are asked for, in
// both cases, spread over all: a benchmark that asked for ten thousand requests in turn would measure how long the memory
// takes to bring those.
func BenchmarkMany(b *testing.B) {
	for n, step := range map[int]int{100: 1, 10000: 101} {
		routes, hits := Many(n), new(tally)
		race(b, fmt.Sprint(n), routes, hits, native(b, routes, hits)[:4], step)
	}
}

// race verifies the contestants, and then times them one after the other: every step-th route in turn. Beside the time
// that passes it reports that of the processor, which a busy machine does not add to.
func race(b *testing.B, name string, routes []Route, hits *tally, all []contestant, step int) {
	verify(b, routes, hits, all)
	for _, c := range all {
		b.Run(name+"/"+c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			i, begin := 0, threadTime(b)
			for b.Loop() {
				c.ask(i)
				if i += step; i >= len(routes) {
					i = 0
				}
			}
			b.ReportMetric(float64(threadTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

// threadTime is the processor time of the calling thread, in nanoseconds.
func threadTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}
