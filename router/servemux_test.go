package router

// The law of this package: it decides as http.ServeMux does. Here both are given the same patterns and the
// same requests, and must agree on which patterns conflict, which pattern takes a request, the values of its
// wildcards, and the status and Allow of what none takes. They differ on purpose in this, and nothing else:
//
//   - a pattern with a host, with an unclean path, or with more than maxWildcards wildcards is refused: hosts
//     are not supported, no request can match the second, and the third keeps matches off the heap;
//   - where ServeMux redirects (unclean paths, /tree to /tree/), the answer is 404, and Allow does not list
//     what a redirect would be needed to reach;
//   - OPTIONS is always allowed, and answered with 204 where no route takes it and ServeMux answers 405;
//   - a method that is not standard and that no route names gets 501, also where a route takes every method;
//   - CONNECT is matched as all other methods are; ServeMux does not clean its path.

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestServeMuxLaw compares random small routers, over an alphabet so small that patterns meet all the time.
func TestServeMuxLaw(t *testing.T) {
	const routers, requestsEach = 2000, 40
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	count := make(map[int]int)
	for range routers {
		p := newPair(t)
		for range 1 + rng.IntN(8) {
			p.handle(randomPattern(rng))
		}
		for range requestsEach {
			count[p.request(randomMethod(rng), randomPath(rng))]++
		}
		if t.Failed() {
			return
		}
	}
	// A law that is never put to the test holds trivially.
	for _, status := range []int{200, 204, 404, 405, 501} {
		if count[status] < 100 {
			t.Errorf("only %d answers of %d were compared", count[status], status)
		}
	}
}

// FuzzRouter compares routers for patterns, one on each line, and one request.
func FuzzRouter(f *testing.F) {
	for _, patterns := range []string{
		"GET /{$}\n/a/\n/a/{x}\nPOST /a/{y}/b",
		"/{x}/b\n/a/{x...}\n/a/b\nHEAD /a/b\nGET /a/{y}",
		"/%61/{$}\n/a/%2F\n/a/{x}\n/%2f/b\n/b%\n/{é}",
		"GET /a/b/c\n/{x}/{y}/{z}\n/{w...}\nLOCK /a/b/\nGET /a/{$}",
		"GET /a\nGET /{p}/b/c\nHEAD /a/{q}\n /b\nGET \t/c\nPOST host/a\n//\n/{x}x\nGET /./a",
	} {
		for _, method := range []string{"GET", "HEAD", "LOCK", "OPTIONS"} {
			for _, path := range []string{"/", "/a", "/a/", "/a/b", "/%61/%2F", "/a/%2f/c%20d/", "/a//b", "/b/.."} {
				f.Add(patterns, method, path)
			}
		}
	}
	f.Fuzz(func(t *testing.T, patterns, method, path string) {
		const most = 20 // more find nothing new, and cost time
		p := newPair(t)
		for i, pattern := range strings.Split(patterns, "\n") {
			if i < most {
				p.handle(pattern)
			}
		}
		p.request(method, path)
		p.request("OPTIONS", path)
		p.request("GET", path+"/")
	})
}

var (
	someMethods  = []string{"GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE", "LOCK", "CONNECT"}
	someLiterals = []string{"a", "b", "ab", "%61", "c", "%2F", "b%", "%7Bx%7d"}
)

func randomPattern(rng *rand.Rand) string {
	var b strings.Builder
	if rng.IntN(2) == 0 {
		b.WriteString(pick(rng, someMethods) + " ")
	}
	for i := range 1 + rng.IntN(3) {
		if rng.IntN(2) == 0 {
			fmt.Fprintf(&b, "/{w%d}", i)
		} else {
			b.WriteString("/" + pick(rng, someLiterals))
		}
	}
	b.WriteString(pick(rng, []string{"", "", "", "/", "/{$}", "/{rest...}"}))
	if rng.IntN(10) == 0 {
		return pick(rng, []string{"/", "/{$}", "/{all...}", "GET /"})
	}
	return b.String()
}

func randomMethod(rng *rand.Rand) string {
	return pick(rng, append(someMethods, "PUT", "get"))
}

func randomPath(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(5) {
		b.WriteString("/" + pick(rng, append(someLiterals, "a", "b", "%41b", "%2f", "%2e%2e", "{x}")))
	}
	b.WriteString(pick(rng, []string{"", "", "/", "/", "/", "//", "/.", "/../a", "/.a", "/..."}))
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

// pair is a tree and a ServeMux that were given the same patterns.
type pair struct {
	t        *testing.T
	tree     tree
	mux      *http.ServeMux
	patterns []string
}

func newPair(t *testing.T) *pair { return &pair{t: t, mux: http.NewServeMux()} }

// verdict is what becomes of a request, as far as routing goes.
type verdict struct {
	status  int
	pattern string
	values  map[string]string
	allow   string
}

// handle registers a pattern with both, or with neither if only this package means to refuse it.
func (p *pair) handle(pattern string) {
	parsed, err := parsePattern(pattern)
	if errors.Is(err, errHost) || errors.Is(err, errUnclean) || errors.Is(err, errWildcards) {
		return
	}
	if err == nil {
		err = p.tree.insert(&route{pattern: parsed, site: "here"})
	}
	muxErr := p.muxHandle(pattern)
	if (err == nil) != (muxErr == nil) {
		p.t.Errorf("patterns %q, then %q:\nrouter:   %v\nServeMux: %v", p.patterns, pattern, err, muxErr)
	}
	if err == nil {
		p.patterns = append(p.patterns, pattern)
	}
}

func (p *pair) muxHandle(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		values := make(map[string]string)
		parsed, _ := parsePattern(r.Pattern)
		for _, name := range parsed.names {
			values[name] = r.PathValue(name)
		}
		w.(*recorder).got = verdict{status: http.StatusOK, pattern: r.Pattern, values: values}
	})
	return nil
}

// request compares what both do with a request, and returns the status of the answer, or 0 if no client could
// send it.
func (p *pair) request(method, path string) int {
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") || u.EscapedPath() != path || !isToken(method) {
		return 0
	}
	if method == "CONNECT" && !isClean(path) {
		return 0
	}
	want := p.wanted(method, u)
	got := p.treeAnswer(method, path)
	if got.status != want.status || got.pattern != want.pattern || got.allow != want.allow ||
		!maps.Equal(got.values, want.values) {
		p.t.Errorf("patterns %q, request %s %s:\ngot  %+v\nwant %+v", p.patterns, method, path, got, want)
	}
	return got.status
}

func (p *pair) treeAnswer(method, path string) verdict {
	var m match
	outcome := p.tree.match(method, []byte(path), &m)
	if outcome != matched {
		status, allow := p.tree.refuse(outcome, method, []byte(path))
		return verdict{status: status, allow: allow}
	}
	a := verdict{status: http.StatusOK, pattern: m.route.pattern.text, values: make(map[string]string)}
	for i, name := range m.route.pattern.names {
		s := m.spans[i]
		value, err := url.PathUnescape(path[s.Off : s.Off+s.Len])
		if err != nil {
			p.t.Errorf("value %q of %s: %v", path[s.Off:s.Off+s.Len], path, err)
		}
		a.values[name] = value
	}
	return a
}

// wanted is what ServeMux does, but for the differences listed above.
func (p *pair) wanted(method string, u *url.URL) verdict {
	if !slices.Contains(p.tree.methods.known(), method) {
		return verdict{status: http.StatusNotImplemented}
	}
	a := p.muxAnswer(method, u)
	switch a.status {
	case http.StatusOK, http.StatusNotFound:
		return a
	case http.StatusTemporaryRedirect:
		return verdict{status: http.StatusNotFound}
	case http.StatusMethodNotAllowed:
	default:
		p.t.Errorf("ServeMux answered %+v", a)
	}
	allowed := strings.Split(a.allow, ", ")
	allowed = slices.DeleteFunc(allowed, func(method string) bool {
		return p.muxAnswer(method, u).status == http.StatusTemporaryRedirect
	})
	if len(allowed) == 0 {
		return verdict{status: http.StatusNotFound}
	}
	a.allow = allowField(allowed)
	if method == "OPTIONS" {
		a.status = http.StatusNoContent
	}
	return a
}

func (p *pair) muxAnswer(method string, u *url.URL) verdict {
	var w recorder
	p.mux.ServeHTTP(&w, &http.Request{Method: method, URL: u, RequestURI: u.Path, Proto: "HTTP/1.1"})
	return w.got
}

// recorder is a ResponseWriter that keeps what the test compares.
type recorder struct {
	header http.Header
	got    verdict
}

func (w *recorder) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *recorder) WriteHeader(status int) {
	w.got = verdict{status: status, allow: w.header.Get("Allow")}
}

func (w *recorder) Write(p []byte) (int, error) { return len(p), nil }
