package reactor

// Work that may block, on goroutines of its own. CallInThread has a pool and a queue. Go has neither: it is for callers that
// decide themselves how much runs at a time, as package server does for its Blocking handlers over several loops.

// Go calls f on a goroutine, where it may block. It may be called from any goroutine and never blocks itself. Nothing
// bounds how many of these run: that is the caller's part. As with CallInThread, f answers through CallFromThread, a panic in
// f is reported and ends nothing else, and Run does not return before f is done. The error is ErrStopped.
//
// The goroutine is a new one, unless another call of Go ends first: its goroutine, whose stack has grown already, goes on with
// f. So f leaves its goroutine as it was: without labels, and not locked to a thread.
func (r *Reactor) Go(f func()) error {
	p := &r.threads
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrStopped
	}
	p.asked.push(f)
	p.outside++
	p.outstanding.Add(1)
	r.workers.Add(1)
	go r.outside()
	return nil
}

// workOutside is a goroutine of Go. It ends when there is no call left, which may be at once.
func (r *Reactor) workOutside() {
	defer r.workers.Done()
	p := &r.threads
	defer p.leaveOutside(r)
	for f := p.pullAsked(); f != nil; f = p.pullAsked() {
		r.callCaught(f)
	}
}

func (p *pool) pullAsked() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.pop()
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
