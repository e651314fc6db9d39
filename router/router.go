package router

// The face of the package towards the server: Serve reads the tree without a lock, on as many loops as there are.

import "microhttp/server"

// span is where in an escaped path a value lies.
type span = server.Span

// Router is a [server.Handler] that hands each request to the handler of the most specific pattern that matches
// it. The zero value is ready and has no routes; a Router must not be copied.
//
// A Router is first filled, by the methods of [Scope] and by Mount, from any goroutine, and then serves. The first call
// of Serve ends registration: from then on any number of loops read the routes, and no lock is between them.
type Router struct{ Scope }

var (
	_ server.HeadTaker     = (*Router)(nil)
	_ server.HandlerLister = (*Router)(nil)
)

// New returns a Router without routes.
func New() *Router { return new(Router) }

// Serve hands r to the handler of the most specific pattern that matches it, with Pattern and PathValue of r
// set. Where there is none it answers itself, as http.ServeMux does, or better:
//
//   - 307 to the clean path, if the path is not clean, and to the path with a slash behind it, if that is what a
//     pattern is for; Pattern is then the one that will match, if any;
//   - 204 with Allow to OPTIONS, if the path has routes for other methods, and to OPTIONS * (RFC 9110, 9.3.7);
//   - 405 with Allow, if it has and the method is another (15.5.6), see [Scope.MethodNotAllowed];
//   - 501, if the method is neither standard nor named by any route (15.6.2);
//   - 404 otherwise (15.5.5), see [Scope.NotFound].
//
// It is called by loops, any number at once. It does not block, and allocates only for the answers that it gives itself.
func (rt *Router) Serve(w *server.Response, r *server.Request) {
	t := rt.open()
	var m match
	method, host := r.Method(), []byte(nil)
	if t.tree.hosts != nil {
		host = hostOf(method, r.PeekHost())
	}
	if why := t.tree.match(method, host, r.PeekEscapedPath(), &m); why != matched {
		t.refuse(w, r, why, &m)
		return
	}
	to := m.route
	r.SetMatch(to.text, to.names, m.spans[:len(to.names)])
	to.handler.Serve(w, r)
}

// TakesHead implements [server.HeadTaker]: a request is routed by its head, before its body arrives. A handler that was
// registered as it is gets a buffer around it, inside the middleware of its scope, and so is called when the body is
// whole.
func (rt *Router) TakesHead() {}

// Handlers implements [server.HandlerLister].
func (rt *Router) Handlers() func(yield func(server.Handler) bool) {
	return func(yield func(server.Handler) bool) {
		var all []server.Handler
		t := rt.shared()
		t.read(func() {
			for _, r := range t.routes {
				all = append(all, r.handler)
			}
			for _, f := range t.fallbacks {
				all = append(all, f.route.handler)
			}
		})
		for _, h := range all {
			if !yield(h) {
				return
			}
		}
	}
}

// open returns the table, to which nothing is added from here on.
func (rt *Router) open() *table {
	if t := rt.table.Load(); t != nil && t.sealed.Load() {
		return t
	}
	return rt.seal()
}

// seal ends registration: there is a request.
func (rt *Router) seal() *table {
	t := rt.shared()
	t.seal("the first request")
	return t
}

// Lookup returns the route that takes a request with that method, host (with or without a port) and path (escaped, as
// it stands in a request target), and false if the Router would answer itself. It is for tests and tools; it does not
// end registration.
func (rt *Router) Lookup(method, host, path string) (route *Route, ok bool) {
	var m match
	t := rt.shared()
	t.read(func() {
		if t.tree.match(method, hostOf(method, []byte(host)), []byte(path), &m) == matched {
			route = m.route
		}
	})
	return route, route != nil
}
