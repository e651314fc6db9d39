package reactor

// Work that may block, on goroutines of its own. CallInThread has a pool and a queue. Go has neither: it is for callers that
// decide themselves how much runs at a time, as package server does for its Blocking handlers over several loops.

// Go calls f on a new goroutine, where it may block. It may be called from any goroutine and never blocks itself. Nothing
// bounds how many of these run: that is the caller's part. As with CallInThread, f answers through CallFromThread, a panic in
// f is reported and ends nothing else, and Run does not return before f is done. The error is ErrStopped.
func (r *Reactor) Go(f func()) error {
	p := &r.threads
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrStopped
	}
	p.outside++
	p.outstanding.Add(1)
	r.workers.Go(func() {
		defer p.leaveOutside(r)
		r.callCaught(f)
	})
	return nil
}

// leaveOutside is the last act of a goroutine of Go. Only an ending loop waits for it.
func (p *pool) leaveOutside(r *Reactor) {
	p.mu.Lock()
	p.outside--
	closed := p.closed
	p.mu.Unlock()
	if closed {
		r.calls.interrupt(r.poller)
	}
}
