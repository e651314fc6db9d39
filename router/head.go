package router

import "microhttp/server"

var _ server.HeadHandler = (*Router)(nil)

// ServeHead answers, as Serve would, a request that no route takes, so that its body need not be sent. Where a route
// takes it, its handler decides, if it is a server.HeadHandler; otherwise the body is welcome.
func (rt *Router) ServeHead(w *server.Response, r *server.Request) (done bool) {
	if !rt.sealed.Load() {
		rt.seal()
	}
	var m match
	method, path := r.Method(), r.PeekEscapedPath()
	if why := rt.tree.match(method, path, &m); why != matched {
		status, allow := rt.tree.refuse(why, method, path)
		answer(w, status, allow)
		return true
	}
	h, ok := m.route.handler.(server.HeadHandler)
	if !ok {
		return false
	}
	p := m.route.pattern
	r.SetMatch(p.text, p.names, m.spans[:len(p.names)])
	return h.ServeHead(w, r)
}
