package router

// What a request gets that no route takes. RFC 9110 tells the cases apart: a path that is another way to write one
// that is served, or nearly (307, section 15.4.8), a method that this server does not know (501, 15.6.2), a resource
// that lacks the method (405 with Allow, 15.5.6), no resource (404, 15.5.5), and OPTIONS, which asks for nothing but
// the methods (9.3.7) and so needs no handler.

import (
	"html"
	"slices"
	"strings"

	"microhttp/server"
)

// The statuses of the answers that the router makes itself.
const (
	statusNoContent         = 204
	statusTemporaryRedirect = 307
	statusBadRequest        = 400
	statusNotFound          = 404
	statusMethodNotAllowed  = 405
	statusNotImplemented    = 501
)

// anyStatus stands for the answers of every status, in fallbacks.
const anyStatus = 0

// refusal is the answer to a request that no route takes.
type refusal struct {
	status   int
	allow    string // the value of the Allow field, if there is to be one
	location string // the value of the Location field of a redirect
	pattern  string // that takes the request which a redirect leads to, if one does
}

// refuse answers a request that was not matched, which gave the outcome why: within the middleware of the deepest scope that
// has any.
func (t *table) refuse(w *server.Response, r *server.Request, why outcome, m *match) {
	if around := deepest(&t.answers, r); around != nil {
		answering.Set(r, t)
		around.handler.Serve(w, r)
		return
	}
	t.answer(w, r, why, m)
}

// ownAnswer is the handler within the middleware that is around the answers of a Router: see Scope.begin. It matches the request once
// more, so that nothing has to be kept for it with each request.
type ownAnswer struct{}

// answering is the table that refuses a request: that of the Router which serves, also for a scope of one that is mounted.
var answering = server.NewKey[*table]("router")

// TakesHead implements server.HeadTaker.
func (ownAnswer) TakesHead() {}

// Serve implements server.Handler.
func (ownAnswer) Serve(w *server.Response, r *server.Request) {
	t := answering.Get(r)
	var m match
	t.answer(w, r, t.tree.match(r.Method(), hostOf(r.Method(), r.PeekHost()), r.PeekEscapedPath(), &m), &m)
}

// answer answers a request that match gave the outcome why, which was not matched.
func (t *table) answer(w *server.Response, r *server.Request, why outcome, m *match) {
	a := t.tree.refusal(why, m, r.Method(), hostOf(r.Method(), r.PeekHost()), r.PeekEscapedPath(), r.RawQuery)
	instead := t.instead(a.status, r)
	if a.allow != "" {
		w.SetHeader("Allow", a.allow) // of tokens only, so it cannot fail
	}
	switch {
	case instead != nil:
		w.SetStatus(a.status)
		instead.handler.Serve(w, r)
	case a.status == statusNoContent:
		w.SetStatus(a.status)
	case a.status == statusTemporaryRedirect:
		r.SetMatch(a.pattern, nil, nil)
		redirect(w, r, a)
	default:
		w.Error(a.status)
	}
}

// instead returns the route of NotFound or MethodNotAllowed that answers in place of the router, or nil.
func (t *table) instead(status int, r *server.Request) *Route {
	switch status {
	case statusMethodNotAllowed:
		return deepest(&t.notAllowed, r)
	case statusNotFound:
		return deepest(&t.notFound, r)
	}
	return nil
}

// deepest returns the route of fallbacks whose prefix is the deepest, or nil. Its pattern ends in a slash; what lacks only
// that is for it, too, and an unclean path belongs where the clean one does.
func deepest(of *tree, r *server.Request) *Route {
	if of.methods.registered == nil {
		return nil // as mostly
	}
	var m match
	path := r.PeekEscapedPath()
	switch {
	case path[0] != '/':
		path = []byte("/") // that of OPTIONS *
	case !isClean(path):
		path = []byte(cleanPath(string(path)))
	}
	if of.match("", hostOf(r.Method(), r.PeekHost()), path, &m) == wantsSlash {
		return m.slash
	}
	return m.route
}

// redirect answers as net/http's Redirect does, with a note for people to a GET alone.
func redirect(w *server.Response, r *server.Request, a refusal) {
	w.SetStatus(a.status)
	w.SetHeader("Location", a.location) // percent-encoded, and a query that was parsed: it cannot fail
	switch r.Method() {
	case "GET", "HEAD":
		w.SetHeader("Content-Type", "text/html; charset=utf-8")
		w.WriteString("<a href=\"" + html.EscapeString(a.location) + "\">" + server.StatusText(a.status) + "</a>.\n\n")
	}
}

// refusal says how to answer. m is used again.
func (t *tree) refusal(why outcome, m *match, method string, host, path []byte, query func() string) refusal {
	switch {
	case method == "OPTIONS" && string(path) == "*":
		return refusal{status: statusNoContent, allow: allowField(t.methods.served())}
	case why == wantsSlash:
		return refusal{statusTemporaryRedirect, "", location(string(path)+"/", query()), m.slash.pattern.text}
	case hidesDots(path):
		return refusal{status: statusBadRequest}
	case len(path) > 0 && path[0] == '/' && method != "CONNECT" && !isClean(path):
		return t.cleanRedirect(m, method, host, path, query())
	case t.methods.id(method) == unknownMethod:
		return refusal{status: statusNotImplemented}
	}
	methods := t.allowed(host, path, m)
	switch {
	case len(methods) == 0:
		return refusal{status: statusNotFound}
	case method == "OPTIONS":
		return refusal{status: statusNoContent, allow: allowField(methods)}
	}
	return refusal{status: statusMethodNotAllowed, allow: allowField(methods)}
}

// allowField writes methods as an Allow field has them, sorted, with OPTIONS, which this package answers for
// every path.
func allowField(methods []string) string {
	if !slices.Contains(methods, "OPTIONS") {
		methods = append(methods, "OPTIONS")
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// allowed returns the methods that match path, or would if it had a slash at its end.
func (t *tree) allowed(host, path []byte, m *match) []string {
	return slices.DeleteFunc(t.methods.known(), func(method string) bool {
		return t.match(method, host, path, m) == noRoute
	})
}
