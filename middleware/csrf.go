package middleware

// Requests that another site has a browser send, with the cookies of its user. A browser says where a request comes
// from: in Sec-Fetch-Site, or in Origin if it is older. So no token is needed. The rules are those of
// net/http.CrossOriginProtection in Go 1.25.

import (
	"strings"

	"microhttp/server"
)

// CrossOriginConfig says what [CrossOrigin] lets pass. The zero value is ready.
type CrossOriginConfig struct {
	// TrustedOrigins are other origins whose requests pass, as "https://app.example.com" or with a port. They are
	// compared as they are, byte for byte.
	TrustedOrigins []string
	// Bypass reports whether a request passes that would be refused. It is for endpoints that other sites are meant to
	// call, and that look at no cookie. nil is for none.
	Bypass func(r *server.Request) bool
	// Deny answers what is refused. The status is 403 already. nil answers with 403 alone.
	Deny server.Handler
}

// CrossOrigin refuses requests that a browser was made to send by another site (cross-site request forgery), with 403:
//
//   - GET, HEAD and OPTIONS pass. Handlers must not change anything for them.
//   - A request whose Sec-Fetch-Site is same-origin or none passes.
//   - Without Sec-Fetch-Site, a request passes if its Origin names the host that it is for, or if it has no Origin: then
//     it is not from a browser, or from one of before 2020.
//   - All others must come from a trusted origin, or be let pass by Bypass.
//
// Behind a proxy that changes Host, put [ClientAddress] around it: the host that the proxy reports then counts.
//
// CrossOrigin panics for a trusted origin that is none: it has a scheme and a host, and no path.
func CrossOrigin(config CrossOriginConfig) server.Middleware {
	trusted := make(map[string]bool, len(config.TrustedOrigins))
	for _, origin := range config.TrustedOrigins {
		if originHost(origin) == "" {
			panic("middleware: no origin, which is scheme://host or scheme://host:port: " + origin)
		}
		trusted[origin] = true
	}
	bypass := config.Bypass
	deny := orElse(config.Deny, func(w *server.Response, _ *server.Request) { w.Error(403) })
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if sameOrigin(r) || trusted[r.Header("Origin")] || bypass != nil && bypass(r) {
			next.Serve(w, r)
			return
		}
		w.SetStatus(403)
		deny.Serve(w, r)
	})
}

// sameOrigin reports whether r is safe, or comes from the origin that it is for, or from no browser.
func sameOrigin(r *server.Request) bool {
	switch r.Method() {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	switch string(r.PeekHeader("Sec-Fetch-Site")) {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header("Origin")
	return origin == "" || originHost(origin) == publicHost(r)
}

// originHost returns the host of an origin, with its port if it has one; "" if it is none, or opaque.
func originHost(origin string) string {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme == "" || strings.ContainsAny(host, "/?#@ ") {
		return ""
	}
	return host
}

// orElse is h, or f if h is nil.
func orElse(h server.Handler, f headFunc) server.Handler {
	if h == nil {
		return f
	}
	return server.AtHead(h)
}

// headFunc is a handler that answers at the head.
type headFunc func(w *server.Response, r *server.Request)

// Serve implements server.Handler.
func (f headFunc) Serve(w *server.Response, r *server.Request) { f(w, r) }

// TakesHead implements server.HeadTaker.
func (f headFunc) TakesHead() {}
