package reactor

// The lag of a loop: how long it is away from its poller. Whatever becomes ready, is posted or falls due meanwhile waits for
// that long at most, before it is even looked at. It is measured once a tick, from the return of the wait to the end of
// the tick, and counted in buckets of powers of two, so that it costs two readings of the clock and one addition.

import (
	"iter"
	"math/bits"
	"sync/atomic"
	"time"
)

// lagBuckets is how many powers of two of a nanosecond are told apart; the last, of some nine minutes and more, is open.
const lagBuckets = 40

type lag [lagBuckets]atomic.Uint64

func (l *lag) record(ns int64) {
	l[min(bits.Len64(uint64(max(ns, 0))), lagBuckets-1)].Add(1)
}

// Lag is how long the ticks of the loop have lasted since the reactor was made. It may be called from any goroutine at any
// time, also after the end; it takes no lock, so ticks that end meanwhile may be in it or not.
func (r *Reactor) Lag() Histogram {
	var h Histogram
	for i := range r.lag {
		h.counts[i] = r.lag[i].Load()
	}
	return h
}

// A Histogram counts durations, each to a power of two of a nanosecond. It is a value: a copy stays as it is.
type Histogram struct {
	counts [lagBuckets]uint64
}

// Count is how many durations were counted.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Buckets iterates over the buckets in ascending order, from the first to the last that has counted something: the
// bound of each, which the durations in it did not exceed, and how many they are. The bucket of nine minutes has no bound.
func (h Histogram) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		left := h.Count()
		for i := 0; left > 0; i++ {
			left -= h.counts[i]
			if !yield(time.Duration(1)<<i, h.counts[i]) {
				return
			}
		}
	}
}

// Quantile returns a duration that the fraction q of all those counted did not exceed, with q from 0 to 1: 0.99 is
// what all but one in a hundred stayed within, 1 bounds them all. It is a power of two, less than twice too long. It is 0
// if nothing was counted.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(n)), 1), n) // of the one that is looked for
	if float64(rank) < q*float64(n) && rank < n {
		rank++
	}
	i := 0
	for seen := h.counts[0]; seen < rank; seen += h.counts[i] {
		i++
	}
	return time.Duration(1) << i
}

// Plus is what h and o have counted together: the lag of several loops, for one.
func (h Histogram) Plus(o Histogram) Histogram {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	return h
}

// Minus is what h has counted since it was o: the lag of the last minute, say.
func (h Histogram) Minus(o Histogram) Histogram {
	for i, c := range o.counts {
		h.counts[i] -= min(c, h.counts[i])
	}
	return h
}
