package router

// Where routes are registered. A Scope is a prefix and some middleware, and points to the table that all the scopes
// of a Router share; the Router itself is the scope without either. Everything here takes its time, and reports each
// mistake by a panic that says where in the source it was made.

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"microhttp/server"
)

// Middleware is a function that puts something around a handler.
type Middleware = server.Middleware

// Scope is where routes are registered: a Router, or a part of it with a prefix and middleware of its own, which Group
// makes. Its methods may be called from any goroutine until the Router serves; then they panic.
type Scope struct {
	table      atomic.Pointer[table] // nil in a Router that was not used yet: see shared
	host, path string                // the prefix
	middleware []Middleware
}

// Use adds middleware for what is registered in this scope from here on, groups too; what was registered before is left
// alone, and so are the answers that the Router gives itself, see [Scope.WrapAnswers]. The first one added is the outermost: with Use(a, b), a
// sees a request before b. Each is called once for each route, when that is registered. Use panics for nil.
func (s *Scope) Use(mw ...Middleware) {
	checkMiddleware(mw)
	t := s.shared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Use")
	s.middleware = append(slices.Clip(s.middleware), mw...)
}

// Group returns a scope within s: its patterns begin with prefix, behind that of s, and its handlers get the middleware
// mw within that which s has at the time. The prefix is the beginning of a pattern, as [HOST]/PATH, and may have
// wildcards; it ends without a slash. It may be empty. In the group, a path may be empty: GET and the prefix /users
// then make GET /users, where GET /{$} would make GET /users/{$}.
func (s *Scope) Group(prefix string, mw ...Middleware) *Scope {
	return s.group(prefix, mw, callerSite(1))
}

// Handle registers h for the requests that match pattern, within the middleware mw, within that of the scope. The
// package comment says what patterns are and which of them wins.
//
// Mistakes are the programmer's, and panic: a malformed pattern, one that conflicts with another (the message names
// both, the file and line of each, and a request that both match), a nil handler, and a call after the Router has
// begun to serve.
func (s *Scope) Handle(pattern string, h server.Handler, mw ...Middleware) *Route {
	return s.register("", pattern, h, mw)
}

// HandleFunc registers the function f as Handle does a handler.
func (s *Scope) HandleFunc(pattern string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("", pattern, server.HandlerFunc(f), mw)
}

// Get registers f for GET, and so for HEAD, and path, which is a pattern without a method. Else it is as Handle.
func (s *Scope) Get(path string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("GET", path, server.HandlerFunc(f), mw)
}

// Post is as Get, for POST.
func (s *Scope) Post(path string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("POST", path, server.HandlerFunc(f), mw)
}

// Put is as Get, for PUT.
func (s *Scope) Put(path string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("PUT", path, server.HandlerFunc(f), mw)
}

// Patch is as Get, for PATCH.
func (s *Scope) Patch(path string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("PATCH", path, server.HandlerFunc(f), mw)
}

// Delete is as Get, for DELETE.
func (s *Scope) Delete(path string, f func(w *server.Response, r *server.Request), mw ...Middleware) *Route {
	return s.register("DELETE", path, server.HandlerFunc(f), mw)
}

// NotFound sets what answers, in place of the Router, the requests below the prefix of s that no route takes for any
// method: in the Router itself all of them. The middleware is that of a route. The status is 404 already when h is
// called; h may set another. Pattern is empty. The deepest prefix wins. A second NotFound for one prefix panics.
func (s *Scope) NotFound(h server.Handler, mw ...Middleware) { s.registerFallback(404, h, mw) }

// MethodNotAllowed sets what answers, in place of the Router, the requests below the prefix of s that routes take for
// other methods only. The status is 405 already, and Allow is set. Else it is as NotFound.
func (s *Scope) MethodNotAllowed(h server.Handler, mw ...Middleware) { s.registerFallback(405, h, mw) }

// WrapAnswers puts the middleware of s around what the Router answers itself below the prefix of s: 404, 405, OPTIONS,
// redirects, 400 and 501. The middleware is that which s has at the time of the call, and mw within that. The deepest prefix
// wins. Without WrapAnswers these answers pass through no middleware of a scope; what is around the whole Router sees them in
// any case. What NotFound and MethodNotAllowed have registered has its own middleware within that of WrapAnswers. A second
// WrapAnswers for one prefix panics.
func (s *Scope) WrapAnswers(mw ...Middleware) { s.registerFallback(anyStatus, ownAnswer{}, mw) }

func (s *Scope) group(prefix string, mw []Middleware, site string) *Scope {
	checkMiddleware(mw)
	method, host, path := splitPattern(prefix)
	fail := func(why any) { panic(fmt.Sprintf("router: prefix %q at %s: %v", prefix, site, why)) }
	switch {
	case method != "":
		fail("a prefix has no method")
	case strings.HasSuffix(path, "/"):
		fail("a prefix does not end in a slash")
	}
	host, path, err := s.join(host, path)
	if err == nil {
		_, err = parsePattern(host + path + "/")
	}
	if err != nil {
		fail(err)
	}
	t := s.shared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Group")
	g := &Scope{host: host, path: path, middleware: slices.Concat(s.middleware, mw)}
	g.table.Store(t)
	return g
}

// register is called by the exported methods directly, and so knows whose call to report.
func (s *Scope) register(method, text string, h server.Handler, mw []Middleware) *Route {
	r := &Route{site: callerSite(2)}
	checkHandler(h, text, r.site)
	whole, err := s.whole(method, text)
	if err == nil {
		r.pattern, err = parsePattern(whole)
	}
	if err != nil {
		panic(fmt.Sprintf("router: parsing pattern %q (registered at %s): %v", whole, r.site, err))
	}
	r.handler = s.wrap(h, mw)
	s.shared().add(r)
	return r
}

// registerFallback registers a route that is looked for when there is no other: for all that is below the prefix.
func (s *Scope) registerFallback(status int, h server.Handler, mw []Middleware) {
	r := &Route{site: callerSite(2)}
	text := s.host + s.path + "/"
	checkHandler(h, text, r.site)
	r.pattern, _ = parsePattern(text) // Group has parsed it before
	r.handler = s.wrap(h, mw)
	s.shared().addFallback(status, r)
}

// whole returns the pattern that text stands for in this scope. Where nothing is added to it, it stays as it is.
func (s *Scope) whole(method, text string) (string, error) {
	if s.host+s.path+method == "" {
		return text, nil
	}
	m, host, path := splitPattern(text)
	switch {
	case method == "":
		method = m
	case m != "":
		return text, fmt.Errorf("a second method beside %s, %q", method, m)
	}
	if method != "" {
		method += " "
	}
	if host != "" && path == "" {
		return method + host, errors.New("path missing /")
	}
	host, path, err := s.join(host, path)
	return method + host + path, err
}

// join puts the prefix in front of a host and a path.
func (s *Scope) join(host, path string) (string, string, error) {
	switch {
	case host == "":
		host = s.host
	case s.host != "" && canonicalHost(s.host) != canonicalHost(host):
		return host, path, fmt.Errorf("its host is not %s, which is that of the group", s.host)
	}
	return host, s.path + path, nil
}

// wrap puts mw around h, and around that the middleware of the scope; the last one of each first. It holds no lock
// meanwhile: middleware may register routes of its own.
func (s *Scope) wrap(h server.Handler, mw []Middleware) server.Handler {
	checkMiddleware(mw)
	t := s.shared()
	t.mu.Lock()
	all := slices.Concat(s.middleware, mw)
	t.mu.Unlock()
	h = server.AtHead(h) // a buffer directly around it, unless it takes the head
	for _, m := range slices.Backward(all) {
		h = m(h)
		if f, ok := h.(server.HandlerFunc); h == nil || ok && f == nil {
			panic("router: middleware returned a nil handler")
		}
	}
	return server.AtHead(h)
}

// shared returns the table, which a Router makes when it is first used: its zero value is ready.
func (s *Scope) shared() *table {
	if s.table.Load() == nil {
		s.table.CompareAndSwap(nil, new(table))
	}
	return s.table.Load()
}

func checkMiddleware(mw []Middleware) {
	for _, m := range mw {
		if m == nil {
			panic("router: nil middleware")
		}
	}
}

func checkHandler(h server.Handler, text, site string) {
	if f, ok := h.(server.HandlerFunc); h == nil || ok && f == nil {
		panic(fmt.Sprintf("router: nil handler for pattern %q (registered at %s)", text, site))
	}
}

// callerSite returns file and line of a call: with 1 of that of the function that asks, with 2 of that of its caller.
func callerSite(skip int) string {
	_, file, line, ok := runtime.Caller(skip + 1)
	if !ok {
		return "unknown place"
	}
	return fmt.Sprintf("%s:%d", file, line)
}
