// Package router finds the handler for a request. It has the pattern language of net/http, decides as
// http.ServeMux decides, and allocates nothing to do so.
//
// # Patterns
//
//	/users/me              this path, any method
//	GET /users/{id}        a wildcard is one whole segment; GET is HEAD too
//	/files/{path...}       all that is left of the path, at the end only
//	/static/               the same without a name: everything below /static/
//	/{$}                   this path and nothing below it, where a final slash would mean all
//
// The text between two slashes is either literal or a wildcard. Both the literal text of a pattern and the
// segments of a request's path are percent-decoded before they are compared, each segment for itself: %2F is
// data, never a separator, with the exception that a segment which is nothing but %2F counts as the slash at the
// end of a path, because http.ServeMux has it so. [server.Request.PathValue] gives the decoded value of a
// wildcard. It may hold any text, also slashes and "..": it is not a safe file name.
//
// # Which pattern wins
//
// The more specific one, which is the one that matches fewer requests: /users/me before /users/{id}, a method
// before none, HEAD before GET. The order of registration means nothing. Two patterns that both match some
// request, and of which neither is the more specific, conflict; the second to be registered panics.
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
//   - A path that is not clean (an empty, "." or ".." segment), and /tree where only /tree/ is registered, get
//     404, not a redirect. A pattern with an unclean path panics.
//   - A pattern with a host panics: hosts are not supported.
//   - OPTIONS is answered for every path that has routes, with 204 and Allow.
//   - A method that is neither one of the nine standard ones nor named by a route gets 501.
//   - A pattern has at most 16 wildcards, and a Router at most 64 methods that are not standard.
package router
