package router

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// Walk iterates over the routes, those of mounted Routers among them, sorted by host, path and method. It may be called
// from any goroutine, also while the Router serves; it does not end registration.
func (rt *Router) Walk() iter.Seq[*Route] {
	var routes []*Route
	t := rt.shared()
	t.read(func() { routes = slices.Clone(t.routes) })
	slices.SortFunc(routes, func(a, b *Route) int {
		return cmp.Or(cmp.Compare(a.Host(), b.Host()), cmp.Compare(a.Path(), b.Path()), cmp.Compare(a.Method(), b.Method()))
	})
	return slices.Values(routes)
}

// WriteTable writes a table of the routes for people, in the order of Walk: method, host and path, name, and where the
// route was registered. A star stands for every method. The error is that of w.
func (rt *Router) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "METHOD\tPATTERN\tNAME\tREGISTERED AT\n")
	for r := range rt.Walk() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n",
			cmp.Or(r.Method(), "*"), r.Host()+r.Path(), cmp.Or(r.Name(), "-"), filepath.Base(r.Site()))
	}
	return table.Flush()
}
