package router

// Where a redirect leads: where http.ServeMux redirects, and to the path as it came, cleaned. What is escaped stays escaped,
// once (RFC 3986, section 2.4); http.ServeMux escapes it once more, and then leads elsewhere.

import (
	"path"
	"strings"
)

// location writes a clean path, escaped as it came, and a query as it came.
func location(clean, query string) string {
	clean = notInPaths.Replace(clean)
	if query != "" {
		clean += "?" + query
	}
	return clean
}

// notInPaths escapes what the parser takes in a path though RFC 3986, section 3.3, does not have it.
var notInPaths = strings.NewReplacer("[", "%5B", "]", "%5D", "|", "%7C")

// cleanRedirect redirects to the path that an unclean one stands for, and right on to that with a slash behind it, if
// a pattern is for that.
func (t *tree) cleanRedirect(m *match, method string, host, escaped []byte, query string) refusal {
	clean := cleanPath(string(escaped))
	a := refusal{status: statusTemporaryRedirect}
	switch t.match(method, host, []byte(clean), m) {
	case wantsSlash:
		a.location, a.pattern = location(clean+"/", query), m.slash.pattern.text
		return a
	case matched:
		a.pattern = m.route.pattern.text
	}
	a.location = location(clean, query)
	return a
}

// cleanPath returns p without empty segments and dot segments, but with the slash at its end.
func cleanPath(p string) string {
	clean := path.Clean("/" + literalDots(p))
	if p != "" && p[len(p)-1] == '/' && clean != "/" {
		clean += "/"
	}
	return clean
}

// literalDots writes the escaped dots of dot segments as dots. Other escapes stay as they came.
func literalDots(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		if dotSegment(s) {
			dots, _ := leadingDots(s)
			segments[i] = ".."[:dots]
		}
	}
	return strings.Join(segments, "/")
}
