package server

import "context"

// Context returns a context that ends when the response is done, when the peer is
// gone or has half-closed, and when the server is closed or the context of its Shutdown
// has ended. It is the same each time until SetContext replaces it, and may be kept.
func (r *Request) Context() context.Context {
	r.lent()
	r.ctxMu.Lock()
	defer r.ctxMu.Unlock()
	if r.ctx == nil {
		r.ctx, r.cancel = context.WithCancel(context.Background())
		if r.ended {
			r.cancel()
		}
	}
	return r.ctx
}

// SetContext has Context return a child of ctx from now on: middleware adds values and deadlines so, for tracing and
// the like. The child ends when ctx does, and as every context of a request ends. ctx is mostly made of r.Context().
// SetContext is for the goroutine that r belongs to, and panics for a nil ctx.
func (r *Request) SetContext(ctx context.Context) {
	r.lent()
	if ctx == nil {
		panic("server: SetContext of a nil context")
	}
	r.ctxMu.Lock()
	defer r.ctxMu.Unlock()
	before := r.cancel
	child, cancel := context.WithCancel(ctx)
	r.ctx, r.cancel = child, func() {
		cancel()
		if before != nil {
			before() // handed out before, and perhaps no parent of this one
		}
	}
	if r.ended {
		r.cancel()
	}
}

// end ends the context.
func (r *Request) end() {
	r.ctxMu.Lock()
	defer r.ctxMu.Unlock()
	r.ended = true
	if r.cancel != nil {
		r.cancel()
	}
}
