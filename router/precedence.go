package router

// Which of two patterns wins where both match: the one that matches less. A pattern is a set of requests, and
// two sets are equal, one within the other, crossing, or disjoint. A pattern is a product of parts — the
// method, the first segment, the second — so the relation of two patterns is the combination of the relations
// of their parts; coded as bits, combining is OR. Equal or crossing patterns leave a request for which neither
// wins; they conflict, and the second of them is refused when it is registered. So of all the patterns that
// match a request one is always within all the others, and the tree need only look for the most specific
// first.
//
// Hosts stand above that: a pattern with a host wins over one without, whatever the rest of them says, and two
// different hosts have nothing in common.

import (
	"fmt"
	"net/url"
	"strings"
)

// relation says how the set of one pattern lies to the set of another.
type relation uint8

const (
	equal    relation = 0
	wider    relation = 1 << 0 // it has what the other lacks
	narrower relation = 1 << 1 // it lacks what the other has
	crossing          = wider | narrower
	disjoint relation = 1 << 2 // nothing is in both; whatever the other parts say
)

// segmentRelation compares two segments by kind. Two literals are equal here; their texts have the last word.
var segmentRelation = [kinds][kinds]relation{
	literal: {literal: equal, slash: disjoint, single: narrower, multi: narrower},
	slash:   {literal: disjoint, slash: equal, single: disjoint, multi: narrower},
	single:  {literal: wider, slash: disjoint, single: equal, multi: narrower},
	multi:   {literal: wider, slash: wider, single: wider, multi: equal},
}

// conflicts reports whether some request matches both patterns and neither is the more specific.
func conflicts(p, q *pattern) bool {
	if p.host != q.host {
		return false
	}
	r := compareMethods(p.method, q.method) | comparePaths(p.segments, q.segments)
	return r == equal || r == crossing
}

// compareMethods compares methods, of which the empty one is every method, and GET is HEAD too.
func compareMethods(a, b string) relation {
	switch {
	case a == b:
		return equal
	case a == "" || a == "GET" && b == "HEAD":
		return wider
	case b == "" || b == "GET" && a == "HEAD":
		return narrower
	}
	return disjoint
}

// comparePaths compares segment by segment. Where one path is longer, the shorter must end in a wildcard that
// takes the rest, and the loop has compared that one already: it is wider than whatever stands opposite.
func comparePaths(a, b []segment) relation {
	var r relation
	for i := range min(len(a), len(b)) {
		r |= compareSegments(a[i], b[i])
	}
	if len(a) < len(b) && a[len(a)-1].kind != multi ||
		len(b) < len(a) && b[len(b)-1].kind != multi {
		r |= disjoint
	}
	return r
}

func compareSegments(a, b segment) relation {
	if a.kind == literal && b.kind == literal && a.text != b.text {
		return disjoint
	}
	return segmentRelation[a.kind][b.kind]
}

// explainConflict says why p and q, which conflict, do, and names a request that both match.
func explainConflict(p, q *pattern) string {
	methods := compareMethods(p.method, q.method)
	paths := comparePaths(p.segments, q.segments)
	why := "neither matches more methods or more paths"
	switch {
	case methods|paths == equal:
		why = "they match the same requests"
	case paths == crossing:
		why = "neither path is the more specific"
	case methods == wider:
		why = fmt.Sprintf("%q has more methods, but fewer paths", p.text)
	case methods == narrower:
		why = fmt.Sprintf("%q has fewer methods, but more paths", p.text)
	}
	return fmt.Sprintf("both match %q, and %s", commonRequest(p, q), why)
}

// commonRequest returns a request that both p and q match, which are not disjoint.
func commonRequest(p, q *pattern) string {
	method := p.method
	if compareMethods(p.method, q.method) == wider {
		method = q.method
	}
	if method == "" {
		method = "GET" // any would do
	}
	return method + " " + p.host + commonPath(p.segments, q.segments)
}

// commonPath returns a path that matches both a and b, which are not disjoint: at each place, an example of
// the narrower segment.
func commonPath(a, b []segment) string {
	if len(a) < len(b) {
		a, b = b, a
	}
	var path strings.Builder
	for i, s := range a {
		if i < len(b) && segmentRelation[s.kind][b[i].kind] == wider {
			s = b[i]
		}
		path.WriteByte('/')
		switch {
		case s.kind == literal || s.kind == single:
			path.WriteString(url.PathEscape(s.text))
		case s.kind == slash && i < len(a)-1:
			path.WriteString("%2F")
		}
	}
	return path.String()
}
