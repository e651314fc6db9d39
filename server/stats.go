package server

import (
	"iter"
	"slices"
	"sync/atomic"

	"microhttp/reactor"
)

// What a server can say of itself at any moment, for metrics. CloseCounts and RouteShares are the rest of it.

// Stats are the figures of a server at one moment, as [Server.Stats] returns them.
type Stats struct {
	// Conns is how many connections are open. Those that are being turned away do not count.
	Conns int
	// Accepted is how many connections were let in since the server began.
	Accepted uint64

	// BufferedBytes is what all loops hold for their connections, as Server.MaxBufferedBytes counts it. Each loop
	// publishes its part in steps of 16 KiB, so the sum is exact to 16 KiB a loop. It is never negative.
	BufferedBytes int64

	// MaxBlocking is the number of places for Blocking handlers: Server.MaxBlocking, or its default.
	MaxBlocking int
	// Blocking is how many of the places are taken.
	Blocking int
	// BlockingQueued is how many requests wait for a place, to begin.
	BlockingQueued int
	// BlockingWaiting is how many Blocking handlers wait for their peers and have given their places back, together
	// with those whose peers have moved and that wait for a place to go on.
	BlockingWaiting int
}

// Stats returns the figures of this moment. It takes two locks for an instant and visits each loop, so it is for once a
// second, not for each request. It may be called from any goroutine at any time, also before Listen and after the end.
func (s *Server) Stats() Stats {
	s.init()
	n := Stats{Conns: int(s.doors.open.Load()), Accepted: s.accepted.Load()}
	for _, w := range *s.counted.Load() {
		n.BufferedBytes += w.published.Load()
	}
	n.BufferedBytes = max(n.BufferedBytes, 0)
	p := &s.places
	p.mu.Lock()
	defer p.mu.Unlock()
	n.MaxBlocking = p.most
	n.Blocking = p.in[jobWorking].n + p.in[jobKeeping].n
	n.BlockingQueued = p.in[jobQueued].n
	n.BlockingWaiting = p.in[jobWaiting].n + p.in[jobReady].n
	return n
}

// LoopLags returns how long the ticks of each loop have lasted since the server began to listen: see reactor.Reactor.Lag.
// It is empty before Listen, and has none of the loops that only Factory knows. It may be called from any goroutine at any
// time, also after the end.
func (s *Server) LoopLags() []reactor.Histogram {
	s.mu.Lock()
	workers := slices.Clone(s.workers)
	s.mu.Unlock()
	lags := make([]reactor.Histogram, len(workers))
	for i, w := range workers {
		lags[i] = w.loop.Lag()
	}
	return lags
}

// RefusalCounts iterates over the statuses that the server has refused requests with by itself, in ascending order, and how
// many requests it has refused with each since it began. These are the requests of the log lines "request refused": they
// were malformed or beyond a limit, or there was no room for them. Statuses that a Handler chose do not count, nor do
// connections that were turned away: see CloseCounts and ErrTooManyConns. It may be called from any goroutine.
func (s *Server) RefusalCounts() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for i := range s.refused {
			if n := s.refused[i].Load(); n > 0 && !yield(firstRefusal+i, n) {
				return
			}
		}
	}
}

// firstRefusal is the least status of a refusal.
const firstRefusal = 400

// refusals counts requests by the status that they were refused with, from firstRefusal on.
type refusals [200]atomic.Uint64

func (n *refusals) count(status int) {
	if i := status - firstRefusal; i >= 0 && i < len(n) {
		n[i].Add(1)
	}
}

// BytesReceived returns how many bytes of the body have come so far, decoded from chunks. It is final in
// [Response.OnDone] and exact on the loop; what the server throws away after an early answer does not count.
func (r *Request) BytesReceived() int64 {
	r.lent()
	return r.x.body.got
}
