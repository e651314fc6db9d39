// Package router finds the handler for a request. It has the pattern language of net/http, decides as
// http.ServeMux decides, and allocates nothing to do so.
//
// # Patterns
//
//	/users/me              this path, any method, any host
//	GET /users/{id}        a wildcard is one whole segment; GET is HEAD too
//	/files/{path...}       all that is left of the path, at the end only
//	/static/               the same without a name: everything below /static/
//	/{$}                   this path and nothing below it, where a final slash would mean all
//	api.example.com/       this host only
//
// The text between two slashes is either literal or a wildcard. Both the literal text of a pattern and the
// segments of a request's path are percent-decoded before they are compared, each segment for itself: %2F is
// data, never a separator, with the exception that a segment which is nothing but %2F counts as the slash at the
// end of a path, because http.ServeMux has it so. [server.Request.PathValue] gives the decoded value of a
// wildcard. It may hold any text, also slashes: it is not a safe file name.
//
// The host of a pattern has no port, and matches whatever the port of the request. An IPv6 address stands in brackets, as in
// [::1]/. Case means nothing in a host, nor does a dot at its end, nor how an IPv6 address is abbreviated.
//
// A wildcard takes any text: that {id} is a number is for the handler to find out, or for middleware; the design notes
// say why.
//
// # Which pattern wins
//
// The more specific one, which is the one that matches fewer requests: /users/me before /users/{id}, a method
// before none, HEAD before GET. One with a host wins over one without. The order of registration means nothing. Two
// patterns that both match some request, and of which neither is the more specific, conflict; the second to be
// registered panics, with the place of both in the source and a request that both match.
//
// A request whose path is not clean (an empty, "." or ".." segment) is redirected to the clean path, and one for
// /tree where only /tree/ is registered to that: 307, as http.ServeMux answers. An escaped dot is a dot in this: /a/%2e%2E/b is
// redirected to /b. Otherwise it would pass the rules of a proxy for one path and reach the handler of another.
//
// # Registration
//
// A [Router] is a [Scope], and [Scope.Group] makes further ones, with a prefix and middleware of their own:
//
//	routes := router.New()
//	routes.Use(requestID)                            // first: around all that the Router does
//	routes.Get("/users/{id}", showUser).Named("user")
//	admin := routes.Group("/admin", onlyAdmins)
//	admin.Delete("/users/{id}", deleteUser)          // DELETE /admin/users/{id}
//	routes.Mount("/v2", v2)                          // the routes of another Router
//	routes.NotFound(server.HandlerFunc(sorry))
//
// All of it is safe from any goroutine, and is over when the first request comes: what is registered later panics. So no
// request waits for a lock. Middleware, handlers and what they leave behind (an access log, a count) see the pattern of
// the route in [server.Request.Pattern], a label of which there are only so many.
//
// # The tree
//
// Patterns become a tree that branches on the segments of the path. At each node the literal child is tried
// first, then the wildcard for one segment, then the one for the rest; where a path ends, its routes stand from
// the specific method to the general. As conflicts are refused beforehand, the first route that this walk finds
// is the one that wins, and no route has to be compared with another while a request waits. Values are kept as
// offsets into the path, which is matched as it came.
//
// # Differences from http.ServeMux
//
// That of the Go version in go.mod. There are these and no others; a fuzz test compares the two.
//
//   - OPTIONS is answered for every path that has routes, with 204 and Allow, and so is OPTIONS *; Allow always names
//     OPTIONS.
//   - A method that is neither one of the nine standard ones nor named by a route gets 501 where no route takes it, not
//     404 or 405.
//   - A pattern whose path is not clean panics. ServeMux takes it if it names no method, or CONNECT, and then never matches
//     it as written.
//   - A pattern has at most 16 wildcards, and a Router at most 64 methods that are not standard.
//   - CONNECT is answered by the [server.Server] and reaches no Router there. A Router asked for it by [Router.Lookup] keeps
//     the port of the host, as ServeMux does, but finds nothing for a path that is not clean.
//   - Hosts are compared without regard to case and to a dot at the end. IPv6 hosts are compared as addresses, with their
//     brackets and without the port. A pattern whose host has a port, or is an IPv6 address without brackets, panics:
//     ServeMux takes it and never matches it as meant.
//   - A standard method in the wrong case panics, and so does a pattern with a query.
//   - A pattern segment that begins with ":" or "*", or is like <id>, panics, and the message has the pattern to
//     write. These are the wildcards of other routers, and would be literal text here; %3A, %2A and %3C are that.
//   - A segment of dots is a dot segment also when its dots are escaped (RFC 3986, sections 2.3 and 6.2.2.2): the path is
//     redirected, and a pattern with one panics. ServeMux takes it for a name.
//   - A path in which an escaped slash stands next to such a segment, as in /a/..%2Fb, gets 400: it is another path for those who
//     decode the slash first, as many proxies do. ServeMux takes it for a name. A pattern with one panics.
//   - A redirect keeps the escapes of the path as they came. ServeMux escapes those of a path that is not clean once more,
//     and so leads elsewhere.
//   - A target without a path, as http://example.com, is for "/" at once, not redirected there; and a path with "|" is
//     matched as it came, where net/url would escape it anew.
package router
