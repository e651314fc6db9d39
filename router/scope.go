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
//
// The middleware of a scope is around its handlers. It is also around what the Router answers itself below the prefix of
// the scope: 404, 405, OPTIONS, redirects, 400 and 501. The deepest prefix wins, and of several scopes with one prefix the
// first. A Group with an empty prefix has middleware for its handlers alone.
type Scope struct {
	table      atomic.Pointer[table] // nil in a Router that was not used yet: see shared
	host, path string                // the prefix
	middleware []Middleware

	shares bool   // the prefix is that of the scope around it
	around int    // if so, how many of middleware are that scope's
	first  string // what was registered here first, for Use; guarded by the lock of the table
}

// Use adds middleware to the scope, before anything is registered in it. The first one added is the outermost: with
// Use(a, b), a sees a request before b. Each is called once for each route, when that is registered, and once for what the
// Router answers itself.
//
// Use panics for nil. It also panics after a route, a Group or anything else of this scope, since that would not get
// the middleware: give it to a Group instead, and register there what shall have it.
func (s *Scope) Use(mw ...Middleware) {
	checkMiddleware(mw)
	t := s.shared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Use")
	if s.first != "" {
		panic(fmt.Sprintf("router: Use at %s comes after %s, which would not get the middleware: "+
			"call Use before, or give the middleware to a Group and register there what shall have it", callerSite(1), s.first))
	}
	s.middleware = append(slices.Clip(s.middleware), mw...)
}

// Group returns a scope within s: its patterns begin with the prefix of s and then prefix, and its handlers get the middleware
// of s and, within that, mw. The prefix is the beginning of a pattern, as [HOST]/PATH, and may have
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
// method: in the Router itself all of them. The status is 404 already when h is called; h may set another. Pattern is
// empty. The deepest prefix wins. h gets the middleware mw, within that of the deepest scope as all such answers do. A
// second NotFound for one prefix panics.
func (s *Scope) NotFound(h server.Handler, mw ...Middleware) {
	s.registerFallback(statusNotFound, h, mw)
}

// MethodNotAllowed sets what answers, in place of the Router, the requests below the prefix of s that routes take for
// other methods only. The status is 405 already, and Allow is set. Else it is as NotFound.
func (s *Scope) MethodNotAllowed(h server.Handler, mw ...Middleware) {
	s.registerFallback(statusMethodNotAllowed, h, mw)
}

func (s *Scope) group(prefix string, mw []Middleware, site string) *Scope {
	checkMiddleware(mw)
	method, host, path := splitPattern(prefix)
	fail := func(why any) { panic(fmt.Sprintf("router: prefix %q at %s: %v", prefix, site, why)) }
	switch {
	case method != "":
		fail("a prefix has no method")
	case isPathLike(host):
		fail(notAHost(host, path))
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
	s.begin(fmt.Sprintf("the Group %q (made at %s)", prefix, site), site)
	t := s.shared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Group")
	g := &Scope{host: host, path: path, middleware: slices.Concat(s.middleware, mw)}
	if g.host == s.host && g.path == s.path {
		g.shares, g.around = true, len(s.middleware)
		if s.shares {
			g.around = s.around
		}
	}
	g.table.Store(t)
	return g
}

// begin ends the time of Use, when something is registered for the first time. From then on the middleware stays as it is,
// and is put around the answers of the Router.
func (s *Scope) begin(what, site string) {
	t := s.shared()
	t.mu.Lock()
	begun := s.first != ""
	if !begun {
		s.first = what
	}
	t.mu.Unlock()
	if begun || s.shares || len(s.middleware) == 0 {
		return
	}
	r := &Route{site: site}
	r.pattern, _ = parsePattern(s.host + s.path + "/") // Group has parsed it before
	r.handler = wrap(ownAnswer{}, s.middleware)
	t.addAnswers(r)
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
	s.begin(fmt.Sprintf("pattern %q (registered at %s)", whole, r.site), r.site)
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
	s.begin(fmt.Sprintf("the answer for %d (registered at %s)", status, r.site), r.site)
	r.handler = s.wrapFallback(h, mw)
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
	case strings.Contains(m, "/"):
		return text, errors.New("a path has no spaces, %20 is one")
	case m == "" && path != "" && isPathLike(host):
		return text, notAHost(host, path)
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

// isPathLike reports whether a host looks like the beginning of a path that lacks its slash.
func isPathLike(host string) bool {
	return host != "" && !strings.ContainsAny(host, ".:[{") && !strings.EqualFold(host, "localhost")
}

func notAHost(host, path string) error {
	return fmt.Errorf("%q would be a host: write %q for the path, or %q for the host", host, "/"+host+path, host+"."+path)
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

// wrap puts mw around h, and around that the middleware of the scope, which does not change any more.
func (s *Scope) wrap(h server.Handler, mw []Middleware) server.Handler {
	return wrap(h, slices.Concat(s.middleware, mw))
}

// wrapFallback is wrap for a handler that answers in place of the Router. It leaves out the middleware that is around all
// answers of the Router: see begin.
func (s *Scope) wrapFallback(h server.Handler, mw []Middleware) server.Handler {
	if s.shares {
		mw = slices.Concat(s.middleware[s.around:], mw)
	}
	return wrap(h, mw)
}

// wrap puts mw around h, the last one first. It holds no lock meanwhile: middleware may register routes of its own.
func wrap(h server.Handler, mw []Middleware) server.Handler {
	checkMiddleware(mw)
	h = server.AtHead(h) // a buffer directly around it, unless it takes the head
	for _, m := range slices.Backward(mw) {
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
