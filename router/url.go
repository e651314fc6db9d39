package router

// URLs from names. The law is that what URL builds leads back: a request for it is matched with the same values. Where
// no URL can do that, as for an empty segment, there is an error and no URL.

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// URL builds the URL of the route with that name (see [Route.Named]) from the values of its wildcards, given as name
// and value in turn. Values are percent-encoded; that of {name...} keeps its slashes, and may be empty. The URL is a path,
// or, if the pattern has a host, that with two slashes before it: a reference that keeps the scheme.
//
//	routes.URL("post", "user", "Ada L", "post", "7") // "/users/Ada%20L/posts/7"
//
// It is an error if there is no such route, if a value is missing or one too many, if no URL can have the value (an empty
// one for a segment, "." and "..", which clients take away even when they are escaped, also between slashes, "/" alone, and
// what holds NUL, CR or LF), and if the URL is another route's, as that for "me" where /users/me is one. It may be called from
// any goroutine, also while the Router serves.
func (rt *Router) URL(name string, params ...string) (u string, err error) {
	t := rt.shared()
	t.read(func() {
		r := t.names[name]
		if r == nil {
			err = fmt.Errorf("router: no route is named %q", name)
			return
		}
		if u, err = t.tree.url(r, params); err != nil {
			err = fmt.Errorf("router: URL of %q, pattern %q: %w", name, r.pattern.text, err)
		}
	})
	return u, err
}

// url builds the URL of r, and looks where it leads.
func (t *tree) url(r *Route, params []string) (string, error) {
	p := r.pattern
	path, err := p.pathOf(params)
	if err != nil {
		return "", err
	}
	// A pattern without a method takes some whatever others do.
	var m match
	switch o := t.match(p.method, hostOf(p.method, []byte(p.host)), []byte(path), &m); {
	case o == wantsSlash:
		return "", fmt.Errorf("%s is redirected to that of pattern %q", path, m.slash.pattern.text)
	case o != matched:
		return "", fmt.Errorf("no request has the host %s", p.host) // as it has a port
	case m.route != r:
		return "", fmt.Errorf("%s is that of pattern %q", path, m.route.pattern.text)
	case p.host != "":
		return "//" + p.host + path, nil
	}
	return path, nil
}

// pathOf returns the escaped path that has these values.
func (p *pattern) pathOf(params []string) (string, error) {
	if len(params) != 2*len(p.names) {
		return "", fmt.Errorf("%d names and values for %d wildcards", len(params), len(p.names))
	}
	var b strings.Builder
	for i, s := range p.segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			if !canBeSegment(s.text) {
				return "", fmt.Errorf("no path can hold %q", s.text)
			}
			b.WriteString(url.PathEscape(s.text))
		case slash:
			if i < len(p.segments)-1 {
				b.WriteString("%2F")
			}
		case single, multi:
			value, err := p.valueOf(s, params)
			if err != nil {
				return "", err
			}
			b.WriteString(value)
		}
	}
	return b.String(), nil
}

// valueOf returns the escaped value of a wildcard.
func (p *pattern) valueOf(s segment, params []string) (string, error) {
	if s.text == "" {
		return "", nil // the tree of a pattern that ends in a slash: its root
	}
	for i := 0; i < len(params); i += 2 {
		if params[i] != s.text {
			continue
		}
		value := params[i+1]
		parts := []string{value}
		if s.kind == multi {
			parts = strings.Split(value, "/")
		}
		for i, part := range parts {
			if last := s.kind == multi && i == len(parts)-1; !(last && part == "") && !canBeSegment(part) {
				return "", fmt.Errorf("no path can hold %q as the value of %s", value, s.text)
			}
			parts[i] = url.PathEscape(part)
		}
		return strings.Join(parts, "/"), nil
	}
	return "", fmt.Errorf("no value for %s", s.text)
}

func canBeSegment(s string) bool {
	dots := slices.ContainsFunc(strings.Split(s, "/"), func(piece string) bool { return piece == "." || piece == ".." })
	return s != "" && s != "/" && !dots && !strings.ContainsAny(s, "\x00\r\n")
}
