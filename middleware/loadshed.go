package middleware

// A loop that has more to do than it can lags: each tick takes longer, and all its connections wait. Answering some of
// the requests with 503 at once, before their bodies come, leaves time for the others.

import (
	"strconv"
	"sync"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// LoadShedConfig says when [LoadShed] refuses. The zero value is ready.
type LoadShedConfig struct {
	// MaxLag is how long a tick of a loop may last. Default 100 ms. It is measured to a power of two.
	MaxLag time.Duration
	// RetryAfter is what a refused client is asked to wait, in whole seconds. Default 1 s.
	RetryAfter time.Duration
	// Deny answers what is refused. The status is 503 already, and Retry-After is set. nil answers with 503 alone.
	Deny server.Handler
}

const (
	// shedWindow is how long a loop is watched before the share that is refused changes.
	shedWindow = 100 * time.Millisecond
	// shedQuantile is the part of the ticks that must stay within MaxLag.
	shedQuantile = 0.9
	// shedScale is all requests; shedUp and shedDown are the steps of the share that is refused, and shedMost leaves some
	// requests through, so that a loop whose lag has another cause is not shut.
	shedScale, shedUp, shedDown, shedMost = 64, 8, 4, 56
)

// LoadShed answers a part of the requests with 503 and Retry-After while their loop lags: in each 100 ms in which more
// than a tenth of the loop's ticks lasted longer than MaxLag, it refuses an eighth more of them, up to seven eighths; in
// each without, a sixteenth less. Each loop counts for itself. Put it outside of all that costs time, and put what must
// always be answered, such as a health check, outside of it.
//
// A loop lags because of handlers that run on it: see server.Blocking. Handlers off the loop are bounded by
// Server.MaxBlocking, and by [ConcurrencyLimit].
func LoadShed(config LoadShedConfig) server.Middleware {
	if config.MaxLag <= 0 {
		config.MaxLag = 100 * time.Millisecond
	}
	retry := retryAfter(config.RetryAfter)
	deny := orElse(config.Deny, func(w *server.Response, _ *server.Request) { w.Error(503) })
	var loops sync.Map // of *shedder, by *reactor.Reactor: as many as there are loops
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		loop := r.Reactor()
		v, ok := loops.Load(loop)
		if !ok {
			v, _ = loops.LoadOrStore(loop, &shedder{most: config.MaxLag})
		}
		if !v.(*shedder).refuses(r.Received(), loop.Lag) {
			next.Serve(w, r)
			return
		}
		w.SetStatus(503)
		deny.Serve(w, r)
		w.SetHeader("Retry-After", retry)
	})
}

// retryAfter is the value of Retry-After for a time, of 1 s if it is none, in whole seconds.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = time.Second
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// shedder decides for one loop.
type shedder struct {
	most time.Duration

	mu     sync.Mutex
	next   time.Time // when the window ends
	before reactor.Histogram
	share  int // of shedScale that are refused
	credit int // of those: a request is refused when it reaches shedScale
}

func (s *shedder) refuses(now time.Time, lag func() reactor.Histogram) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.next) {
		s.endWindow(now, lag())
	}
	if s.credit += s.share; s.credit < shedScale {
		return false
	}
	s.credit -= shedScale
	return true
}

// endWindow changes the share by what the window has shown. One that ended long ago says nothing of the present.
func (s *shedder) endWindow(now time.Time, lag reactor.Histogram) {
	window := lag.Minus(s.before)
	stale := s.next.IsZero() || now.Sub(s.next) > 10*shedWindow && window.Quantile(shedQuantile) <= s.most
	s.before, s.next = lag, now.Add(shedWindow)
	switch {
	case stale:
		s.share, s.credit = 0, 0
	case window.Quantile(shedQuantile) > s.most:
		s.share = min(s.share+shedUp, shedMost)
	default:
		s.share = max(s.share-shedDown, 0)
	}
}
