package server

import (
	"fmt"
	"sync/atomic"
)

// What answers requests, and how one handler stands around another.
//
// A request is handled in two stages. When its head is complete, the handlers that take the head run: routers,
// middleware made by Wrap, the outer part of Blocking. They route, authenticate, limit and refuse, all before the body
// is sent. They end by answering, or by choosing a leaf: the handler that does the work. The leaf runs when the
// handlers around it have returned. A leaf that was registered as it is runs when the body is whole. A leaf that is
// Streaming runs at once and takes the body as it comes.

// Handler answers requests. Serve is called on the loop of the connection and must not block there; see [Blocking].
//
// A Handler is called when the body of the request is whole, unless it takes the head; see [HeadTaker]. The answer is
// sent when Serve has returned, unless Serve took a [Pending] or a [Stream] from w, or asked for the body with
// [Request.OnBody].
type Handler interface {
	Serve(w *Response, r *Request)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(w *Response, r *Request)

// Serve calls f.
func (f HandlerFunc) Serve(w *Response, r *Request) { f(w, r) }

// HeadTaker is a Handler that is called when the head of a request is complete, and does not wait for the body. Routers
// and what [Wrap], [Streaming] and [Blocking] return are HeadTakers. Every other Handler gets a buffer around it where
// it is registered, and is called when the body is whole.
//
// A HeadTaker that calls another handler must have registered it with [AtHead], once, when it was set up.
type HeadTaker interface {
	Handler
	// TakesHead has no effect. It marks the type.
	TakesHead()
}

// AtHead returns a handler that may be called when the head is complete: h itself if it is a [HeadTaker], and otherwise
// h with a buffer around it, so that h is called when the body is whole. It is for whatever registers handlers:
// Server.Handler, the methods of a router, and Wrap call it. AtHead panics for a nil handler.
func AtHead(h Handler) Handler {
	mustServe(h, "AtHead")
	if _, ok := h.(HeadTaker); ok {
		return h
	}
	return &buffered{leaf{h: h, whole: true}}
}

// mustServe panics if h is nil or a nil function.
func mustServe(h Handler, where string) {
	if f, ok := h.(HandlerFunc); h == nil || ok && f == nil {
		panic("server: nil handler for " + where)
	}
}

// Middleware puts something around a handler. It is called once for each handler, when that is registered.
//
// A Middleware made by [Wrap] takes the head and leaves the handler inside as it is. One that returns another kind of
// Handler, such as a HandlerFunc, also works. That handler is then a leaf: it is called when the body is whole, and so
// is all that is inside it.
type Middleware func(next Handler) Handler

// Chain makes one Middleware of several. The first is the outermost: Chain(a, b)(h) is a(b(h)). Chain panics for a nil
// Middleware.
func Chain(mw ...Middleware) Middleware {
	for _, m := range mw {
		if m == nil {
			panic("server: nil Middleware for Chain")
		}
	}
	return func(next Handler) Handler {
		for i := len(mw) - 1; i >= 0; i-- {
			next = mw[i](next)
		}
		return next
	}
}

// Wrap makes a Middleware of a function that is called when the head of a request is complete, before its body arrives.
// f either answers through w and returns, or calls next.Serve(w, r), once.
//
//   - A leaf inside never runs before f has returned: next.Serve only chooses it. f therefore does its work before
//     next.Serve. What needs the answer belongs in OnDone.
//   - f sees no body: Body, PeekBody and Trailer panic. A refusal by f is sent before the body is asked for.
//   - f runs on the loop and must not block, unless a Blocking is around it.
//
// Wrap panics if f is nil.
func Wrap(f func(w *Response, r *Request, next Handler)) Middleware {
	if f == nil {
		panic("server: nil function for Wrap")
	}
	return func(next Handler) Handler {
		mustServe(next, "Wrap")
		return &wrapped{f, AtHead(next)}
	}
}

type wrapped struct {
	f    func(w *Response, r *Request, next Handler)
	next Handler
}

// TakesHead implements HeadTaker.
func (m *wrapped) TakesHead() {}

// Serve implements Handler.
func (m *wrapped) Serve(w *Response, r *Request) { m.f(w, r, m.next) }

// Streaming makes a leaf of h that takes the body as it comes: h runs when the head is complete, and asks for the body
// with [Request.OnBody], or with [Request.BodyReader] inside [Blocking]. A handler that never asks gets no body.
//
// Streaming is a [Middleware], and its place among Blocking, MaxBody and what [Wrap] makes does not matter: it is for the leaf
// inside. It panics if h is nil.
//
// Inside a middleware that waits for the whole body, h sees the body in one piece. A line in the log names the route
// where that happens, once for each Streaming handler.
func Streaming(h Handler) Handler {
	mustServe(h, "Streaming")
	switch h := h.(type) {
	case *streaming:
		return h
	case *buffered:
		return &streaming{leaf: leaf{h: h.leaf.h}}
	case *maxBody:
		return &maxBody{h.n, Streaming(h.next)}
	case *wrapped:
		return &wrapped{h.f, Streaming(h.next)}
	case *blocking:
		l := h.leaf
		l.whole = false
		if _, ok := l.h.(HeadTaker); ok {
			l.h = Streaming(l.h)
		}
		return &blocking{l}
	}
	return &streaming{leaf: leaf{h: h}}
}

// StreamingFunc is Streaming for a function.
func StreamingFunc(f func(w *Response, r *Request)) Handler { return Streaming(HandlerFunc(f)) }

// MaxBody bounds the bodies of requests that reach the handlers inside, in bytes. Beyond it the answer is 413, before
// the body is sent when its length was announced. The innermost MaxBody around a leaf wins over the others, and over
// Server.MaxBodyBytes. It counts for streamed bodies too, which have no other bound. A negative n means no bound: a
// buffered body is then bounded by Server.MaxBufferedBytes.
//
// Server.Listen refuses a MaxBody above MaxBufferedBytes around a leaf that is buffered.
func MaxBody(n int64) Middleware {
	return func(next Handler) Handler {
		mustServe(next, "MaxBody")
		return &maxBody{max(n, -1), AtHead(next)}
	}
}

type maxBody struct {
	n    int64
	next Handler
}

// TakesHead implements HeadTaker.
func (m *maxBody) TakesHead() {}

// Serve implements Handler.
func (m *maxBody) Serve(w *Response, r *Request) {
	r.open()
	w.x.maxBody, w.x.bounded = m.n, true
	m.next.Serve(w, r)
}

// A leaf is the handler that the handlers at the head have chosen. It is made when the handler is registered, and not changed.
type leaf struct {
	h       Handler
	whole   bool  // it runs when the body is whole
	offLoop bool  // it runs on a goroutine of Blocking
	free    bool  // … and takes no place for that: see OwnGoroutine
	max     int64 // of ReadBody: bounds the body; 0 is the bound of the server and its middleware
}

// choose makes l the leaf of x. It runs when the handlers on the stack have returned.
func (x *exchange) choose(l *leaf) {
	if x.leaf != nil || x.mode != modeInline || x.res.stream != nil || x.mending || x.heading { // else the table allows it
		x.must(verbLeaf)
	}
	x.leaf = l
}

// buffered is the buffer around a handler that does not take the head.
type buffered struct{ leaf leaf }

// TakesHead implements HeadTaker: called at the head, it asks for the body.
func (b *buffered) TakesHead() {}

// Serve implements Handler.
func (b *buffered) Serve(w *Response, r *Request) {
	r.open()
	switch {
	case r.whole: // a leaf further out has the body
		b.leaf.h.Serve(w, r)
	case w.x.mode == modeBlocking:
		if r.readAll() {
			b.leaf.h.Serve(w, r)
		}
	default:
		w.x.choose(&b.leaf)
	}
}

type streaming struct {
	leaf   leaf
	warned atomic.Bool
}

// TakesHead implements HeadTaker.
func (s *streaming) TakesHead() {}

// Serve implements Handler.
func (s *streaming) Serve(w *Response, r *Request) {
	r.open()
	switch {
	case r.whole:
		if r.head.HasBody() && s.warned.CompareAndSwap(false, true) {
			w.LogMisuse("a Streaming handler gets its body whole: a middleware around it is no server.Wrap")
		}
		s.leaf.h.Serve(w, r)
	case w.x.mode == modeBlocking:
		s.leaf.h.Serve(w, r)
	default:
		w.x.choose(&s.leaf)
	}
}

// checkBounds returns an error if a MaxBody inside h allows a buffered body that MaxBufferedBytes does not. most is the
// bound in force outside of h, held is MaxBufferedBytes; 0 is no bound.
func checkBounds(h Handler, most, held int64) error {
	switch h := h.(type) {
	case *maxBody:
		return checkBounds(h.next, h.n, held)
	case *wrapped:
		return checkBounds(h.next, most, held)
	case *blocking:
		if h.leaf.whole && most > held && held > 0 {
			return &LimitError{"MaxBody", most, "MaxBufferedBytes", held}
		}
		return checkBounds(h.leaf.h, most, held)
	case *buffered:
		if most > held && held > 0 {
			return &LimitError{"MaxBody", most, "MaxBufferedBytes", held}
		}
	case HandlerLister:
		for inner := range h.Handlers() {
			if err := checkBounds(inner, most, held); err != nil {
				return err
			}
		}
	}
	return nil
}

// HandlerLister is a Handler that holds others, such as a router. Listen asks it for them, to find bounds that
// contradict each other.
type HandlerLister interface {
	Handler
	// Handlers calls yield for each handler inside, until that returns false.
	Handlers() func(yield func(Handler) bool)
}

// LimitError says that two bounds contradict each other: what the first allows, the second forbids. Listen returns it
// wrapped; errors.As finds it.
type LimitError struct {
	Name  string // of the bound that allows too much
	Value int64
	Bound string // of the bound that it contradicts
	Most  int64
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s is %d, above %s, which is %d", e.Name, e.Value, e.Bound, e.Most)
}
