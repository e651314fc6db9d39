package middleware

import (
	"net/url"
	"strconv"
	"strings"

	"microhttp/server"
)

// RedirectHTTPS answers a request that did not come over TLS with 308 (Permanent Redirect) to the same target at
// https://host. Method and body are kept by 308. Requests over TLS pass, and so do those of which a trusted proxy says that
// the client used https: see ClientAddress.
//
// host is the name of this server, with a port unless it is 443. It is never taken from the request, since a peer could name
// any host there. RedirectHTTPS panics for a host that is none.
//
// To serve plain HTTP only for such redirects, listen on both ports, and put RedirectHTTPS outermost:
//
//	s.Handler = middleware.RedirectHTTPS("example.com")(routes)
//	s.ListenOn(":443", server.WithTLS("cert.pem", "key.pem"))
//	s.ListenOn(":80")
//
// SecureHeadersConfig.HSTS has browsers remember it. It costs a request that passes no allocation.
func RedirectHTTPS(host string) server.Middleware {
	origin := "https://" + host
	if u, err := url.Parse(origin); err != nil || u.Host != host || host == "" || u.Hostname() == "" || !server.ValidFieldValue(host) {
		panic("middleware: RedirectHTTPS to what is no host: " + strconv.Quote(host))
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if isSecure(r) {
			next.Serve(w, r)
			return
		}
		target := r.Target()
		if rest, ok := cutScheme(target); ok { // the absolute form, whose authority is the peer's
			target = "/"
			if at := strings.IndexAny(rest, "/?"); at >= 0 {
				target = "/" + strings.TrimPrefix(rest[at:], "/")
			}
		} else if target == "*" {
			target = "/"
		}
		w.Error(308)
		w.SetHeader("Location", origin+target) // Redirect would refuse what browsers leave as it is in a query
	})
}

// cutScheme cuts the scheme off a target in absolute form (RFC 9112, section 3.2.2).
func cutScheme(target string) (rest string, ok bool) {
	if strings.HasPrefix(target, "/") {
		return "", false
	}
	_, rest, ok = strings.Cut(target, "://")
	return rest, ok
}
