package router

import (
	"fmt"

	"microhttp/server"
)

// Route is a pattern that was registered, what for, and where. Its methods may be called from any goroutine.
type Route struct {
	text    string         // of the pattern
	names   []string       // of its wildcards
	handler server.Handler // with its middleware around it
	pattern *pattern
	site    string // file:line
	name    string
	table   *table // that it was registered in
}

// Named gives the route a name, for [Router.URL], and returns the route. It panics if the name is empty or another
// route's (the message says where both were registered), if the route has a name already, and once the Router serves.
func (r *Route) Named(name string) *Route {
	t := r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Named")
	switch {
	case name == "":
		panic(fmt.Sprintf("router: empty name for pattern %q (registered at %s)", r.pattern.text, r.site))
	case r.name != "":
		panic(fmt.Sprintf("router: pattern %q (registered at %s) is named %q already", r.pattern.text, r.site, r.name))
	}
	t.nameRoute(name, r)
	return r
}

// Pattern returns the whole pattern, with the prefix of the group: what [server.Request.Pattern] gives.
func (r *Route) Pattern() string { return r.pattern.text }

// Method returns the method of the pattern, or "" if it is for every method.
func (r *Route) Method() string { return r.pattern.method }

// Host returns the host of the pattern in lower case, or "" if it is for every host.
func (r *Route) Host() string { return r.pattern.host }

// Path returns the path of the pattern, with its wildcards.
func (r *Route) Path() string { return r.pattern.path }

// Params returns the names of the wildcards, in the order of the path. The slice is yours.
func (r *Route) Params() []string { return append([]string(nil), r.pattern.names...) }

// Name returns what Named gave, or "".
func (r *Route) Name() (name string) {
	r.table.read(func() { name = r.name })
	return name
}

// Site returns where in the source the route was registered, as file:line.
func (r *Route) Site() string { return r.site }
