package router

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// TestURLLaw holds for random routes side by side, and random values, that a URL which is built is one, and is matched by the
// route that it was built for, with the values that it was built of.
func TestURLLaw(t *testing.T) {
	const routers = 5000
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	literals := []string{"%2e%2e", "%2E.a", "[x]", "a|b", "a%2Fb", "%2f", "\xff", "é", "%0A", "a?b", "a#b", `a"b`}
	values := []string{
		"", "a", "b", "ab", "a b", "a/b", "/", "//", "a/", ".", "..", "...", "%2F", "%", "é", "\xff", "{x}", "a?b#c", "a;b,c|d",
		"%2e", "a/./b", "../a", "a/..", "b%", "\x00", "+",
	}
	built := 0
	for range routers {
		var all tree
		var routes []*Route
		for range 1 + rng.IntN(5) {
			text := randomPattern(rng)
			if rng.IntN(3) == 0 {
				text = strings.Replace(text, "/a", "/"+pick(rng, literals), 1)
			}
			p, err := parsePattern(text)
			if err != nil {
				continue
			}
			if r := (&Route{pattern: p}); all.insert(r) == nil {
				routes = append(routes, r)
			}
		}
		for _, r := range routes {
			var params []string
			for _, name := range r.pattern.names {
				params = append(params, name, pick(rng, values))
			}
			if got, err := all.url(r, params); err == nil {
				built++
				leadsBack(t, &all, r, params, got)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if built < routers {
		t.Errorf("only %d were built", built)
	}
}

func leadsBack(t *testing.T, all *tree, r *Route, params []string, built string) {
	p := r.pattern
	u, err := url.Parse(built)
	if err != nil || u.Host != p.host || u.RawQuery+u.Fragment != "" {
		t.Errorf("pattern %q, %q: %s is %#v, %v", p.text, params, built, u, err)
		return
	}
	path := u.EscapedPath()
	var m match
	if all.match(p.method, hostOf(p.method, []byte(p.host)), []byte(path), &m) != matched || m.route != r {
		t.Errorf("pattern %q, %q: %s does not lead back", p.text, params, built)
		return
	}
	for i := range p.names {
		s := m.spans[i]
		if value, err := url.PathUnescape(path[s.Off : s.Off+s.Len]); err != nil || value != params[2*i+1] {
			t.Errorf("pattern %q, %q: %s has the value %q, %v", p.text, params, built, value, err)
		}
	}
}
