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
	"strings"
)

// tree is a set of routes of which no two conflict. The zero value is empty.
type tree struct {
	methods methods
	root    root             // of the routes for every host
	hosts   map[string]*root // of those for one; nil if there are none
}

// root is where the paths of a host begin. The zero value is empty.
type root struct {
	node  *node // nil: there is none
	paths paths
}

// node is a place in a path between two segments. What a walk reads is two lines of a cache: the first for nodes that it
// passes, the second for those where it could end.
type node struct {
	at     []slot // its literal children: see find
	shift  uint8
	single *node // any one segment, then on from there

	slash *node // the path ends here, but for a slash
	rest  leaf  // any number of segments, one at least
	here  leaf  // the path may end here
	*details
}

// details are what is seldom read of a node.
type details struct {
	text   string  // if the node is a literal child: the segment before it
	path   string  // the whole path, if paths has it
	sorted []*node // the literal children, by text
}

func newNode() *node { return &node{details: new(details)} }

// leaf holds the routes that share a path, by methodID, so the specific ones stand first. Most have one.
type leaf struct {
	first entry
	more  *[]entry // nil if there are none
}

type entry struct {
	method methodID
	route  *Route // nil: there is none
}

func (l *leaf) empty() bool { return l.first.route == nil }

// find returns the most specific route for method m, or nil.
func (l *leaf) find(m methodID) *Route {
	if l.first.method.accepts(m) {
		return l.first.route
	}
	for _, e := range l.others() {
		if e.method.accepts(m) {
			return e.route
		}
	}
	return nil
}

func (l *leaf) others() []entry {
	if l.more == nil {
		return nil
	}
	return *l.more
}

// add adds a route, for whose method there is none yet.
func (l *leaf) add(e entry) {
	if l.empty() {
		l.first = e
		return
	}
	if e.method < l.first.method {
		l.first, e = e, l.first
	}
	all := append(l.others(), e)
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.method, b.method) })
	l.more = &all
}

// all calls yield for each route until it returns false, and then returns false too.
func (l *leaf) all(yield func(*Route) bool) bool {
	if l.empty() {
		return true
	}
	if !yield(l.first.route) {
		return false
	}
	for _, e := range l.others() {
		if !yield(e.route) {
			return false
		}
	}
	return true
}

// insert adds r, or says why it cannot be added.
func (t *tree) insert(r *Route) error {
	var rival *Route
	root := t.at(r.pattern.host)
	root.node.overlapping(r.pattern.segments, func(other *Route) bool {
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
	r.text, r.names = r.pattern.text, r.pattern.names // so that a request finds them in one place
	at, l := root.node.grow(r.pattern.segments)
	l.add(entry{method, r})
	if path, ok := plainPath(r.pattern.segments); ok {
		root.paths.know(path, at)
	}
	return nil
}

// at returns the root for the host of a pattern, which it makes if there is none.
func (t *tree) at(host string) *root {
	if host == "" {
		if t.root.node == nil {
			t.root.node = newNode()
		}
		return &t.root
	}
	if t.hosts == nil {
		t.hosts = make(map[string]*root)
	}
	r := t.hosts[host]
	if r == nil {
		r = &root{node: newNode()}
		t.hosts[host] = r
	}
	return r
}

// grow returns the node and the leaf at the end of path, having made what was missing on the way to them.
func (n *node) grow(path []segment) (*node, *leaf) {
	for _, s := range path {
		switch s.kind {
		case literal:
			n = n.child(s.text)
		case slash:
			n = growChild(&n.slash)
		case single:
			n = growChild(&n.single)
		case multi:
			return n, &n.rest // always the last
		}
	}
	return n, &n.here
}

// plainPath returns the one path that matches segments and holds no escapes, if there is such a one.
func plainPath(segments []segment) (path string, ok bool) {
	for i, s := range segments {
		switch {
		case s.kind == slash && i == len(segments)-1:
			path += "/"
		case s.kind == literal && !strings.ContainsAny(s.text, "/%"):
			path += "/" + s.text
		default:
			return "", false
		}
	}
	return path, true
}

func growChild(child **node) *node {
	if *child == nil {
		*child = newNode()
	}
	return *child
}

// overlapping calls yield for each route below n whose path has something in common with path, until yield
// returns false, and then returns false too. This looks at the branches that path can reach and no others, so
// that adding thousands of routes does not compare each with each.
func (n *node) overlapping(path []segment, yield func(*Route) bool) bool {
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
		return n.get(next.text).overlapping(path, yield) && n.single.overlapping(path, yield)
	case slash:
		return n.slash.overlapping(path, yield)
	case single:
		for _, c := range n.sorted {
			if !c.overlapping(path, yield) {
				return false
			}
		}
		return n.single.overlapping(path, yield)
	default:
		return n.below(yield)
	}
}

// below calls yield for each route under n, as overlapping does, but for those of the path that ends at n and
// those of n.rest.
func (n *node) below(yield func(*Route) bool) bool {
	whole := func(c *node) bool {
		return c == nil || c.here.all(yield) && c.rest.all(yield) && c.below(yield)
	}
	for _, c := range n.sorted {
		if !whole(c) {
			return false
		}
	}
	return whole(n.slash) && whole(n.single)
}
