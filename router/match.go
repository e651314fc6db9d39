package router

// Matching walks the tree along the path: at each segment first the literal child, then the wildcard, then the
// wildcard that takes the rest. That is the order from the specific to the general, so the first route found
// is the one that wins. A branch that leads nowhere is given up and the next one tried; each node is visited
// once at most, so a request costs no more than the tree has nodes, and for the patterns that people write it
// costs one visit per segment.
//
// The path is matched as it came, escaped. Segments are cut at the slashes that are really there, and each is
// decoded for itself, so an escaped slash is data. Values are offsets into the path; whoever reads one decodes
// it.

// outcome says what became of a request.
type outcome uint8

const (
	matched      outcome = iota // match.route is the route
	noRoute                     // no route for this path with this method
	wantsSlash                  // none that is as good as the one for this path and a slash
	noSuchMethod                // the method is neither standard nor registered
)

// match is the answer for one request, and the state of the search for it. It can be used again.
type match struct {
	route *route             // set if the outcome is matched
	spans [maxWildcards]span // where in the path the values are, one for each name of the route's pattern

	path   []byte
	method methodID
	open   bool // the path does not end in a slash
	slash  bool // with a slash at its end, the path would match a route exactly
}

// match finds the route for method and path, and leaves it, with the values of its wildcards, in m. The path
// is the escaped one of an origin-form target; any other matches nothing. Nor does a path that is not clean:
// what it means depends on who removes its dot segments (RFC 3986, section 5.2.4), and nothing here guesses.
func (t *tree) match(method string, path []byte, m *match) outcome {
	m.method = t.methods.id(method)
	if m.method == unknownMethod {
		return noSuchMethod
	}
	if len(path) == 0 || path[0] != '/' {
		return noRoute
	}
	m.path = path
	m.open = path[len(path)-1] != '/'
	m.slash = false
	m.route = m.walk(&t.root, 0, 0)
	switch {
	case m.route != nil:
		return matched
	case m.slash:
		return wantsSlash
	}
	return noRoute
}

// walk matches the path from pos on with what is below n. At pos stands the slash that begins a segment,
// unless the path is at its end. So many of the spans as values says belong to the wildcards on the way to n.
func (m *match) walk(n *node, pos, values int) *route {
	if pos == len(m.path) {
		return m.arrive(n)
	}
	begin := pos + 1
	end, percent := scanSegment(m.path, begin)
	exact, wild := n.children(m.path[begin:end], percent, end == len(m.path))
	if exact != nil {
		if r := m.walk(exact, end, values); r != nil {
			return r
		}
	}
	if wild != nil {
		m.spans[values] = span{Off: uint32(begin), Len: uint32(end - begin)}
		if r := m.walk(wild, end, values+1); r != nil {
			return r
		}
	}
	r := n.rest.find(m.method)
	if r == nil || m.slash || !isClean(m.path[pos:]) {
		return nil
	}
	m.spans[values] = span{Off: uint32(begin), Len: uint32(len(m.path) - begin)}
	return r
}

// arrive returns the route for a path that ends at n. Where there is none, it notes whether there would be one
// if the path had a slash at its end. That one is more specific than any that takes the rest of the path, so it
// is found before them, and keeps them from matching: with /api/ and / registered, /api is not for the latter.
func (m *match) arrive(n *node) *route {
	if r := n.here.find(m.method); r != nil {
		return r
	}
	if m.open && (n.rest.find(m.method) != nil || n.slash != nil && n.slash.here.find(m.method) != nil) {
		m.slash = true
	}
	return nil
}

// children returns the child of n for the text of seg, and the one for any segment if seg is one that it may
// take. Only the last segment may be empty: that is the slash at the end of the path.
func (n *node) children(seg []byte, percent, last bool) (exact, wild *node) {
	switch {
	case len(seg) == 0 && last || percent && isEscapedSlash(seg):
		return n.slash, nil
	case len(seg) == 0 || seg[0] == '.' && isDots(seg[1:]):
		return nil, nil
	case percent && isEscaped(seg):
		return n.literals.findEscaped(seg), n.single
	}
	return n.literals.find(seg), n.single
}
