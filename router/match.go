package router

// Matching walks the tree along the path: at each segment first the literal child, then the wildcard, then the
// wildcard that takes the rest. That is the order from the specific to the general, so the first route found
// is the one that wins. A branch that leads nowhere is given up and the next one tried; each node is visited
// once at most, so a request costs no more than the tree has nodes, and for the patterns that people write it
// costs one visit per segment.
//
// The path is matched as it came, escaped. Segments are cut at the slashes that are really there, and each is
// decoded for itself, so an escaped slash is data. Values are offsets into the path; the reader of one decodes
// it. A path that is not clean matches nothing, and neither does one that hides dots behind escaped slashes: what becomes of
// them is not decided here.

import "math/bits"

// outcome says what became of a request.
type outcome uint8

const (
	noRoute    outcome = iota // no route for this path with this method
	matched                   // match.route is the route
	wantsSlash                // no route that is as good as match.slash, which takes the path with a slash at its end
)

// match is the answer for one request, and the state of the search for it. It can be used again.
type match struct {
	route *Route             // set if the outcome is matched
	slash *Route             // set if the outcome is wantsSlash
	spans [maxWildcards]span // where in the path the values are, one for each name of the route's pattern

	path   []byte
	method methodID
	open   bool // the path does not end in a slash
	below  bool // a route takes the path for a part of its tree, but slash is the better one
}

// match finds the route for method, host and path, and leaves it, with the values of its wildcards, in m. The host is one
// that hostOf gave. The path is the escaped one of an origin-form target; any other matches nothing.
func (t *tree) match(method string, host, path []byte, m *match) outcome {
	m.method = t.methods.id(method)
	if len(path) == 0 || path[0] != '/' {
		return noRoute
	}
	m.path = path
	m.open = path[len(path)-1] != '/'
	if t.hosts != nil {
		return t.matchHost(host, m)
	}
	return m.search(&t.root)
}

// matchHost is match where routes are for hosts.
//
//go:noinline
func (t *tree) matchHost(host []byte, m *match) outcome {
	if r := t.host(host); r != nil {
		if o := m.searchHost(r, &t.root); o != noRoute {
			return o
		}
	}
	return m.search(&t.root)
}

// search looks through the routes for one host, or through those for all hosts.
func (m *match) search(r *root) outcome {
	m.slash, m.below = nil, false
	if n := r.paths.find(m.path); n != nil {
		if m.route = n.here.find(m.method); m.route != nil {
			return matched
		}
	}
	if r.node == nil {
		m.route = nil
		return noRoute
	}
	m.route = m.walk(r.node, 0, 0)
	switch {
	case m.route != nil:
		return matched
	case m.slash != nil:
		return wantsSlash
	}
	return noRoute
}

// searchHost looks through the routes for one host. If one of them matches it wins, even over one for all hosts that is
// more specific otherwise. If none does but for a slash at the end of the path, one for all hosts may still be for this
// very path; http.ServeMux has it so.
func (m *match) searchHost(host, all *root) outcome {
	o := m.search(host)
	if o != wantsSlash || m.below {
		return o
	}
	slash := m.slash
	if m.search(all) == matched && !m.route.pattern.isTree() {
		return matched
	}
	m.route, m.slash = nil, slash
	return wantsSlash
}

// walk matches the path from pos on with what is below n. At pos stands the slash that begins a segment,
// unless the path is at its end. So many of the spans as values says belong to the wildcards on the way to n.
func (m *match) walk(n *node, pos, values int) *Route {
	var (
		path      = m.path
		rest      *Route // the deepest route so far that takes all that is left
		restBegin int
		restValue int
	)
	for pos < len(path) {
		if n.rest.first.route != nil {
			if r := n.rest.find(m.method); r != nil {
				rest, restBegin, restValue = r, pos, values
			}
		}
		// The segment ends within eight bytes, or it is a long one.
		var (
			begin   = pos + 1
			k       key
			percent bool
		)
		w, size := wordAt(path, begin)
		if slash := equalBytes(w, slashes); slash == 0 && size == 8 {
			k, percent = scanLong(path, begin, w)
		} else {
			if slash != 0 {
				size = bits.TrailingZeros64(slash) / 8
				w &= below(slash)
			}
			k, percent = key{first: w, size: size}, equalBytes(w, percents) != 0
		}
		pos = begin + k.size
		var exact, wild *node
		switch {
		case percent:
			exact, wild = n.escaped(k, path[begin:pos])
		case k.first&0xff == 0: // only the last one may be empty: that is the slash at the end of the path
			if k.size == 0 && pos == len(path) {
				exact = n.slash
			}
		case k.first&0xff == '.' && dotSegment(path[begin:pos]):
		default:
			wild = n.single
			if len(n.at) > 0 {
				exact = n.find(k, path[begin:pos])
			}
		}
		if wild != nil {
			if exact != nil {
				if r := m.walk(exact, pos, values); r != nil {
					return r
				}
			}
			m.spans[values] = span{Off: uint32(begin), Len: uint32(k.size)}
			values++
			exact = wild
		}
		if n = exact; n == nil {
			break
		}
	}
	if n != nil {
		if r := m.arrive(n); r != nil {
			return r
		}
	}
	if rest == nil || !isClean(path[restBegin:]) || hidesDots(path[restBegin:]) {
		return nil
	}
	if m.slash != nil {
		m.below = true
		return nil
	}
	m.spans[restValue] = span{Off: uint32(restBegin + 1), Len: uint32(len(path) - restBegin - 1)}
	return rest
}

// arrive returns the route for a path that ends at n. Where there is none, it notes the one that there would be
// if the path had a slash at its end. That one is more specific than any that takes the rest of the path, so it
// is found before them, and keeps them from matching: with /api/ and / registered, /api is not for the latter.
func (m *match) arrive(n *node) *Route {
	if r := n.here.find(m.method); r != nil {
		return r
	}
	if m.open && m.slash == nil {
		if n.slash != nil {
			m.slash = n.slash.here.find(m.method)
		}
		if m.slash == nil {
			m.slash = n.rest.find(m.method)
		}
	}
	return nil
}

// escaped returns the child of n for what seg, which holds a percent sign, decodes to, and the one for any segment if this
// is one that it may take.
func (n *node) escaped(k key, seg []byte) (exact, wild *node) {
	switch {
	case isEscapedSlash(seg):
		return n.slash, nil
	case dotSegment(seg), hidesDots(seg):
		return nil, nil
	case isEscaped(seg):
		return n.findEscaped(seg), n.single
	}
	return n.find(k, seg), n.single
}
