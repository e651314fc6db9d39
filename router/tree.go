package router

// The tree branches on segments, one level for each: a node has a child for each literal, one for the slash
// that ends a path, one for a wildcard, and a leaf for a wildcard that takes the rest. Where a path may end,
// the routes that share it stand in the order of their methods. All that depends on a pattern alone, its names
// above all, is with the route, so /{id} and /{name}/x share a node.
//
// A tree is built, then only read: insert may not run at the same time as anything else, match and allowed may
// run on any number of goroutines at once.

import (
	"cmp"
	"fmt"
	"slices"
)

// tree is a set of routes of which no two conflict. The zero value is empty. A router for many hosts has one
// for each.
type tree struct {
	methods methods
	root    node
}

// node is a place in a path between two segments.
type node struct {
	here     leaf // the path may end here
	literals children
	slash    *node // the path ends here, but for a slash
	single   *node // any one segment, then on from there
	rest     leaf  // any number of segments, one at least
}

// leaf holds the routes that share a path, by methodID, so the specific ones stand first.
type leaf []entry

type entry struct {
	method methodID
	route  *route
}

// find returns the most specific route for method m, or nil.
func (l leaf) find(m methodID) *route {
	for i := range l {
		if l[i].method.accepts(m) {
			return l[i].route
		}
	}
	return nil
}

// insert adds r, or says why it cannot be added.
func (t *tree) insert(r *route) error {
	var rival *route
	t.root.overlapping(r.pattern.segments, func(other *route) bool {
		if conflicts(r.pattern, other.pattern) {
			rival = other
		}
		return rival == nil
	})
	if rival != nil {
		return fmt.Errorf("pattern %q (registered at %s) conflicts with pattern %q (registered at %s): %s",
			r.pattern.text, r.site, rival.pattern.text, rival.site, explainConflict(r.pattern, rival.pattern))
	}
	method, ok := t.methods.register(r.pattern.method)
	if !ok {
		return fmt.Errorf("pattern %q: more than %d methods that are not standard", r.pattern.text, maxExtensions)
	}
	l := t.root.grow(r.pattern.segments)
	*l = append(*l, entry{method, r})
	slices.SortFunc(*l, func(a, b entry) int { return cmp.Compare(a.method, b.method) })
	return nil
}

// grow returns the leaf at the end of path, having made what was missing on the way to it.
func (n *node) grow(path []segment) *leaf {
	for _, s := range path {
		switch s.kind {
		case literal:
			n = n.literals.grow(s.text)
		case slash:
			n = growChild(&n.slash)
		case single:
			n = growChild(&n.single)
		case multi:
			return &n.rest // always the last
		}
	}
	return &n.here
}

func growChild(child **node) *node {
	if *child == nil {
		*child = new(node)
	}
	return *child
}

// overlapping calls yield for each route below n whose path has something in common with path, until yield
// returns false, and then returns false too. This looks at the branches that path can reach and no others, so
// that adding thousands of routes does not compare each with each.
func (n *node) overlapping(path []segment, yield func(*route) bool) bool {
	if n == nil {
		return true
	}
	if len(path) == 0 {
		return n.here.all(yield)
	}
	next, path := path[0], path[1:]
	if !n.rest.all(yield) {
		return false
	}
	switch next.kind {
	case literal:
		return n.literals.get(next.text).overlapping(path, yield) && n.single.overlapping(path, yield)
	case slash:
		return n.slash.overlapping(path, yield)
	case single:
		return n.literals.each(func(c *node) bool { return c.overlapping(path, yield) }) &&
			n.single.overlapping(path, yield)
	default:
		return n.below(yield)
	}
}

// below calls yield for each route under n, as overlapping does, but for those of the path that ends at n and
// those of n.rest.
func (n *node) below(yield func(*route) bool) bool {
	whole := func(c *node) bool {
		return c == nil || c.here.all(yield) && c.rest.all(yield) && c.below(yield)
	}
	return n.literals.each(whole) && whole(n.slash) && whole(n.single)
}

func (l leaf) all(yield func(*route) bool) bool {
	for i := range l {
		if !yield(l[i].route) {
			return false
		}
	}
	return true
}
