package router

// The face of the package towards the server: registration, which takes its time, reports every mistake by a
// panic with the place where it was made, and is over when the first request comes; and Serve, which then reads
// the tree without a lock on as many loops as there are.

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"microhttp/server"
)

// span is where in an escaped path a value lies.
type span = server.Span

// route is a pattern, what it was registered for, and where. It never changes.
type route struct {
	pattern *pattern
	handler server.Handler // with its middleware around it
	site    string         // file:line
}

// Router is a [server.Handler] that hands each request to the handler of the most specific pattern that matches
// it. The zero value is ready and has no routes; a Router must not be copied.
//
// A Router is first filled, by Use, Handle and HandleFunc, and then serves. The first call of Serve ends
// registration for good: from then on any number of loops read the routes, and no lock is between them.
type Router struct {
	mu         sync.Mutex // guards registration
	sealed     atomic.Bool
	tree       tree
	middleware []func(server.Handler) server.Handler
}

var _ server.Handler = (*Router)(nil)

// New returns a Router without routes.
func New() *Router { return new(Router) }

// Use adds middleware for the routes that are registered after it; those registered before are left alone, and
// so are the answers that the Router gives itself. The first one added is the outermost: with Use(a, b), a sees
// a request before b. Each is called once for each route, when that is registered.
//
// Use may be called from any goroutine until Serve is called first; then it panics, as it does for nil.
func (rt *Router) Use(mw ...func(server.Handler) server.Handler) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.mustBeOpen("Use")
	for _, m := range mw {
		if m == nil {
			panic("router: nil middleware")
		}
		rt.middleware = append(rt.middleware, m)
	}
}

// Handle registers h for the requests that match pattern. The package comment says what patterns are and which
// of them wins.
//
// Mistakes are the programmer's, and panic: a malformed pattern, one that conflicts with another (the message
// names both, and the file and line of each), a nil handler, and a call after Serve was first called. Until
// then Handle may be called from any goroutine.
func (rt *Router) Handle(pattern string, h server.Handler) {
	rt.register(pattern, h)
}

// HandleFunc registers the function f as Handle does a handler.
func (rt *Router) HandleFunc(pattern string, f func(w *server.Response, r *server.Request)) {
	rt.register(pattern, server.HandlerFunc(f))
}

// Serve hands r to the handler of the most specific pattern that matches it, with Pattern and PathValue of r
// set. Where there is none it answers itself:
//
//   - 204 with Allow to OPTIONS, if the path has routes for other methods, and to OPTIONS * (RFC 9110, 9.3.7);
//   - 405 with Allow, if it has and the method is another (15.5.6);
//   - 501, if the method is neither standard nor named by any route (15.6.2);
//   - 404 otherwise (15.5.5).
//
// It is called by loops, any number at once. It neither blocks nor allocates, but for the Allow field.
func (rt *Router) Serve(w *server.Response, r *server.Request) {
	if !rt.sealed.Load() {
		rt.seal()
	}
	var m match
	method, path := r.Method(), r.PeekEscapedPath()
	if why := rt.tree.match(method, path, &m); why != matched {
		status, allow := rt.tree.refuse(why, method, path)
		answer(w, status, allow)
		return
	}
	p := m.route.pattern
	r.SetMatch(p.text, p.names, m.spans[:len(p.names)])
	m.route.handler.Serve(w, r)
}

// answer makes one of the router's own answers.
func answer(w *server.Response, status int, allow string) {
	if status == statusNoContent {
		w.SetStatus(status)
	} else {
		w.Error(status)
	}
	if allow != "" {
		w.SetHeader("Allow", allow) // of tokens only, so it cannot fail
	}
}

// register is called by the exported methods directly, and so knows whose call to report.
func (rt *Router) register(text string, h server.Handler) {
	const caller = 2 // of the method that called register
	site := "unknown place"
	if _, file, line, ok := runtime.Caller(caller); ok {
		site = fmt.Sprintf("%s:%d", file, line)
	}
	if f, ok := h.(server.HandlerFunc); h == nil || ok && f == nil {
		panic(fmt.Sprintf("router: nil handler for pattern %q", text))
	}
	p, err := parsePattern(text)
	if err != nil {
		panic(fmt.Sprintf("router: parsing pattern %q: %v", text, err))
	}

	h = rt.wrap(h)

	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.mustBeOpen("Handle")
	if err := rt.tree.insert(&route{pattern: p, handler: h, site: site}); err != nil {
		panic("router: " + err.Error())
	}
}

// wrap puts the middleware around h, the last one first. It holds no lock meanwhile: middleware may register
// routes of its own.
func (rt *Router) wrap(h server.Handler) server.Handler {
	rt.mu.Lock()
	middleware := slices.Clip(rt.middleware)
	rt.mu.Unlock()
	for _, m := range slices.Backward(middleware) {
		if h = m(h); h == nil {
			panic("router: middleware returned a nil handler")
		}
	}
	return h
}

// seal ends registration, once a call that is under way has ended.
func (rt *Router) seal() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.sealed.Store(true)
}

func (rt *Router) mustBeOpen(method string) {
	if rt.sealed.Load() {
		panic("router: " + method + " called after the first request: register all routes before serving")
	}
}
