package server

import "context"

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

func (r *Request) end() {
	r.ctxMu.Lock()
	defer r.ctxMu.Unlock()
	r.ended = true
	if r.cancel != nil {
		r.cancel()
	}
}
