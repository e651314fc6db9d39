package server

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"microhttp/reactor"
)

// Which routes keep the loops busy. A loop samples what it spends its time on by the names that
// routers give in SetMatch, see reactor.LoopShare. A handler that takes 20 ms each time is no
// stall, and yet leaves its loop time for fifty requests a second: such a route is warned of.

// A RouteShare is how much of a loop's time the handlers of one route took. What Blocking
// handlers do off the loop does not count. It is estimated by sampling: see reactor.LoopShare,
// which also says how good it is.
type RouteShare struct {
	// Route is the pattern, as Request.Pattern returns it; "" is a handler that no router has
	// named.
	Route string
	// Loop is the loop, from 0 to Loops-1.
	Loop int
	// Held is how much of the last second the handlers took; 0 if the loop slept since then.
	Held time.Duration
	// Total is how much they took since the server began to listen. What it grows by in an
	// interval, by the length of the interval, is the route's share of the loop.
	Total time.Duration
	// Calls is how many requests Total is for, about.
	Calls uint64
}

// RouteShares returns how much of its time each loop spends in the handlers of each route, for
// metrics: loop by loop, the routes with the largest Total first. Routes that take very little
// are not among it. There is none with a negative StallLimit, and none of loops that only
// Factory knows. It may be called from any goroutine, also after the end.
func (s *Server) RouteShares() []RouteShare {
	s.mu.Lock()
	workers := slices.Clone(s.workers)
	s.mu.Unlock()
	var all []RouteShare
	for i, w := range workers {
		for _, share := range w.loop.Shares() {
			if share.Work == unrouted {
				share.Work = ""
			}
			all = append(all, RouteShare{share.Work, i, share.Held, share.Total, share.Calls})
		}
	}
	return all
}

// unrouted is the name of a handler that no router has named.
const unrouted = "the handler"

// name names the handler that is about to be called, for stalls and shares. A router will do it
// better; once one has, nothing is named without it.
func (w *worker) name() {
	if !w.routed {
		w.loop.Serving(unrouted)
	}
}

// route names the handler that is called by its pattern.
func (w *worker) route(pattern string) {
	w.routed = true
	w.loop.Serving(pattern)
}

// name names the handler of x, for what it does after its first call.
func (x *exchange) name() {
	w := x.req.conn.w
	if x.req.pattern != "" {
		w.loop.Serving(x.req.pattern)
		return
	}
	w.name()
}

// shareWarnings bounds the warnings of each route, over all loops.
type shareWarnings struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// warnEvery is the least time between two warnings of the same route.
const warnEvery = time.Minute

func (s *shareWarnings) allow(route string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for route, at := range s.last { // they are few
		if now.Sub(at) >= warnEvery {
			delete(s.last, route)
		}
	}
	if _, ok := s.last[route]; ok {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[route] = now
	return true
}

// logShare warns of a route that holds its loop again and again.
func (s *Server) logShare(e *reactor.ShareError) {
	if !s.shareWarnings.allow(e.Work, time.Now()) {
		return
	}
	s.mu.Lock()
	loop := slices.IndexFunc(s.workers, func(w *worker) bool { return w.loop == e.Reactor })
	s.mu.Unlock()
	s.log.Line(slog.LevelWarn).Str("route", e.Work).Int("loop", loop).Dur("held", e.Held).Dur("call", e.Call).
		Msg(shareText(e, loop))
}

func shareText(e *reactor.ShareError, loop int) string {
	return fmt.Sprintf("%s held loop %d for %s of the last second, %s a call; wrap it in server.Blocking",
		e.Work, loop, milliseconds(e.Held), milliseconds(e.Call))
}

// milliseconds is d for people: 640 ms, 2.5 ms.
func milliseconds(d time.Duration) string {
	digits := 0
	if d < 10*time.Millisecond {
		digits = 1
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', digits, 64) + " ms"
}
