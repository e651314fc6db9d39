package router

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestConflicts(t *testing.T) {
	for _, test := range []struct {
		p, q, why string // no why: they do not conflict
	}{
		{"/a", "/a", "they match the same requests"},
		{"/{x}/b", "/{y}/b", "they match the same requests"},
		{"/a/", "/a/{x...}", "they match the same requests"},
		{"/a/{$}", "/a/%2F", "they match the same requests"},
		{"/%61", "/a", "they match the same requests"},
		{"/a/{x}", "/{y}/b", `both match "GET /a/b", and neither path is the more specific`},
		{"/{x}/b/{$}", "/{y}/{z}/%2F/d", ""},
		{"/{x}/b%20c/", "/a/{z}/{$}", `both match "GET /a/b%20c/"`},
		{"/{x}/%2F/{y}", "/a/{z...}", `both match "GET /a/%2F/y"`},
		{"/{x}/a%2fb", "/%2E.a/{y}/", ""},
		{"/{x}/%2e%2E.", "/%2Ea/{y}", `both match "GET /.a/..."`},
		{"GET /", "/a", `both match "GET /a", and "GET /" has fewer methods, but more paths`},
		{"GET /a", "HEAD /", `both match "HEAD /a", and "GET /a" has more methods, but fewer paths`},
		{"HEAD /", "GET /a", `both match "HEAD /a", and "HEAD /" has fewer methods, but more paths`},
		{"POST a.org/a", "a.org/{x...}", ""},
		{"a.org/{x}", "POST a.org/{y}/{$}", ""},
		{"a.org/{x}/b", "a.org/a/", `both match "GET a.org/a/b", and neither path`},
		{"a.org/a", "b.org/a", ""},
		{"a.org/{x}", "/a", ""},
		{"GET /{x}", "/{y}/b", ""},
		{"GET /", "/", ""},
		{"GET /a", "HEAD /a", ""},
		{"GET /{x}", "POST /{y}", ""},
		{"/a/{$}", "/a/{x}", ""},
		{"/a/", "/a", ""},
		{"/a/b", "/{x...}", ""},
		{"/{x}/", "/a/b/{y...}", ""},
	} {
		p, errP := parsePattern(test.p)
		q, errQ := parsePattern(test.q)
		if errP != nil || errQ != nil {
			t.Fatal(errP, errQ)
		}
		if conflicts(p, q) != conflicts(q, p) {
			t.Errorf("%q, %q: a conflict only in one order", test.p, test.q)
		}
		switch got := conflicts(p, q); {
		case got != (test.why != ""):
			t.Errorf("%q, %q: conflict %t", test.p, test.q, got)
		case got && !strings.Contains(explainConflict(p, q), test.why):
			t.Errorf("%q, %q: %s, want %s", test.p, test.q, explainConflict(p, q), test.why)
		}
	}
}

// TestSegmentRelation holds the two halves of the table against each other.
func TestSegmentRelation(t *testing.T) {
	mirror := map[relation]relation{equal: equal, wider: narrower, narrower: wider, disjoint: disjoint}
	for a := range kinds {
		for b := range kinds {
			if segmentRelation[a][b] != mirror[segmentRelation[b][a]] {
				t.Errorf("kinds %d and %d: %d one way, %d the other", a, b, segmentRelation[a][b], segmentRelation[b][a])
			}
		}
	}
}

// TestCommonPath takes patterns that a programmer would see in the message about a conflict: both must match
// the path that it gives as an example.
func TestCommonPath(t *testing.T) {
	const pairs, atLeast = 20000, 100
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	checked := 0
	for range pairs {
		p, errP := parsePattern(randomPattern(rng))
		q, errQ := parsePattern(randomPattern(rng))
		if errP != nil || errQ != nil || comparePaths(p.segments, q.segments) != crossing {
			continue
		}
		checked++
		path := commonPath(p.segments, q.segments)
		for _, p := range []*pattern{p, q} {
			var m match
			if grow(t, "GET "+p.text[strings.IndexByte(p.text, '/'):]).match("GET", nil, []byte(path), &m) != matched {
				t.Fatalf("seed %d: %q and %q are said to have %q in common", seed, p.text, q.text, path)
			}
		}
	}
	if checked < atLeast {
		t.Errorf("only %d pairs were checked", checked)
	}
}
