package server

// Blocking makes a Handler of one that blocks: h runs off the loop, on one of
// Server.MaxBlocking goroutines, and may take its time; other requests go on
// meanwhile. When all goroutines are busy the request waits for one; when too many
// wait already it is answered with 503.
//
// h fills w and returns, as on the loop, or takes a Stream, whose Write then blocks
// while the peer does not keep up. Its panics are caught as on the loop. r.Context()
// ends when the peer is gone.
func Blocking(h Handler) Handler {
	return HandlerFunc(func(w *Response, r *Request) {
		x := w.x
		if x.offLoop {
			h.Serve(w, r) // Blocking twice is Blocking once
			return
		}
		x.detach()
		x.offLoop = true
		x.claim.Store(claimed)
		if err := r.Reactor().CallInThread(func() { x.serveOffLoop(h) }); err != nil {
			x.detached, x.offLoop = false, false
			x.claim.Store(unclaimed)
			r.conn.w.srv.log.Warn().Err(ErrBusy).Str("pattern", r.pattern).Msg("request refused")
			w.Error(503)
			w.SetHeader("Retry-After", "1")
		}
	})
}

// BlockingFunc is Blocking for a function.
func BlockingFunc(f func(w *Response, r *Request)) Handler { return Blocking(HandlerFunc(f)) }

func (x *exchange) serveOffLoop(h Handler) {
	if !x.gone.Load() { // it may have waited for its goroutine longer than its peer did
		x.run(h.Serve)
	}
	if s := x.res.stream; s != nil && !x.aborted {
		s.Close()
	}
	x.handBack()
}
