package router

// Where a redirect leads. This is what http.ServeMux does, to the byte, with the same parts of the standard library,
// because clients and caches have got used to it, and because two routers in front of the same handlers should not
// disagree. Two of its habits are not the best: a path that is both escaped and unclean has its escapes escaped once
// more, and one with an escaped slash that lacks a slash at its end loses that escape.

import (
	"net/url"
	"path"
)

// withSlash returns the location of the path that lacks nothing but a slash at its end.
func withSlash(escaped []byte, query string) string {
	decoded, err := url.PathUnescape(string(escaped))
	if err != nil {
		decoded = string(escaped) // no parser lets that through
	}
	return location(cleanPath(decoded)+"/", query)
}

// location writes a path, which begins with one slash, and a query. An escape that became a slash may have left an empty
// segment, so it is cleaned once more.
func location(decoded, query string) string {
	u := url.URL{Path: decoded}
	clean := cleanPath(u.String())
	if query != "" {
		clean += "?" + query
	}
	return clean
}

// cleanRedirect redirects to the path that an unclean one stands for, and right on to that with a slash behind it, if
// a pattern is for that.
func (t *tree) cleanRedirect(m *match, method string, host, escaped []byte, query string) refusal {
	clean := cleanPath(string(escaped))
	a := refusal{status: statusTemporaryRedirect}
	switch t.match(method, host, []byte(clean), m) {
	case wantsSlash:
		a.location, a.pattern = withSlash(escaped, query), m.slash.pattern.text
		return a
	case matched:
		a.pattern = m.route.pattern.text
	}
	a.location = location(clean, query)
	return a
}

// cleanPath returns p without empty segments and dot segments, but with the slash at its end.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if p != "" && p[len(p)-1] == '/' && clean != "/" {
		clean += "/"
	}
	return clean
}
