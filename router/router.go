package router

// The face of the package towards the server: Serve reads the tree without a lock, on as many loops as there are.

import "microhttp/server"

// span is where in an escaped path a value lies.
type span = server.Span

// Router is a [server.Handler] that hands each request to the handler of the most specific pattern that matches
// it. The zero value is ready and has no routes; a Router must not be copied.
//
// A Router is first filled, by the methods of [Scope] and by Mount, from any goroutine, and then serves. The first call
// of Serve ends registration for good: from then on any number of loops read the routes, and no lock is between them.
type Router struct{ Scope }

var _ server.HeadHandler = (*Router)(nil)

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
		t.refuse(w, r, why, &m, false)
		return
	}
	to := m.route
	r.SetMatch(to.text, to.names, m.spans[:len(to.names)])
	to.handler.Serve(w, r)
}

// ServeHead answers, as Serve would, a request that no route takes, so that its body need not be sent, unless a handler
// of NotFound or MethodNotAllowed is to answer. Where a route takes it, its handler decides, if that is a
// [server.HeadHandler]; otherwise the body is welcome.
func (rt *Router) ServeHead(w *server.Response, r *server.Request) (done bool) {
	t := rt.open()
	var m match
	if why := t.tree.match(r.Method(), hostOf(r.Method(), r.PeekHost()), r.PeekEscapedPath(), &m); why != matched {
		return t.refuse(w, r, why, &m, true)
	}
	h, ok := m.route.handler.(server.HeadHandler)
	if !ok {
		return false
	}
	r.SetMatch(m.route.text, m.route.names, m.spans[:len(m.route.names)])
	return h.ServeHead(w, r)
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
