package router

import (
	"fmt"

	"microhttp/server"
)

// Mount puts h below a prefix, which is as that of Group, within the middleware mw.
//
// If h is a [*Router], its routes become routes of s, with the prefix in front and with what is around s around them:
// they are found, listed, named and in conflict with others as if they had been registered here, Pattern is the whole
// pattern, and a request costs no more for it. So are its NotFound and MethodNotAllowed, and its middleware around what
// the Router answers itself, for what is below the prefix.
// Registration with h ends: a route that came later would not be found. h itself may go on to serve alone.
//
// Any other handler gets all that is below the prefix, and what is at the prefix is redirected there, as with the
// pattern that ends in a slash. It sees the request as it is: the path with the prefix. A handler that wants only what
// is behind the prefix is registered with a wildcard, as /files/{path...}, and asks for PathValue("path"). A handler of
// net/http is mounted through server/nethttp.From, and has http.StripPrefix to take the prefix away.
func (s *Scope) Mount(prefix string, h server.Handler, mw ...Middleware) {
	site := callerSite(1)
	inner, ok := h.(*Router)
	if ok && inner == nil {
		h = nil
	}
	checkHandler(h, prefix, site)
	if !ok {
		s.group(prefix, mw, site).register("", "/", h, nil)
		return
	}
	g, t := s.group(prefix, mw, site), inner.shared()
	if t == g.shared() {
		panic(fmt.Sprintf("router: a Router is mounted in itself at %s", site))
	}
	t.seal("the Router was mounted at " + site)
	for _, r := range t.routes {
		g.shared().add(g.adopt(r, site, g.wrap))
	}
	for _, f := range t.fallbacks {
		if f.status == anyStatus {
			g.shared().addAnswers(g.adopt(f.route, site, g.wrap))
			continue
		}
		g.shared().addFallback(f.status, g.adopt(f.route, site, g.wrapFallback))
	}
	g.begin("a Router that is mounted", site)
}

// adopt makes a route of g of one of a Router that is mounted there.
func (g *Scope) adopt(r *Route, site string, wrap func(server.Handler, []Middleware) server.Handler) *Route {
	adopted := &Route{name: r.name, site: r.site + ", mounted at " + site}
	text, err := g.whole("", r.pattern.text)
	if err == nil {
		adopted.pattern, err = parsePattern(text)
	}
	if err != nil { // as when a host or the name of a wildcard is there twice
		panic(fmt.Sprintf("router: parsing pattern %q (registered at %s): %v", text, adopted.site, err))
	}
	adopted.handler = wrap(r.handler, nil)
	return adopted
}
