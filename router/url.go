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
// It is an error if there is no such route, if a value is missing or one too many, and if no URL can have the value: an
// empty one for a segment, "." and ".." (clients take them away even when they are escaped), "/" alone, and what holds
// NUL, CR or LF. It may be called from any goroutine, also while the Router serves.
func (rt *Router) URL(name string, params ...string) (string, error) {
	var r *Route
	t := rt.shared()
	t.read(func() { r = t.names[name] })
	if r == nil {
		return "", fmt.Errorf("router: no route is named %q", name)
	}
	u, err := r.pattern.url(params)
	if err != nil {
		return "", fmt.Errorf("router: URL of %q, pattern %q: %w", name, r.pattern.text, err)
	}
	return u, nil
}

func (p *pattern) url(params []string) (string, error) {
	if len(params) != 2*len(p.names) {
		return "", fmt.Errorf("%d names and values for %d wildcards", len(params), len(p.names))
	}
	var b strings.Builder
	if p.host != "" {
		b.WriteString("//" + p.host)
	}
	for _, s := range p.segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(url.PathEscape(s.text))
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
	return !slices.Contains([]string{"", ".", "..", "/"}, s) && !strings.ContainsAny(s, "\x00\r\n")
}
