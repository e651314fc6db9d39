// Package routes compares routers on the sets of routes that routers are compared with. Its benchmarks ask this
// repository's router, http.ServeMux, httprouter and fasthttp/router for the same paths, each through the interface that
// its own server calls; see README.md of the module.
package routes

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Sets are the names of the sets, which are files of this directory.
var Sets = []string{"github", "googleplus", "parse", "static"}

// A Route is a line of a set, with a path that only it takes.
type Route struct {
	Method  string
	Pattern string   // of net/http, without the method
	Path    string   // of a request
	Names   []string // of the wildcards
	Values  []string // that the path has for them
}

// Load returns the routes of a set.
func Load(set string) []Route {
	text, err := files.ReadFile(set + ".txt")
	if err != nil {
		panic(err) // the sets are part of the program
	}
	var routes []Route
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		method, pattern, _ := strings.Cut(line, " ")
		routes = append(routes, newRoute(method, pattern))
	}
	return routes
}

// Many returns n routes such as a large service has.
func Many(n int) []Route {
	var routes []Route
	for i := range n {
		switch i % 4 {
		case 0:
			routes = append(routes, newRoute("GET", fmt.Sprintf("/things%d", i/4)))
		case 1:
			routes = append(routes, newRoute("GET", fmt.Sprintf("/things%d/{thing}", i/4)))
		case 2:
			routes = append(routes, newRoute("POST", fmt.Sprintf("/things%d/{thing}/parts", i/4)))
		default:
			routes = append(routes, newRoute("GET", fmt.Sprintf("/things%d/{thing}/parts/{part}", i/4)))
		}
	}
	return routes
}

func newRoute(method, pattern string) Route {
	r := Route{Method: method, Pattern: pattern}
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			value := fmt.Sprintf("%s%d", name, len(r.Names)+1)
			r.Names, r.Values = append(r.Names, name), append(r.Values, value)
			segments[i] = value
		}
	}
	r.Path = strings.Join(segments, "/")
	return r
}

// colons returns the pattern in httprouter's language.
func (r Route) colons() string {
	return strings.NewReplacer("{", ":", "}", "").Replace(r.Pattern)
}

// took reports whether the names and values that a router found are the route's.
func (r Route) took(value func(name string) string) bool {
	return slices.EqualFunc(r.Names, r.Values, func(name, want string) bool { return value(name) == want })
}
